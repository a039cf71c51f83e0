"""The operators' gate: its own address, where operators see a running node and act on it.

Start in `actor.py`. `table.py` says what a line of the server API is and serves it, `views.py` and
`actions.py` have the lines and their answers.
"""
