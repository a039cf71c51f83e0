"""How a connection gets in: everything between a listening socket and a connection actor.

The listener accepts, a visit is one connection while it is the listener's: who comes (proxies),
TLS, the first request head (`peek.py`), and from there to HTTP, to the chat or to the echo route.
Whether there is room, and which web pages may connect, is decided here too.
"""
