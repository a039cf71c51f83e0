"""The client through its public API, against scripted nodes."""

import math

import pytest
import trio
import trio.testing
from support.fakenode import EPOCH, URL, FakeNode, ack, connected, message, raw

from greenroom.client import (
    ClientClosed,
    CloseCode,
    CommandRefused,
    ErrorCode,
    Gap,
    Message,
    RemovedFromRoom,
    State,
    open_client,
)
from greenroom.protocol import (
    Drain,
    Error,
    Heartbeat,
    History,
    HistoryOk,
    Join,
    Joined,
    Leave,
    Member,
    Position,
    Presence,
    PresenceOk,
    Publish,
    Refresh,
    RefreshOk,
    Removed,
    TokenExpiring,
    Typing,
    TypingPush,
)


async def take(room, count):
    return [await anext(room) for _ in range(count)]


async def test_publish_returns_the_ack(autojump_clock):
    async def script(peer):
        await peer.welcome()
        publish = await peer.expect(Publish)
        assert publish.content == "hello"
        await peer.send(ack(publish, 1))
        await peer.idle()

    async with connected(FakeNode(script)) as client, client.join("lobby") as room:
        assert (await room.publish("hello")).offset == 1


async def test_iteration_gives_messages_in_order(autojump_clock):
    async def script(peer):
        await peer.welcome()
        await peer.send(*map(message, (1, 2, 3)))
        await peer.idle()

    async with connected(FakeNode(script)) as client, client.join("lobby") as room:
        assert await take(room, 3) == [message(1), message(2), message(3)]


async def test_leaving_the_room_sends_leave(autojump_clock):
    left = trio.Event()

    async def script(peer):
        await peer.welcome()
        await peer.expect(Leave)
        left.set()
        await peer.idle()

    async with connected(FakeNode(script)) as client:
        async with client.join("lobby"):
            pass
        await left.wait()


async def test_leaving_the_client_closes_with_1000(autojump_clock):
    codes = []

    async def script(peer):
        await peer.accept_auth()
        try:
            await peer.receive()
        finally:
            codes.append(peer.ws.closed.code)

    async with connected(FakeNode(script)) as client:
        await client.wait_connected()
    assert codes == [1000]
    assert client.state is State.CLOSED


async def test_close_is_bounded_when_the_node_never_answers(autojump_clock):
    """A node that reads nothing more can hold the exit for 2 s, not for ever."""

    async def script(peer):
        await peer.accept_auth()
        peer.ws._reader_running = False
        await trio.sleep_forever()

    async with connected(FakeNode(script)) as client:
        await client.wait_connected()
        left_at = trio.current_time()
    assert trio.current_time() - left_at == pytest.approx(2, abs=0.1)


async def test_rejoins_from_its_position_and_delivers_each_message_once(autojump_clock):
    async def first(peer):
        await peer.welcome(offset=5)
        await peer.send(message(6), message(7))
        await peer.drop()

    async def second(peer):
        await peer.accept_auth()
        join = await peer.accept_join(9, messages=map(message, (7, 8, 9)), recovered=True)
        assert join.since == Position(EPOCH, 7)
        await peer.send(message(9), message(10))
        await peer.idle()

    async with connected(FakeNode(first, second)) as client, client.join("lobby") as room:
        assert [item.offset for item in await take(room, 5)] == [6, 7, 8, 9, 10]


async def test_what_could_not_be_recovered_is_a_gap_in_its_place(autojump_clock):
    async def first(peer):
        await peer.welcome(offset=5)
        await peer.send(message(6))
        await peer.drop()

    async def second(peer):
        await peer.accept_auth()
        await peer.accept_join(900, recovered=False)
        told = Gap(room="lobby", epoch=EPOCH, from_offset=7, to_offset=900, reason="expired")
        await peer.send(told, message(901))
        await peer.idle()

    async with connected(FakeNode(first, second)) as client, client.join("lobby") as room:
        items = await take(room, 3)
    assert [type(item) for item in items] == [Message, Gap, Message]
    assert (items[1].from_offset, items[1].to_offset) == (7, 900)


async def test_unacknowledged_publish_is_sent_again_under_its_key(autojump_clock):
    keys = []

    async def first(peer):
        await peer.welcome()
        keys.append((await peer.expect(Publish)).key)
        await peer.drop()

    async def second(peer):
        await peer.welcome()
        publish = await peer.expect(Publish)
        keys.append(publish.key)
        await peer.send(ack(publish, 1, duplicate=True))
        await peer.idle()

    async with connected(FakeNode(first, second)) as client, client.join("lobby") as room:
        assert (await room.publish("hello")).duplicate
    assert keys[0] == keys[1]


async def test_unacknowledged_publishes_keep_their_order(autojump_clock):
    contents = []

    async def first(peer):
        await peer.welcome()
        for _ in range(2):
            await peer.expect(Publish)
        await peer.drop()

    async def second(peer):
        await peer.welcome()
        for offset in (1, 2):
            publish = await peer.expect(Publish)
            contents.append(publish.content)
            await peer.send(ack(publish, offset))
        await peer.idle()

    async with (
        connected(FakeNode(first, second)) as client,
        client.join("lobby") as room,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(room.publish, "one")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(room.publish, "two")
    assert contents == ["one", "two"]


async def test_final_refusal_of_a_publish_is_raised_with_its_code(autojump_clock):
    async def script(peer):
        await peer.welcome()
        publish = await peer.expect(Publish)
        await peer.send(Error.of(ErrorCode.KEY_CONFLICT, id=publish.id))
        await peer.idle()

    async with connected(FakeNode(script)) as client, client.join("lobby") as room:
        with pytest.raises(CommandRefused) as caught:
            await room.publish("hello", key="k")
    assert caught.value.code is ErrorCode.KEY_CONFLICT


async def test_temporary_refusal_of_a_publish_is_tried_again_when_the_node_says(autojump_clock):
    async def script(peer):
        await peer.welcome()
        first = await peer.expect(Publish)
        at = trio.current_time()
        await peer.send(Error.of(ErrorCode.NOT_AVAILABLE, id=first.id, retry_after_ms=7000))
        again = await peer.expect(Publish)
        assert (again.key, trio.current_time()) == (first.key, pytest.approx(at + 7))
        await peer.send(ack(again, 1))
        await peer.idle()

    async with connected(FakeNode(script)) as client, client.join("lobby") as room:
        assert (await room.publish("hello")).offset == 1


async def test_too_large_content_is_refused_without_asking_the_node(autojump_clock):
    """The node would close with 1009, for good, if the frame went out."""

    async def script(peer):
        await peer.welcome()
        await peer.idle()

    async with connected(FakeNode(script)) as client, client.join("lobby") as room:
        for content in ("x" * 32_769, "\x01" * 20_000):
            with pytest.raises(CommandRefused) as caught:
                await room.publish(content)
            assert caught.value.code is ErrorCode.CONTENT_TOO_LARGE


async def test_at_most_64_publishes_wait_for_their_ack(autojump_clock):
    seen = []

    async def script(peer):
        await peer.welcome()
        while True:
            seen.append(await peer.expect(Publish))

    async with (
        connected(FakeNode(script)) as client,
        client.join("lobby") as room,
        trio.open_nursery() as nursery,
    ):
        for _ in range(100):
            nursery.start_soon(room.publish, "x")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(seen) == 64
        nursery.cancel_scope.cancel()


async def test_cancelled_publish_leaves_the_connection_usable(autojump_clock):
    async def script(peer):
        await peer.welcome()
        await peer.expect(Publish)
        second = await peer.expect(Publish)
        await peer.send(ack(second, 2))
        await peer.idle()

    async with connected(FakeNode(script)) as client, client.join("lobby") as room:
        with trio.move_on_after(1):
            await room.publish("never acknowledged")
        assert (await room.publish("acknowledged")).offset == 2


async def test_own_acknowledged_message_is_not_delivered_by_a_recovery(autojump_clock):
    async def first(peer):
        await peer.welcome()
        await peer.send(ack(await peer.expect(Publish), 1))
        await peer.drop()

    async def second(peer):
        await peer.accept_auth()
        join = await peer.accept_join(2, messages=[message(2)], recovered=True)
        assert join.since == Position(EPOCH, 1)
        await peer.idle()

    async with connected(FakeNode(first, second)) as client, client.join("lobby") as room:
        await room.publish("mine")
        assert (await anext(room)).offset == 2


async def test_waits_grow_with_every_failed_try_up_to_thirty_seconds(autojump_clock):
    node = FakeNode()
    async with connected(node) as client:
        await trio.sleep(100)
        assert client.state is State.DISCONNECTED
    waits = [b - a for a, b in zip(node.connected_at, node.connected_at[1:], strict=False)]
    assert waits[:6] == pytest.approx([1, 2, 4, 8, 16, 30])


async def test_row_starts_again_after_ten_seconds_connected(autojump_clock):
    async def stable(peer):
        await peer.accept_auth()
        with trio.move_on_after(10):
            await peer.idle()
        await peer.drop()

    async def brief(peer):
        await peer.accept_auth()
        await peer.drop()

    node = FakeNode(brief, brief, stable, brief)
    async with connected(node):
        await trio.sleep(20)
    at = node.connected_at
    assert [at[1] - at[0], at[2] - at[1], at[3] - at[2]] == pytest.approx([1, 2, 11])


async def test_drain_says_when_to_come_back(autojump_clock):
    async def script(peer):
        await peer.accept_auth()
        await peer.send(Drain(after_ms=5000, spread_ms=2000))
        await peer.ws.aclose(CloseCode.SHUTDOWN)

    node = FakeNode(script)
    async with connected(node):
        await trio.sleep(8)
    assert node.connected_at[1] - node.connected_at[0] == pytest.approx(7)


async def test_status_tells_the_countdown(autojump_clock):
    async with connected(FakeNode()) as client:
        async for status in client.state_changes():
            if status.retry_at is not None:
                break
        assert status.retry_in_seconds == pytest.approx(1)
        await trio.sleep(0.75)
        assert status.retry_in_seconds == pytest.approx(0.25)


async def test_state_changes_tell_the_whole_story(autojump_clock):
    async def script(peer):
        await peer.accept_auth()
        await peer.ws.aclose(CloseCode.KICKED, "out")

    async with connected(FakeNode(script)) as client:
        states = [status.state async for status in client.state_changes()]
        with pytest.raises(ClientClosed):
            await client.wait_connected()
    assert states == [State.DISCONNECTED, State.CONNECTED, State.CLOSED]


async def test_terminal_close_code_raises_from_every_waiting_operation(autojump_clock):
    async def script(peer):
        await peer.welcome()
        await peer.expect(Publish)
        await peer.ws.aclose(CloseCode.TOKEN_REVOKED, "token revoked")

    caught = []

    async def fails(fn):
        with pytest.raises(ClientClosed) as error:
            await fn()
        caught.append(error.value.close_code)

    async with connected(FakeNode(script)) as client, client.join("lobby") as room:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails, room.__anext__)
            nursery.start_soon(fails, lambda: room.publish("x"))
        await fails(room.presence)
    assert caught == [4508, 4508, 4508]


async def test_failure_nobody_saw_is_raised_on_leaving(autojump_clock):
    async def script(peer):
        await peer.expect(object)
        await peer.ws.aclose(CloseCode.INVALID_TOKEN)

    node = FakeNode(script)
    async with trio.open_nursery() as nursery:
        node.nursery = nursery
        with pytest.raises(ClientClosed):
            async with open_client(URL, token="t", connector=node.connect):
                await trio.sleep(5)


async def test_exception_of_the_block_leaves_it_unwrapped(autojump_clock):
    async def script(peer):
        await peer.accept_auth()
        await peer.idle()

    node = FakeNode(script)
    async with trio.open_nursery() as nursery:
        node.nursery = nursery
        with pytest.raises(ZeroDivisionError):  # the block is what is tested
            async with open_client(URL, token="t", connector=node.connect) as client:
                await client.wait_connected()
                _ = 1 / 0


async def test_silence_makes_unreachable_at_25_seconds_and_closes_at_33(autojump_clock):
    changes = []

    async def script(peer):
        await peer.accept_auth()
        peer.answer_heartbeats = False
        await peer.idle()

    async with connected(FakeNode(script)) as client:
        await client.wait_connected()
        since = trio.current_time()
        with trio.move_on_after(34):
            async for status in client.state_changes():
                changes.append((status.state.name, trio.current_time() - since))  # noqa: PERF401  # cut short
    assert changes[1] == ("UNREACHABLE", pytest.approx(25))
    assert changes[2][0] == "DISCONNECTED"
    assert 33 <= changes[2][1] <= 35


async def test_client_sends_heartbeats_and_stays_connected(autojump_clock):
    async def script(peer):
        await peer.accept_auth()
        await peer.idle()

    async with connected(FakeNode(script)) as client:
        await client.wait_connected()
        with trio.move_on_after(200):
            async for status in client.state_changes():
                assert status.state is State.CONNECTED


async def test_any_bytes_end_unreachable(autojump_clock):
    """Half a frame is a sign of life."""

    async def script(peer):
        await peer.accept_auth()
        peer.answer_heartbeats = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.idle)
            await trio.sleep(26)
            await peer.stream.send_all(b"\x81")

    async with connected(FakeNode(script)) as client:
        await client.wait_connected()
        await trio.sleep(25.5)
        assert client.state is State.UNREACHABLE
        await trio.sleep(1)
        assert client.state is State.CONNECTED


async def test_heartbeat_without_echo_is_answered(autojump_clock):
    answered = trio.Event()

    async def script(peer):
        await peer.accept_auth()
        await peer.send(Heartbeat(timestamp=42), Heartbeat(timestamp=1, echo=2))
        with trio.move_on_after(1):
            await peer.idle()
        assert [beat.echo for beat in peer.heartbeats] == [42]
        answered.set()

    async with connected(FakeNode(script)):
        await answered.wait()


async def test_token_callable_is_asked_for_each_connection(autojump_clock):
    tokens = iter(["one", "two"])
    seen = []

    async def token():
        return next(tokens)

    async def first(peer):
        seen.append((await peer.accept_auth()).token)
        await peer.drop()

    async def second(peer):
        seen.append((await peer.accept_auth()).token)
        await peer.idle()

    async with connected(FakeNode(first, second), token=token):
        await trio.sleep(5)
    assert seen == ["one", "two"]


async def test_token_expiring_is_answered_with_refresh(autojump_clock):
    refreshed = trio.Event()

    async def token():
        return "fresh"

    async def script(peer):
        await peer.accept_auth()
        await peer.send(TokenExpiring(expires=1))
        refresh = await peer.expect(Refresh)
        assert refresh.token == "fresh"
        await peer.send(RefreshOk(id=refresh.id, expires=2))
        refreshed.set()
        await peer.idle()

    async with connected(FakeNode(script), token=token):
        await refreshed.wait()


async def test_token_callable_that_raises_ends_the_client_with_its_cause(autojump_clock):
    async def token():
        raise LookupError("no such account")

    async with connected(FakeNode(), token=token) as client:
        with pytest.raises(ClientClosed) as caught:
            await client.wait_connected()
    assert isinstance(caught.value.__cause__, LookupError)


async def test_expired_fixed_token_is_final(autojump_clock):
    async def script(peer):
        auth = await peer.receive()
        await peer.send(Error.of(ErrorCode.TOKEN_EXPIRED, id=auth.id))
        await peer.ws.aclose(CloseCode.TOKEN_EXPIRED)

    async with connected(FakeNode(script)) as client:
        with pytest.raises(ClientClosed, match="token expired"):
            await client.wait_connected()


async def test_second_auth_takes_the_session_up_again(autojump_clock):
    async def first(peer):
        assert (await peer.accept_auth(session="mine")).session is None
        await peer.drop()

    resumed = trio.Event()

    async def second(peer):
        assert (await peer.accept_auth()).session == "mine"
        resumed.set()
        await peer.idle()

    async with connected(FakeNode(first, second)):
        await resumed.wait()


async def test_a_session_that_went_on_elsewhere_closes_the_client_for_good(autojump_clock):
    """4510 is final: coming back would throw the other one out, and so on for ever."""

    async def script(peer):
        await peer.welcome()
        await peer.ws.aclose(CloseCode.SESSION_REPLACED, CloseCode.SESSION_REPLACED.reason)

    node = FakeNode(script, script)
    with trio.fail_after(600):
        async with connected(node) as client:
            with pytest.raises(
                ClientClosed, match=r"session replaced \(close code 4510\)"
            ) as caught:
                async with client.join("lobby") as room:
                    async for _ in room:
                        pass
            assert caught.value.close_code == CloseCode.SESSION_REPLACED
            assert client.state is State.CLOSED
            await trio.sleep(120)
    assert len(node.connected_at) == 1


async def test_refused_join_raises_its_code(autojump_clock):
    async def script(peer):
        await peer.accept_auth()
        join = await peer.expect(Join)
        await peer.send(Error.of(ErrorCode.PERMISSION_DENIED, id=join.id))
        await peer.idle()

    async with connected(FakeNode(script)) as client:
        with pytest.raises(CommandRefused) as caught:
            async with client.join("secret"):
                pass
    assert caught.value.code is ErrorCode.PERMISSION_DENIED


async def test_joining_twice_is_refused_here(autojump_clock):
    async def script(peer):
        await peer.welcome()
        await peer.idle()

    async with connected(FakeNode(script)) as client, client.join("lobby"):
        with pytest.raises(CommandRefused, match="already joined"):
            async with client.join("lobby"):
                pass


async def test_removed_for_good_ends_the_iteration_with_the_code(autojump_clock):
    async def script(peer):
        await peer.welcome()
        await peer.send(
            message(1), Removed(room="lobby", code=ErrorCode.PERMISSION_DENIED, rejoin=False)
        )
        await peer.idle()

    async with connected(FakeNode(script)) as client, client.join("lobby") as room:
        assert (await anext(room)).offset == 1
        with pytest.raises(RemovedFromRoom) as caught:
            await anext(room)
    assert caught.value.code is ErrorCode.PERMISSION_DENIED


async def test_removed_with_rejoin_joins_again_from_its_position(autojump_clock):
    async def script(peer):
        await peer.welcome()
        await peer.send(
            message(1), Removed(room="lobby", code=ErrorCode.NOT_AVAILABLE, rejoin=True)
        )
        join = await peer.accept_join(2, messages=[message(2)], recovered=True)
        assert join.since == Position(EPOCH, 1)
        await peer.idle()

    async with connected(FakeNode(script)) as client, client.join("lobby") as room:
        assert [item.offset for item in await take(room, 2)] == [1, 2]


async def test_slow_reader_reads_what_it_left_from_the_history(autojump_clock):
    """1,000 messages come before the first is taken: all arrive, 256 at most were kept."""
    stored = [message(offset) for offset in range(1, 1001)]

    async def script(peer):
        await peer.welcome()
        await peer.send(*stored)
        while True:
            history = await peer.expect(History)
            after = history.since.offset
            page = stored[after : after + history.limit]
            await peer.send(
                HistoryOk(
                    id=history.id,
                    room="lobby",
                    epoch=EPOCH,
                    messages=tuple(page),
                    more=after + history.limit < 1000,
                )
            )

    async with connected(FakeNode(script)) as client, client.join("lobby") as room:
        await trio.sleep(1)
        items = await take(room, 1000)
    assert [item.offset for item in items] == list(range(1, 1001))


async def test_slow_reader_can_publish(autojump_clock):
    """The ACK stands behind a thousand messages that nobody has taken."""

    async def script(peer):
        await peer.welcome()
        await peer.send(*map(message, range(1, 1001)))
        await peer.send(ack(await peer.expect(Publish), 1001))
        await peer.idle()

    async with connected(FakeNode(script)) as client, client.join("lobby") as room:
        assert (await room.publish("still here")).offset == 1001


async def test_slow_reader_does_not_stop_heartbeats(autojump_clock):
    async def script(peer):
        await peer.welcome()
        await peer.send(*map(message, range(1, 1001)))
        await peer.idle()

    async with connected(FakeNode(script)) as client, client.join("lobby"):
        await trio.sleep(100)
        assert client.state is State.CONNECTED


async def test_presence_and_typing(autojump_clock):
    async def script(peer):
        await peer.welcome()
        assert await peer.expect(Typing) == Typing(room="lobby")
        asked = await peer.expect(Presence)
        members = (Member("ann", 1), Member("bob", 2))
        await peer.send(PresenceOk(id=asked.id, room="lobby", members=members))
        await peer.idle()

    async with connected(FakeNode(script)) as client, client.join("lobby") as room:
        room.typing()
        assert await room.presence() == (Member("ann", 1), Member("bob", 2))


async def test_events_tell_who_comes_and_types(autojump_clock):
    async def script(peer):
        await peer.welcome()
        await peer.expect(Typing)
        await peer.send(
            Joined(room="lobby", user="bob", members=2), TypingPush(room="lobby", user="bob")
        )
        await peer.idle()

    async with connected(FakeNode(script)) as client, client.join("lobby") as room:
        events = room.events()
        room.typing()
        assert await anext(events) == Joined(room="lobby", user="bob", members=2)
        assert await anext(events) == TypingPush(room="lobby", user="bob")
        assert room.members == 2


async def test_leaving_while_disconnected_does_not_wait(autojump_clock):
    async with connected(FakeNode()):
        await trio.sleep(10)
        left_at = trio.current_time()
    assert trio.current_time() == pytest.approx(left_at, abs=0.1)


async def test_operation_after_the_block_raises_closed_resource(autojump_clock):
    async def script(peer):
        await peer.welcome()
        await peer.idle()

    async with connected(FakeNode(script)) as client:
        async with client.join("lobby") as room:
            pass
        with pytest.raises(trio.ClosedResourceError):
            await room.publish("x")
        with pytest.raises(trio.ClosedResourceError):
            await anext(room)


async def test_failure_is_raised_on_leaving_also_when_nobody_reads_the_room(autojump_clock):
    async def script(peer):
        await peer.welcome()
        await peer.ws.aclose(CloseCode.KICKED)

    with pytest.RaisesGroup(ClientClosed):
        async with connected(FakeNode(script)) as client, client.join("lobby"):
            await trio.sleep(5)


async def test_http_503_waits_as_long_as_retry_after_says(autojump_clock):
    node = FakeNode()
    answer = b"HTTP/1.1 503 Busy\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n"
    async with connected(node, connector=raw(node, answer)):
        await trio.sleep(18)
    assert node.connected_at[1] - node.connected_at[0] == pytest.approx(17)


async def test_http_401_is_final(autojump_clock):
    node = FakeNode()
    answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"
    async with connected(node, connector=raw(node, answer)) as client:
        with pytest.raises(ClientClosed) as caught:
            await client.wait_connected()
    assert caught.value.http_status == 401


@pytest.mark.parametrize("answer", [b"", b"\x00\x01 nonsense\r\n\r\n", b"x" * 100_000])
async def test_peer_that_is_no_node_is_tried_again(autojump_clock, answer):
    """trio-websocket alone would wait for ever, or raise what no caller can know."""
    node = FakeNode()
    async with connected(node, connector=raw(node, answer)) as client:
        await trio.sleep(5)
        assert client.state is State.DISCONNECTED
    assert node.connected_at[1] - node.connected_at[0] == pytest.approx(1, abs=0.1)


async def test_peer_that_never_answers_the_upgrade_is_given_up_after_ten_seconds(autojump_clock):
    node = FakeNode()
    async with connected(node, connector=raw(node, None)):
        await trio.sleep(15)
    assert node.connected_at[1] - node.connected_at[0] == pytest.approx(11, abs=0.1)


async def test_unreadable_frame_ends_the_connection_not_the_client(autojump_clock):
    async def script(peer):
        await peer.accept_auth()
        await peer.ws.send_message("{}")
        await peer.idle()

    async def second(peer):
        await peer.accept_auth()
        await peer.idle()

    async with connected(FakeNode(script, second)) as client:
        await trio.sleep(5)
        assert client.state is State.CONNECTED


async def test_push_of_a_later_version_is_ignored(autojump_clock):
    async def script(peer):
        await peer.welcome()
        await peer.ws.send_message('{"type":"CONFETTI","room":"lobby"}')
        await peer.send(message(1))
        await peer.idle()

    async with connected(FakeNode(script)) as client, client.join("lobby") as room:
        assert (await anext(room)).offset == 1


async def test_ping_after_the_close_frame_harms_nobody(autojump_clock):
    async def script(peer):
        await peer.accept_auth()
        await peer.stream.send_all(b"\x88\x02\x0f\xa1\x89\x00")  # CLOSE 4001, PING
        await trio.sleep(1)

    node = FakeNode(script)
    async with connected(node) as client:
        await trio.sleep(0.5)
        assert client.status.close_code == CloseCode.SHUTDOWN


async def test_cancelling_the_host_does_not_wait_for_the_node(autojump_clock):
    async def script(peer):
        await peer.accept_auth()
        peer.ws._reader_running = False
        await trio.sleep_forever()

    async with connected(FakeNode(script)) as client:
        await client.wait_connected()
        at = trio.current_time()
        node = FakeNode(script)
        async with trio.open_nursery() as nursery:
            node.nursery = nursery
            with trio.move_on_after(3):
                async with open_client(URL, token="t", connector=node.connect):
                    await trio.sleep(math.inf)
            assert trio.current_time() == pytest.approx(at + 3, abs=0.1)
            nursery.cancel_scope.cancel()


async def test_an_unknown_codec_is_refused_by_name():
    with pytest.raises(ValueError, match="a codec is json or protobuf, not 'xml'"):
        async with open_client("ws://node.test/ws", token="t", codec="xml"):
            pass  # pragma: no cover
