"""The cast of a node: its actors, and the parts that they are made of.

Start in `system`, which has the whole tree on one page, or in `connection/connection.py`, where a
client comes in. What the cast asks of the world outside stands in `ports`; files, databases and
command lines are `node`'s. Actors of more than one part have a folder, whose page says which:

- `connection`, `room`, `archive`, `callbacks`: each the actor of that name and its parts
- `rights`: who may what, and until when; the actors `doorkeeper`, `warden` and `bearers`
- who stands in the tree once, in a module: `registry` (with `sessions` and `openers`), `speaker`,
  `readiness`, `beats`
- what several share: `services` and `cast`, `budgets` and `rates`, `ledger`, `roll`, `health`,
  `tracebacks`
"""
