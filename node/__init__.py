"""The standalone chat node: the composition root of Greenroom.

Everything that knows files, environment variables, command lines, sockets and databases lives here;
nothing in the other packages imports it. Start reading in `serve.py`, which puts one node together.
"""
