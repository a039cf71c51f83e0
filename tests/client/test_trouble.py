"""What a program sees when something goes wrong: nothing hangs, nothing leaks, all is said."""

import time
from email.utils import formatdate

import pytest
import trio
import trio.testing
from support.cast_stage import until
from support.fakenode import EPOCH, FakeNode, ack, connected, join_ok, message, raw

from greenroom.client import (
    ClientClosed,
    CloseCode,
    CommandRefused,
    ErrorCode,
    Gap,
    Message,
    State,
    TokenExpiring,
)
from greenroom.protocol import Error, Join, Leave, Position, Publish, Refresh, RefreshOk


def nothing_is_kept_of(client) -> bool:
    engine = client._engine
    return not engine._requests and engine.publish_slots.value == 64


async def refuse_first(peer, **fields):
    await peer.welcome()
    publish = await peer.expect(Publish)
    await peer.send(Error.of(ErrorCode.NOT_AVAILABLE, id=publish.id, **fields))
    return publish


# Publishing while the node is away, or says "not now".


async def test_what_is_published_while_away_goes_out_in_its_order_when_the_room_is_entered_again(
    autojump_clock,
):
    """Behind what was sent before and not answered, each under the key it had."""
    heard = []

    async def first(peer):
        await peer.welcome()
        heard.append(await peer.expect(Publish))
        await peer.drop()

    async def second(peer):
        await peer.welcome()
        for offset in range(1, 6):
            publish = await peer.expect(Publish)
            heard.append(publish)
            await peer.send(ack(publish, offset))
        await peer.idle()

    offsets = {}

    async def publish(room, content):
        offsets[content] = (await room.publish(content)).offset

    async with connected(FakeNode(first, second)) as client, client.join("lobby") as room:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish, room, "sent")
            await until(lambda: client.state is State.DISCONNECTED)
            for content in ("a", "b", "c", "d"):
                nursery.start_soon(publish, room, content)
                await trio.testing.wait_all_tasks_blocked()
        assert nothing_is_kept_of(client)
    assert offsets == {"sent": 1, "a": 2, "b": 3, "c": 4, "d": 5}
    assert [publish.content for publish in heard] == ["sent", "sent", "a", "b", "c", "d"]
    assert heard[0].key == heard[1].key
    assert len({publish.key for publish in heard}) == 5


async def test_closing_the_client_ends_a_publish_that_waits_to_be_tried_again(autojump_clock):
    """The node has asked for an hour; whoever closes the client need not wait for it."""

    async def script(peer):
        await refuse_first(peer, retry_after_ms=3_600_000)
        await peer.idle()

    async with trio.open_nursery() as nursery:

        async def publish(room):
            with pytest.raises(trio.ClosedResourceError):
                await room.publish("hello")
            ended.append(trio.current_time())

        ended = []
        async with connected(FakeNode(script)) as client, client.join("lobby") as room:
            nursery.start_soon(publish, room)
            await trio.sleep(5)
        closed_at = trio.current_time()
        await trio.sleep(1)
        assert ended == [pytest.approx(closed_at, abs=0.1)]


async def test_leaving_the_room_ends_a_publish_that_waits_to_be_tried_again(autojump_clock):
    async def script(peer):
        await refuse_first(peer, retry_after_ms=3_600_000)
        await peer.expect(Leave)
        await peer.idle()

    async def publish(room):
        with pytest.raises(trio.ClosedResourceError):
            await room.publish("hello")
        ended.set()

    ended = trio.Event()
    async with connected(FakeNode(script)) as client, trio.open_nursery() as nursery:
        async with client.join("lobby") as room:
            nursery.start_soon(publish, room)
            await trio.sleep(5)
        with trio.fail_after(1):
            await ended.wait()


async def test_closing_the_client_ends_every_publish_with_the_same_clear_error(autojump_clock):
    """100 of them: 64 sent, the others waiting for their turn."""

    async def script(peer):
        await peer.welcome()
        while True:
            await peer.receive()

    errors = []

    async def publish(room):
        try:
            await room.publish("hello")
        except trio.ClosedResourceError as error:
            errors.append(str(error))

    async with (
        trio.open_nursery() as nursery,
        connected(FakeNode(script)) as client,
        client.join("lobby") as room,
    ):
        for _ in range(100):
            nursery.start_soon(publish, room)
        await trio.sleep(1)
    assert errors == ["left the room"] * 64 + ["the client was closed"] * 36
    assert nothing_is_kept_of(client)


async def test_a_publish_cancelled_in_its_middle_leaves_nothing_behind(autojump_clock):
    """While it waits for its ACK, for a connection, and for the time to try again."""

    async def first(peer):
        await peer.welcome()
        await peer.expect(Publish)
        await trio.sleep(2)
        await peer.drop()

    async def third(peer):
        await refuse_first(peer)
        await peer.idle()

    async def refused(peer):
        await trio.sleep(3)

    async with connected(FakeNode(first, refused, third)) as client, client.join("lobby") as room:
        for _ in range(3):
            with trio.move_on_after(1.9):
                await room.publish("never acknowledged")
            assert nothing_is_kept_of(client)
    assert nothing_is_kept_of(client)


# The end of the client.


@pytest.mark.parametrize(
    "code", [CloseCode.KICKED, CloseCode.SESSION_REPLACED, CloseCode.TOKEN_REVOKED]
)
async def test_a_final_close_says_its_code_everywhere(autojump_clock, code):
    async def script(peer):
        await peer.welcome()
        await peer.expect(Publish)
        await peer.ws.aclose(code, code.reason)

    node = FakeNode(script)
    async with connected(node) as client, client.join("lobby") as room:
        for operation in (lambda: room.publish("x"), room.__anext__, client.wait_connected):
            with pytest.raises(ClientClosed) as caught:
                await operation()
            assert (caught.value.close_code, caught.value.detail) == (code, code.reason)
        assert client.state is State.CLOSED
        await trio.sleep(100)
    assert len(node.connected_at) == 1  # it does not come back by itself


async def test_a_client_that_was_kicked_while_it_was_busy_is_told_at_the_next_operation(
    autojump_clock,
):
    async def script(peer):
        await peer.welcome()
        await peer.send(message(1))
        await peer.ws.aclose(CloseCode.KICKED)

    async with connected(FakeNode(script)) as client, client.join("lobby") as room:
        await trio.sleep(60)
        assert (await anext(room)).offset == 1  # what had come before can still be read
        with pytest.raises(ClientClosed):
            await anext(room)


# The connection's rhythm.


async def test_silence_is_measured_as_the_node_says(autojump_clock):
    """With heartbeat_ms 5,000: UNREACHABLE after 5 s, given up after 13 s."""

    async def script(peer):
        peer.answer_heartbeats = False
        await peer.accept_auth(heartbeat_ms=5_000)
        await peer.idle()

    node = FakeNode(script)
    async with connected(node) as client:
        await client.wait_connected()
        at = trio.current_time()
        seen = []
        async for status in client.state_changes():
            seen.append((status.state, round(trio.current_time() - at, 1)))
            if status.state is State.DISCONNECTED:
                break
    assert seen == [(State.CONNECTED, 0.0), (State.UNREACHABLE, 5.0), (State.DISCONNECTED, 13.0)]


@pytest.mark.parametrize("told", [0, 1])
async def test_a_node_that_wants_no_silence_at_all_is_not_flooded(autojump_clock, told):
    async def script(peer):
        await peer.accept_auth(heartbeat_ms=told)
        with trio.move_on_after(10):
            await peer.idle()
        beats.append(len(peer.heartbeats))
        await peer.idle()

    beats = []
    async with connected(FakeNode(script)) as client:
        await trio.sleep(11)
        assert client.state is State.CONNECTED
    assert beats[0] <= 13


@pytest.mark.parametrize("dated", [True, False], ids=["with Date", "without Date"])
async def test_retry_after_may_be_a_date(autojump_clock, dated):
    """RFC 9110, 10.2.3. It is read against the node's own clock, where the answer tells that."""
    now = time.time() - (1_000_000 if dated else 0)
    date = f"Date: {formatdate(now, usegmt=True)}\r\n" if dated else ""
    answer = (
        f"HTTP/1.1 503 Busy\r\n{date}Retry-After: {formatdate(now + 120, usegmt=True)}\r\n"
        "Content-Length: 0\r\n\r\n"
    )
    node = FakeNode()
    async with connected(node, connector=raw(node, answer.encode())):
        await trio.sleep(130)
    assert node.connected_at[1] - node.connected_at[0] == pytest.approx(120, abs=2)


@pytest.mark.parametrize("value", ["soon", "-5", "1.5", "Thu, 99 Foo 2026 00:00:00 GMT", ""])
async def test_a_retry_after_nobody_can_read_counts_as_none(autojump_clock, value):
    node = FakeNode()
    answer = f"HTTP/1.1 503 Busy\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n".encode()
    async with connected(node, connector=raw(node, answer)):
        await trio.sleep(1.5)
    assert node.connected_at[1] - node.connected_at[0] == pytest.approx(1, abs=0.1)


async def test_an_expiring_token_is_told_and_renewed_by_the_callable(autojump_clock):
    async def script(peer):
        assert (await peer.accept_auth()).token == "t1"
        await peer.send(TokenExpiring(expires=5))
        refresh = await peer.expect(Refresh)
        tokens.append(refresh.token)
        await peer.send(RefreshOk(id=refresh.id, expires=60_000))
        await peer.idle()

    async def token():
        tokens.append(None)
        return f"t{tokens.count(None)}"

    tokens = []
    async with connected(FakeNode(script), token=token) as client:
        notices = client.notices()
        assert await anext(notices) == TokenExpiring(expires=5)
        await trio.sleep(1)
        assert tokens == [None, None, "t2"]
        assert client.state is State.CONNECTED


# Rooms beside each other.


async def test_two_rooms_have_their_own_places_and_their_own_fates(autojump_clock):
    async def first(peer):
        await peer.accept_auth()
        for offset in (5, 50):
            await peer.accept_join(offset)
        await peer.send(message(6, room="one"), message(51, room="two"))
        await peer.drop()

    async def second(peer):
        await peer.accept_auth()
        joins = {join.room: join for join in (await peer.expect(Join), await peer.expect(Join))}
        assert joins["one"].since == Position(EPOCH, 6)
        assert joins["two"].since == Position(EPOCH, 51)
        await peer.send(Error.of(ErrorCode.PERMISSION_DENIED, id=joins["one"].id))
        await peer.send(join_ok(joins["two"], 52, [message(52, room="two")], recovered=True))
        await peer.idle()

    async with (
        connected(FakeNode(first, second)) as client,
        client.join("one") as one,
        client.join("two") as two,
    ):
        assert [(await anext(two)).offset for _ in range(2)] == [51, 52]
        assert (await anext(one)).offset == 6
        with pytest.raises(CommandRefused):
            await anext(one)
        with pytest.raises(CommandRefused):
            await one.publish("x")
        assert client.state is State.CONNECTED


async def test_joining_twice_is_refused_and_does_not_disturb_the_first(autojump_clock):
    async def script(peer):
        await peer.welcome()
        await peer.send(message(1))
        await peer.expect(Leave)
        await peer.accept_join(1)
        await peer.send(message(2))
        await peer.idle()

    async with connected(FakeNode(script)) as client:
        async with client.join("lobby") as room:
            with pytest.raises(CommandRefused) as caught:
                async with client.join("lobby"):
                    pass
            assert caught.value.code is ErrorCode.ALREADY_JOINED
            assert (await anext(room)).offset == 1
        async with client.join("lobby") as room:  # and again, once it was left
            assert (await anext(room)).offset == 2


async def test_a_gap_stands_between_the_messages_it_parts(autojump_clock):
    async def first(peer):
        await peer.welcome()
        await peer.send(message(1))
        await peer.drop()

    async def second(peer):
        await peer.accept_auth()
        await peer.accept_join(700)
        await peer.send(
            Gap(room="lobby", epoch=EPOCH, from_offset=2, to_offset=700, reason="too_many"),
            message(701),
        )
        await peer.idle()

    async with connected(FakeNode(first, second)) as client, client.join("lobby") as room:
        story = []
        async for item in room:
            match item:
                case Message(offset=offset):
                    story.append(offset)
                case Gap(from_offset=first_missed, to_offset=last_missed, reason=reason):
                    story.append((first_missed, last_missed, reason))
            if story[-1] == 701:
                break
    assert story == [1, (2, 700, "too_many"), 701]


async def test_the_session_is_taken_up_by_each_next_connection(autojump_clock):
    """So presence does not flicker, and the node ends what is left of the connection before."""
    sessions = []

    async def script(peer):
        auth = await peer.accept_auth(session=f"s{peer.number}")
        sessions.append(auth.session)
        await peer.drop()

    async with connected(FakeNode(script, script, script)):
        await trio.sleep(20)
    assert sessions == [None, "s0", "s1"]
