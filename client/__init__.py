"""A Trio client that keeps its place in every room while connections come and go.

    import os, trio
    from greenroom.client import Gap, Message, open_client

    async def main() -> None:
        token = os.environ["GREENROOM_TOKEN"]  # greenroom token --user ann
        async with open_client("ws://127.0.0.1:8000/ws", token=token) as client:
            async with client.join("lobby") as room:
                await room.publish("hello", echo=True)  # stored, once, when this returns
                async for item in room:
                    match item:
                        case Message(user=user, content=content):
                            print(f"{user}: {content}")
                            break
                        case Gap():
                            print("(some messages can't be had any more)")

    trio.run(main)

Every time comes from Trio's clock, every random number from the `random` you may give.
"""

from greenroom.client._client import Client, open_client
from greenroom.client._engine import Notice
from greenroom.client._errors import ClientClosed, ClientError, CommandRefused, RemovedFromRoom
from greenroom.client._feed import Item
from greenroom.client._membership import RoomEvent
from greenroom.client._room import Room
from greenroom.client._status import Status, Subscription
from greenroom.client._target import Connector, Target, connect_tcp, parse_url
from greenroom.client._token import TokenSource
from greenroom.protocol import (
    Ack,
    CloseCode,
    Drain,
    Error,
    ErrorCode,
    Gap,
    GapReason,
    HistoryOk,
    Joined,
    Left,
    Member,
    Message,
    Position,
    State,
    TokenExpiring,
    TypingPush,
)

__all__ = [
    # The client.
    "open_client",
    "Client",
    "Room",
    "Status",
    "Subscription",
    "State",
    "TokenSource",
    # What it gives.
    "Item",
    "Message",
    "Gap",
    "GapReason",
    "Ack",
    "HistoryOk",
    "Member",
    "Position",
    "RoomEvent",
    "Joined",
    "Left",
    "TypingPush",
    "Notice",
    "TokenExpiring",
    "Drain",
    "Error",
    # What it raises.
    "ClientError",
    "ClientClosed",
    "CommandRefused",
    "RemovedFromRoom",
    "CloseCode",
    "ErrorCode",
    # How it connects.
    "Connector",
    "Target",
    "connect_tcp",
    "parse_url",
]
