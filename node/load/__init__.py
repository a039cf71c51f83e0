"""`greenroom load`: how a node does under a load that does not wait for it.

`plan` says who sends what when, `frames` and `wire` speak to the node, `member` is one client,
`run` is all of them together; `record` and `numbering` note what came of it, and `report`,
`picture` and `live` show that. Only `wire`, `member`, `run`, `tokens` and `live` know time or
sockets.
"""
