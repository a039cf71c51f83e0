"""`greenroom chat`: a room in the terminal, on the client library.

Lines in are published, events are lines out; both ends are handed in, so that nothing here knows a
terminal. The client library reconnects, recovers and repeats; this only says so.
"""

from collections.abc import AsyncIterable, Callable, Iterator

import trio

from greenroom.client import (
    Client,
    ClientClosed,
    ClientError,
    CloseCode,
    CommandRefused,
    Gap,
    Joined,
    Left,
    Room,
    State,
    TokenSource,
    open_client,
)
from greenroom.node.commands.terminal import (
    gap_line,
    members_line,
    message_line,
    presence_line,
    status_line,
    visible,
)
from greenroom.node.errors import NodeError

HISTORY_MESSAGES = 20
FIRST_CONNECTION_SECONDS = 10.0
"""A node that was never there is given up; one that goes away is waited for without end."""
PUBLISH_SECONDS = 30.0
"""How long the last lines may wait for the node once there are no more."""

Show = Callable[[str], None]


class ChatError(NodeError):
    """The room can't be entered, or was lost for good."""


async def chat(
    url: str, name: str, *, token: TokenSource, lines: AsyncIterable[str], show: Show
) -> None:
    """Enter a room, show what is said, and publish `lines` until they end.

    Args:
        url: The node's WebSocket.
        name: The room.
        token: As for `open_client`.
        lines: What the user types. `/who` asks who is here; an empty line is nothing.
        show: Called with each line to show.

    Raises:
        ChatError: The node can't be reached, does not let us in, or took us out.
    """
    failure: ClientError | ValueError | None = None
    unreachable, reason = False, ""
    try:
        async with open_client(url, token=token) as client, trio.open_nursery() as nursery:
            nursery.start_soon(_show_states, client, show)
            with trio.move_on_after(FIRST_CONNECTION_SECONDS) as patience:
                await client.wait_connected()
            unreachable, reason = patience.cancelled_caught, client.status.detail
            if not unreachable:
                async with client.join(name) as room:
                    await _sit_in(room, lines, show)
            nursery.cancel_scope.cancel()
    except* (ClientError, ValueError) as group:
        failure = _first(group)
    if failure is not None:
        raise ChatError(_complaint(name, failure)) from failure
    if unreachable:
        why = f" ({reason})" if reason else ""
        raise ChatError(f"can't reach {url}{why}; is the node running? (greenroom serve)")


def _complaint(name: str, failure: ClientError | ValueError) -> str:
    """Say what went wrong in terms of what the user can change."""
    match failure:
        case ClientClosed(close_code=CloseCode.INVALID_TOKEN):
            return "the token is not valid for this node (GREENROOM_TOKEN?)"
        case ClientClosed(close_code=CloseCode.TOKEN_EXPIRED):
            return "the token has expired (GREENROOM_TOKEN?)"
        case CommandRefused():
            return f"{visible(name)}: {failure}"
        case _:  # it names the room itself, or is about none
            return str(failure)


async def _sit_in(room: Room, lines: AsyncIterable[str], show: Show) -> None:
    await _show_history(room, show)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_show_messages, room, show)
        nursery.start_soon(_show_presence, room, show)
        await _publish_lines(room, lines, show)
        nursery.cancel_scope.cancel()


async def _publish_lines(room: Room, lines: AsyncIterable[str], show: Show) -> None:
    async for line in lines:
        text = line.strip()
        if text == "/who":
            show(members_line(await room.presence()))
        elif text:
            try:
                with trio.fail_after(PUBLISH_SECONDS):
                    await room.publish(text)
            except CommandRefused as refused:
                show(f"-- not sent: {refused} --")
            except trio.TooSlowError:
                show("-- not sent: the node does not answer --")


async def _show_history(room: Room, show: Show) -> None:
    history = await room.history(limit=HISTORY_MESSAGES)
    for message in history.messages:
        show(message_line(message))
    show(members_line(await room.presence()))


async def _show_messages(room: Room, show: Show) -> None:
    async for item in room:
        show(gap_line(item) if isinstance(item, Gap) else message_line(item))


async def _show_presence(room: Room, show: Show) -> None:
    async for event in room.events():
        if isinstance(event, Joined | Left) and (line := presence_line(event)) is not None:
            show(line)


async def _show_states(client: Client, show: Show) -> None:
    trouble = False  # until something goes wrong, a connection is nothing to talk about
    async for status in client.state_changes():
        connected = status.state is State.CONNECTED
        waiting = status.state is State.UNREACHABLE or status.retry_in_seconds is not None
        if waiting or (connected and trouble):
            show(status_line(status))
            trouble = not connected


def _first(group: BaseExceptionGroup[ClientError | ValueError]) -> ClientError | ValueError:
    """Return the error that says most: why the client is closed, else whatever came first."""
    errors = list(_leaves(group))
    return next((error for error in errors if isinstance(error, ClientClosed)), errors[0])


def _leaves(
    error: ClientError | ValueError | BaseExceptionGroup[ClientError | ValueError],
) -> Iterator[ClientError | ValueError]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
