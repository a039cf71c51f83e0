"""How many connections the system lets this process have, so that it never runs out by surprise.

A process without file descriptors can't read its database either. So the node asks for as many as
it needs when it starts, and where it gets fewer it takes fewer connections, and says so.
"""

import sys
from contextlib import suppress
from typing import Final

import attrs
import structlog

if sys.platform != "win32":
    import resource

log: structlog.stdlib.BoundLogger = structlog.get_logger("greenroom.node.capacity")

MOST_PENDING: Final = 10_000
LEAST_PENDING: Final = 200
"""For connections that are no WebSocket yet, or never will be: page loads, handshakes."""
OWN_DESCRIPTORS: Final = 64
"""Standard streams, listening sockets, epoll, the directory's lock, SQLite's files, a few more."""


@attrs.frozen(kw_only=True)
class Capacity:
    """How many connections there may be at a time."""

    connections: int
    """WebSockets."""
    pending: int
    """All others."""


def find_room(connections: int, *, reserved: int) -> Capacity:
    """Return how many connections there can be, after asking the system for what they need.

    Args:
        connections: WebSockets that the operator wants; fewer are a warning.
        reserved: Descriptors that the node holds besides connections, its own left out.
    """
    limit = ask_for_descriptors(descriptors_for(connections, reserved=reserved))
    capacity = share_out(limit, connections=connections, reserved=reserved)
    if capacity.connections < connections:
        log.warning(
            "fewer connections than max_connections",
            connections=capacity.connections,
            descriptors=limit,
            hint="raise the hard limit (LimitNOFILE=, ulimit -Hn)",
        )
    return capacity


def ask_for_descriptors(wanted: int) -> int | None:
    """Raise the soft limit as far as it takes and the hard limit allows; return what holds.

    None: there is no limit.
    """
    if sys.platform == "win32":  # sockets are no descriptors there
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    if soft < wanted and (hard == resource.RLIM_INFINITY or soft < hard):
        more = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):  # macOS has a limit below its hard one
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            return more
    return soft


def descriptors_for(connections: int, *, reserved: int) -> int:
    """Return how many descriptors a node needs for so many connections and everything else.

    Args:
        connections: WebSockets.
        reserved: As for `find_room`.
    """
    return connections + LEAST_PENDING + OWN_DESCRIPTORS + reserved


def share_out(limit: int | None, *, connections: int, reserved: int) -> Capacity:
    """Return how many connections there can be with `limit` descriptors.

    Args:
        limit: Descriptors of this process; None: any number.
        connections: WebSockets that the operator wants.
        reserved: As for `find_room`.
    """
    if limit is None:
        return Capacity(connections=connections, pending=MOST_PENDING)
    left = max(2, limit - OWN_DESCRIPTORS - reserved)
    connections = min(connections, left - min(LEAST_PENDING, max(1, left // 5)))
    return Capacity(connections=connections, pending=min(MOST_PENDING, left - connections))
