"""`greenroom load`: its options; what it does stands in `node.load`."""

import os
from pathlib import Path
from random import Random
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from greenroom.node.cli.options import (
    Config,
    Data,
    option,
    own_websocket,
    read_settings,
    signer,
)
from greenroom.node.settings.layers import TOKEN_VARIABLE


async def load(
    url: Annotated[
        str | None,
        Parameter(
            help="The node's WebSocket, ws://HOST:PORT/ws or wss://HOST/ws; this machine's own "
            "node unless given.",
            show_default=False,
        ),
    ] = None,
    /,
    *,
    rooms: Annotated[int, Parameter(help="How many rooms.")] = 10,
    members: Annotated[int, Parameter(help="Connections in each room; all take turns.")] = 20,
    rate: Annotated[float, Parameter(help="Messages a second, of all members together.")] = 200,
    size: Annotated[int, Parameter(help="Bytes of content in each message.")] = 200,
    ramp: Annotated[float, Parameter(help="Seconds over which the members connect.")] = 5,
    seconds: Annotated[float, Parameter(help="Seconds over which messages are sent.")] = 30,
    durable: Annotated[
        bool,
        Parameter(
            help="Rooms that store every message for good, or rooms that store nothing.",
            negative=("--ephemeral",),
        ),
    ] = False,
    prefix: Annotated[
        str | None,
        Parameter(
            help="How the rooms' names begin, where the node has kinds of rooms of its own.",
            show_default=False,
        ),
    ] = None,
    codec: Annotated[str, Parameter(help="How messages are written: json or protobuf.")] = "json",
    guest: Annotated[
        bool, Parameter(help="Ask the node for a guest's token for each member.", negative=())
    ] = False,
    json: Annotated[
        bool, Parameter(help="Print the result as JSON instead of a summary.", negative=())
    ] = False,
    picture: Annotated[
        Path | None, Parameter(help="Draw the latencies into this SVG file.", show_default=False)
    ] = None,
    jwt_secret_file: Annotated[Path | None, option("jwt_secret_file")] = None,
    data: Data = None,
    config: Config = None,
) -> int:
    """Put a node under load and measure it: latency, throughput, and whether anything got lost.

    Messages are sent at their times whether or not the node keeps up, and latency counts from when
    a message was due. Exit code 1 when messages were lost or came twice, or members were lost.
    Ctrl+C ends it in order. Tokens: --guest asks the node; else GREENROOM_TOKEN is used; else the
    command signs one for each member, as `greenroom token` does. Only test nodes that are yours.
    """
    from greenroom.node.load import command  # noqa: PLC0415  # keeps `token` quick

    plan = command.make_plan(
        rooms=rooms,
        members=members,
        rate=rate,
        size=size,
        ramp=ramp,
        seconds=seconds,
        durable=durable,
        prefix=prefix,
        random=Random(),  # noqa: S311  # tells runs apart, no more
    )
    chosen = command.choose_codec(codec)
    settings = read_settings(data, config, jwt_secret_file=jwt_secret_file)
    where = url if url is not None else own_websocket(settings)
    target = command.read_target(where)
    tokens = command.choose_tokens(
        target,
        given=os.environ.get(TOKEN_VARIABLE),
        guest=guest,
        sign=lambda: signer(settings),
    )
    output = command.Output(
        results=Console(),
        progress=Console(stderr=True),
        json=json,
        picture=picture,
    )
    return await command.load(
        plan,
        url=where,
        target=target,
        codec=chosen,
        token=tokens,
        output=output,
    )
