"""A node as a process of its own, on one port, that can be killed and started again."""

import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import trio
from support.ports import free_port

from greenroom.protocol import issue_token

SECRET = "a secret of at least thirty-two bytes"
START_SECONDS = 60


class Soon(Random):
    """Jitter for clients that must not spend a test waiting: a tenth of a second at most."""

    def uniform(self, a: float, b: float) -> float:
        return min(super().uniform(a, b), 0.1)


class NodeProcess:
    """`greenroom serve`; the port and the data outlive each kill."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}/ws"
        self.kills = 0
        self._log = data.parent / "node.log"
        self._process: trio.Process | None = None
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("GREENROOM_")
        } | {
            "GREENROOM_PORT": str(self.port),
            "GREENROOM_DATA": str(data),
            "GREENROOM_JWT_SECRET": SECRET,
            **{f"GREENROOM_{name.upper()}": value for name, value in settings.items()},
        }

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        assert self._process is not None
        return self._process.pid

    async def migrate(self) -> None:
        """Make the tables in the database that the settings name."""
        command = [sys.executable, "-m", "greenroom.node", "migrate"]
        await trio.run_process(command, env=self._environment, capture_stdout=True)

    async def start(self) -> None:
        """Return when it says that it listens.

        That is later than the kernel takes connections for it. One whose database is just coming
        back ends at once, and is started again, as by a service manager.
        """
        said = self._says_that_it_listens()
        await self._launch()
        with trio.fail_after(START_SECONDS):
            while self._says_that_it_listens() == said:
                if self._process.poll() is not None:
                    assert b"greenroom: database" in self._log.read_bytes(), self.log()
                    await self._launch()
                await trio.sleep(0.02)

    async def _launch(self) -> None:
        command = [sys.executable, "-m", "greenroom.node", "serve"]
        with self._log.open("ab") as log:
            self._process = await trio.lowlevel.open_process(
                command, stdout=log, stderr=log, env=self._environment
            )

    def _says_that_it_listens(self) -> int:
        return self._log.read_bytes().count(b"listening") if self._log.exists() else 0

    async def kill(self) -> None:
        """SIGKILL; return when it is gone."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None
            self.kills += 1

    def log(self) -> str:
        return self._log.read_text(errors="replace")


@asynccontextmanager
async def node_process(folder: Path, **settings: str) -> AsyncIterator[NodeProcess]:
    node = NodeProcess(folder / "data", **settings)
    try:
        if "database" in settings:
            await node.migrate()
        await node.start()
        yield node
    finally:
        with trio.CancelScope(shield=True):
            await node.kill()


def token(user: str, *, until: float | None = None) -> str:
    """A token that is good for an hour, or until then."""
    now = time.time()
    lifetime = 3_600 if until is None else until - now
    return issue_token(user, secret=SECRET, now=now, lifetime_seconds=lifetime)
