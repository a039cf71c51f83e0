"""The standalone chat node: the composition root of Greenroom.

Everything that knows files, environment variables, command lines, sockets and databases lives here;
nothing in the other packages imports it. Start reading in `serve.py`, which puts one node together
from what its folders hold: `settings`, `door` (how a connection gets in), `http`, `identity`,
`storage`, `admin` (the operators' gate). `cli` reads the command line, `commands` and `load` do
what it asks for besides; `page` is what browsers get.
"""
