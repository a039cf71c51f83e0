"""`greenroom revoke`: throws a user or a token out."""

from typing import Annotated

from cyclopts import Parameter

from greenroom.node.cli.options import Config, Data, read_settings


def revoke(
    *,
    user: Annotated[
        str | None, Parameter(help="All tokens that this user has by now.", show_default=False)
    ] = None,
    token_id: Annotated[
        str | None,
        Parameter(
            help="The one token with this id, its claim `jti`; never the token itself.",
            show_default=False,
        ),
    ] = None,
    data: Data = None,
    config: Config = None,
) -> None:
    """Throw out a user, or a single token: running nodes close their connections (4508).

    Works on the database, so it does not matter whether the node runs: one that does follows within
    a few seconds. A user's tokens that are issued later are good.
    """
    from greenroom.node.commands.revoke import throw_out  # noqa: PLC0415  # half a second of imports

    print(throw_out(read_settings(data, config), user=user, token_id=token_id))  # noqa: T201
