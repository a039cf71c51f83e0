"""Check what the installed wheel brought along: `plain` or with the `node` extra."""

import importlib
import pkgutil
import sys
from importlib import metadata

# trio and attrs, and what those need on any platform.
PLAIN = {"trio", "attrs", "outcome", "sortedcontainers", "sniffio", "idna", "cffi", "pycparser"}
TOOLS = {"pip", "setuptools", "greenroom"}


def check_plain() -> None:
    """The plain install holds the supervisor's own dependencies; importing it loads no more."""
    installed = {dist.metadata["Name"].lower() for dist in metadata.distributions()}
    extra = installed - PLAIN - TOOLS
    assert not extra, f"the plain install pulled in {sorted(extra)}"
    importlib.import_module("greenroom.supervisor")
    loaded = {name.split(".")[1] for name in sys.modules if name.startswith("greenroom.")}
    assert loaded == {"supervisor"}, f"importing the supervisor loaded {sorted(loaded)}"
    print("plain install:", *sorted(installed - {"pip", "setuptools"}))


def check_node() -> None:
    """Every module of every package imports from the wheel alone."""
    count = 0
    for package in ("supervisor", "protocol", "actors", "client", "node"):
        module = importlib.import_module(f"greenroom.{package}")
        for found in pkgutil.walk_packages(module.__path__, f"greenroom.{package}."):
            # The drivers of outside databases are extras of their own.
            if not found.name.endswith(("__main__", "storage.postgres", "storage.mariadb")):
                importlib.import_module(found.name)
                count += 1
    sqlalchemy = importlib.import_module("sqlalchemy")
    migrate = importlib.import_module("greenroom.node.storage.migrate")
    with sqlalchemy.create_engine("sqlite://").connect() as connection:
        steps = migrate.pending(connection)
    assert steps, "the wheel has no migrations"
    print(f"node install: {count} modules import, {len(steps)} migrations")


if __name__ == "__main__":
    {"plain": check_plain, "node": check_node}[sys.argv[1]]()
