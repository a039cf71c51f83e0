"""The archive: the only actor that writes history, and its parts.

- the actor: `archive`
- what waits for the next transaction: `backlog`; what goes along with it: `watermarks`
- one read of history: `reading`; what is deleted: `retention`
"""
