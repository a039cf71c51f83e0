"""What counting costs: a PUBLISH until its ACK at a node that counts, and at one that does not.

    python bench/rate_cost.py [--rounds 15] [--publishes 3000]

Two nodes on one core, a client on another. The one node has rates set higher than the client
reaches, so that every PUBLISH is charged to its connection, user, address and room; the other has
none. They take turns, so that what else the machine does meets both. The figure is the median of
the rounds' ratios of processor time a PUBLISH, once where each is waited for, and once where 32
are sent at a time.
"""

import argparse
import base64
import json
import os
import socket
import statistics
import sys
from pathlib import Path

from one_node import running_node, token

ROOM = "ephemeral:cost"
CONTENT = "x" * 64
NAMES = ("PUBLISH", "PUBLISH_BYTES", "JOIN", "HISTORY", "TYPING", "FRAME", "ROOM_EGRESS")
COUNTING = {f"GREENROOM_{name}_RATE": "100000M/s burst 1000000M" for name in NAMES}
NONE = {f"GREENROOM_{name}_RATE": "none" for name in NAMES}


class Sender:
    """One client on a blocking socket: it frames by hand, and counts ACKs."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._wait_for(b"\r\n\r\n", 1)
        self._socket.sendall(self._frame(type="AUTH", id=1, token=token("cost")))
        self._wait_for(b"AUTH_OK", 1)
        self._socket.sendall(self._frame(type="JOIN", id=2, room=ROOM))
        self._wait_for(b"JOIN_OK", 1)
        self._publish = self._frame(type="PUBLISH", id=3, room=ROOM, content=CONTENT)

    def publish(self, count: int, *, window: int) -> None:
        for _ in range(count // window):
            self._socket.sendall(self._publish * window)
            self._wait_for(b'"ACK"', window)

    def _frame(self, **message: object) -> bytes:
        payload = json.dumps(message).encode()
        size = len(payload)
        head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
        return head + bytes(4) + payload  # a mask of zeros

    def _wait_for(self, word: bytes, count: int) -> None:
        got = b""
        while got.count(word) < count:
            data = self._socket.recv(2**16)
            if not data:
                raise SystemExit(f"the node hung up: {got[-200:]!r}")
            got += data


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(fields[0]) / 1e9


def measure(pid: int, sender: Sender, publishes: int, window: int) -> float:
    """Microseconds of the node's processor time for one PUBLISH."""
    before = cpu_seconds(pid)
    sender.publish(publishes, window=window)
    return (cpu_seconds(pid) - before) / publishes * 1e6


def compare(rounds: int, publishes: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("needs two cores: one for the nodes, one for the client")
    with running_node(cores[0], COUNTING) as counting, running_node(cores[0], NONE) as free:
        os.sched_setaffinity(0, {cores[1]})
        nodes = [(pid, Sender(port)) for pid, port in (counting, free)]
        for window in (1, 32):
            for pid, sender in nodes:
                measure(pid, sender, publishes, window)  # warm
            pairs: list[list[float]] = []
            for number in range(rounds):
                order = nodes if number % 2 else nodes[::-1]
                taken = [measure(pid, sender, publishes, window) for pid, sender in order]
                pairs.append(taken if number % 2 else taken[::-1])
            ratios = sorted(counted / uncounted for counted, uncounted in pairs)
            ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
            print(
                f"{window:2} at a time: {ours:.1f} µs counted, {theirs:.1f} µs not, ratio "
                f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--publishes", type=int, default=3_000, help="of each measurement")
    options = parser.parse_args()
    compare(options.rounds, options.publishes)
