"""`greenroom callbacks list`, `replay` and `drop`: what becomes of undelivered webhooks."""

from typing import Annotated

import cyclopts
from cyclopts import Parameter

from greenroom.node.cli.options import Config, Data, read_settings
from greenroom.node.errors import SettingsError

callbacks = cyclopts.App(
    name="callbacks", help="See and replay the webhooks that could not be delivered."
)

Ids = Annotated[list[str], Parameter(help="Ids, as `callbacks list` shows them.")]
All = Annotated[bool, Parameter(name="--all", help="All that are on the list.", negative=())]


@callbacks.command(name="list")
def list_callbacks(
    *,
    json: Annotated[
        bool, Parameter(help="One JSON object a line, with what was sent.", negative=())
    ] = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Show the dead-letter list, oldest first."""
    from greenroom.node.commands.dead_letters import show  # noqa: PLC0415  # half a second of imports

    for line in show(read_settings(data, config), as_json=json):
        print(line)  # noqa: T201


@callbacks.command
def replay(
    ids: Ids | None = None, *, every: All = False, data: Data = None, config: Config = None
) -> None:
    """Have the node send webhooks of the list again: at once, or when it runs next."""
    from greenroom.node.commands.dead_letters import replay as mark  # noqa: PLC0415  # as above

    print(mark(read_settings(data, config), _chosen(ids, every=every)))  # noqa: T201


@callbacks.command
def drop(
    ids: Ids | None = None, *, every: All = False, data: Data = None, config: Config = None
) -> None:
    """Take webhooks off the list for good."""
    from greenroom.node.commands.dead_letters import discard  # noqa: PLC0415  # as above

    print(discard(read_settings(data, config), _chosen(ids, every=every)))  # noqa: T201


def _chosen(ids: list[str] | None, *, every: bool) -> list[str] | None:
    """Return the ids that are meant; None for all."""
    if every == bool(ids):
        raise SettingsError("name ids of the dead-letter list, or --all")
    return ids or None
