"""What a node answers to browsers and health checks: HTTP on the port that it shares with the chat.

`server.py` serves a connection that the door hands over, `app.py` says what is answered; the rest
is what they need: streams and framing below, the page's files and the checks of requests above.
"""
