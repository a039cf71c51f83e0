"""What the commands beside `serve` do; their options and arguments are `node.cli`'s.

Most work on a node's database from a process of their own, whether the node runs or not
(`beside.py`); `chat.py` talks to a node as its users do.
"""
