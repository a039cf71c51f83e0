"""Ports for servers that are told theirs, or that come back on the one they had."""

import socket
from random import SystemRandom

OURS = range(20_000, 32_000)
"""Below those that the system gives to clients (Linux: from 32,768), so none of them steps in."""


def free_port() -> int:
    """One on which nobody listens, and that no other suite on this machine is likely to draw."""
    while True:
        port = SystemRandom().choice(OURS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
