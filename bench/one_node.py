"""A node for a measurement: `greenroom serve` in a process of its own, on a core of its own."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from greenroom.protocol import issue_token

SECRET = "a secret of at least thirty-two bytes"
START_SECONDS = 30


@contextmanager
def running_node(core: int, settings: Mapping[str, str] | None = None) -> Iterator[tuple[int, int]]:
    """Yield its process and its port; its data go with it.

    Args:
        core: Where it runs.
        settings: More variables of its environment.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GREENROOM_")}
        environment |= {"GREENROOM_JWT_SECRET": SECRET, "GREENROOM_DATA": str(Path(folder) / "d")}
        command = [sys.executable, "-m", "greenroom.node", "serve", "--log-level", "error"]
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            env=environment | dict(settings or {}),
            stderr=subprocess.DEVNULL,
        )
        os.sched_setaffinity(process.pid, {core})
        try:
            give_up_at = time.monotonic() + START_SECONDS
            while True:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                if process.poll() is not None or time.monotonic() > give_up_at:
                    sys.exit("the node does not start")
                time.sleep(0.05)
            yield process.pid, port
        finally:
            process.terminate()
            process.wait()


def token(user: str) -> str:
    """A token that the node takes."""
    return issue_token(user, secret=SECRET, now=time.time(), lifetime_seconds=3600)
