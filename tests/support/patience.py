"""How long a test on real sockets waits for what comes at once, in real time."""

PATIENCE_SECONDS = 30.0
"""No claim about speed: on a machine that stands still for seconds, nothing has failed yet."""
