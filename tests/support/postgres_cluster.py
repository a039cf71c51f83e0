"""A PostgreSQL server of a test's own, which it may stop: nobody else is on it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from support.ports import free_port

DEBIAN = "usr/lib/postgresql/*/bin"  # not on the PATH there


class Cluster:
    """`initdb` and `pg_ctl` on a directory in /tmp and a free port. Its calls block."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def make(self) -> None:
        options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync"]
        self._run("initdb", *options, "--pgdata", str(self._folder / "data"))

    def start(self) -> None:
        """Return when it takes connections, its recovery after a crash done."""
        options = f"-p {self._port} -k {self._folder} -c listen_addresses=127.0.0.1"
        log = str(self._folder / "log")
        self._control("start", "--log", log, "--options", options)

    def stop(self) -> None:
        """At once, without a checkpoint: as after a power cut, but that the files are there."""
        self._control("stop", "--mode=immediate")

    def cut_off_everybody(self) -> None:
        """End every connection; the server goes on."""
        query = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'greenroom'"
        )
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(query)

    def _control(self, action: str, *options: str) -> None:
        self._run("pg_ctl", action, "--wait", "--pgdata", str(self._folder / "data"), *options)

    def _run(self, program: str, *options: str) -> None:
        # It refuses to run as root. No pipes: the server that pg_ctl leaves behind would hold them.
        user = {"user": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        with (self._folder / "output").open("ab") as output:
            subprocess.run(
                [self._programs / program, *options],
                check=True,
                timeout=60,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                **user,
            )


@contextmanager
def postgres_cluster() -> Iterator[Cluster]:
    """A running one, gone in the end; skips where PostgreSQL's programs are missing."""
    folder = Path(tempfile.mkdtemp(prefix="greenroom-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        cluster = Cluster(find_programs(), folder)
        cluster.make()
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder)


def find_programs() -> Path:
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/").glob(DEBIAN))
    if not folders:
        if os.environ.get("CI") == "true":
            pytest.fail("no PostgreSQL: initdb is not there")
        pytest.skip(f"no initdb on the PATH or in /{DEBIAN}")
    return folders[-1]
