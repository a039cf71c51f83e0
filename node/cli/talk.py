"""`greenroom token` and `greenroom chat`: somebody who talks to a node."""

import getpass
import os
from functools import partial
from typing import Annotated

from cyclopts import Parameter

from greenroom.node.cli.options import (
    Config,
    Data,
    own_websocket,
    read_settings,
    signed,
    signer,
)
from greenroom.node.settings.layers import TOKEN_VARIABLE
from greenroom.node.settings.rooms import read_grant


def token(
    *,
    user: Annotated[str, Parameter(help="Who the token is for.")],
    room: Annotated[
        list[str] | None,
        Parameter(
            help="A room, or its beginning and a `*`, that the token lets its bearer into; "
            "`team:red=join+read` gives only these of join, publish and read. May be repeated.",
            show_default=False,
            negative=(),
        ),
    ] = None,
    data: Data = None,
    config: Config = None,
) -> None:
    """Print a token for a user, and nothing else.

    Signs with GREENROOM_JWT_SECRET, or with the secret that a development node keeps in the data
    directory.
    """
    settings = read_settings(data, config)
    rights = dict(read_grant(text) for text in room or ())
    sign = partial(signer(settings), rooms=rights or None)
    print(signed(sign, user))  # noqa: T201  # the one thing this command is for


async def chat(
    room: Annotated[str, Parameter(help="Name of the room.")],
    *,
    user: Annotated[
        str | None, Parameter(help="Who you are; your login name unless given.", show_default=False)
    ] = None,
    url: Annotated[
        str | None,
        Parameter(
            help="The node's WebSocket: ws://HOST:PORT/ws or wss://HOST/ws.", show_default=False
        ),
    ] = None,
    data: Data = None,
    config: Config = None,
) -> None:
    """Chat in the terminal. What you type is published; /who asks who is here, Ctrl+D leaves.

    The token comes from GREENROOM_TOKEN. Without one the command signs one itself, for --user, as
    `greenroom token` does: that works on the node's own machine.
    """
    from greenroom.node.commands.chat import chat as chat_in  # noqa: PLC0415  # keeps `token` quick
    from greenroom.node.commands.stdin import read_lines  # noqa: PLC0415

    settings = read_settings(data, config)
    given = os.environ.get(TOKEN_VARIABLE)
    bearer = given or signed(signer(settings), user or getpass.getuser())
    where = url if url is not None else own_websocket(settings)
    await chat_in(where, room, token=bearer, lines=read_lines(), show=print)
