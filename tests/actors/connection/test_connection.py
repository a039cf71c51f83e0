"""A connection, as a client sees it, on in-memory streams."""

import json

import pytest
import trio
from support.cast_stage import open_stage
from support.unlimited import NO_LIMITS
from support.wire import frame
from trio_websocket import ConnectionRejected, wrap_client_stream

from greenroom.actors.connection.liveness import Liveness
from greenroom.protocol import Drain


async def test_two_clients_chat(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        ack = await ann.publish("lobby", "hello", key="k1")
        assert (ack["type"], ack["offset"], ack["duplicate"]) == ("ACK", 1, False)
        message = await bob.next("MESSAGE")
        assert (message["user"], message["content"], message["offset"]) == ("ann", "hello", 1)


# Handshake.


async def test_a_client_that_offers_no_subprotocol_speaks_json(autojump_clock):
    async with open_stage() as stage:
        client = await stage.open(subprotocols=())
        assert client.ws.subprotocol is None
        assert (await client.ask("AUTH", token=stage.token("ann")))["type"] == "AUTH_OK"


async def test_a_client_that_offers_only_unknown_subprotocols_is_told_ours(autojump_clock):
    async with open_stage() as stage:
        stream, _ = await stage.raw()
        with pytest.RaisesGroup(ConnectionRejected) as caught:
            async with trio.open_nursery() as nursery:
                await wrap_client_stream(
                    nursery, stream, "test", "/ws", subprotocols=["chat", "v12.stomp"]
                )
        (rejected,) = caught.value.exceptions
        assert rejected.status_code == 400
        assert b"greenroom.v1.json" in rejected.body


async def test_a_handshake_that_does_not_come_is_given_up_in_time(autojump_clock):
    async with open_stage() as stage:
        started = trio.current_time()
        stream, _ = await stage.raw(b"GET /ws HTTP/1.1\r\nHost: x\r\n")
        assert await stream.receive_some() == b""
        assert trio.current_time() - started == pytest.approx(5, abs=0.01)
        await trio.sleep(1)
        assert stage.connections() == 0


async def test_a_client_that_closes_during_the_handshake_frees_everything_at_once(autojump_clock):
    async with open_stage() as stage:
        stream, _ = await stage.raw(b"GET /ws HTTP/1.1\r\n")
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert stage.connections() == 0


# AUTH.


async def test_auth_ok_says_who_and_how_much(autojump_clock):
    async with open_stage() as stage:
        client = await stage.open()
        reply = await client.ask("AUTH", token=stage.token("ann"))
        assert reply["type"] == "AUTH_OK"
        assert (reply["user"], reply["node"], reply["heartbeat_ms"]) == ("ann", "n1", 25_000)
        assert reply["limits"]["content_bytes"] == 32 * 1024
        assert len(reply["session"]) >= 32
        assert reply["session"] != reply["connection"]


async def test_no_auth_in_time_ends_with_4502(autojump_clock):
    async with open_stage() as stage:
        client = await stage.open()
        started = trio.current_time()
        assert await client.close_code() == 4502
        assert 9.9 < trio.current_time() - started < 10.1


@pytest.mark.parametrize(
    ("token", "error", "close"),
    [("nonsense", 101, 4500), ("expired", 109, 4003)],
)
async def test_a_bad_token_is_an_error_and_a_close(autojump_clock, token, error, close):
    async with open_stage() as stage:
        client = await stage.open()
        if token == "expired":
            token = stage.token("ann", lifetime_seconds=-1)
        assert (await client.ask("AUTH", token=token))["code"] == error
        assert await client.close_code() == close


async def test_an_auth_without_a_token_means_the_handshake_s(autojump_clock):
    async with open_stage() as stage:
        client = await stage.open(token=stage.token("ann"))
        reply = await client.ask("AUTH")
        assert (reply["type"], reply["user"]) == ("AUTH_OK", "ann")


async def test_the_token_of_an_auth_goes_before_the_handshake_s(autojump_clock):
    async with open_stage() as stage:
        client = await stage.open(token=stage.token("ann"))
        assert (await client.ask("AUTH", token=stage.token("bob")))["user"] == "bob"


@pytest.mark.parametrize(
    ("carried", "error", "close"),
    [(None, 101, 4500), ("nonsense", 101, 4500), ("expired", 109, 4003)],
)
async def test_an_auth_without_a_token_where_the_handshake_s_is_no_good(
    autojump_clock, carried, error, close
):
    """The handshake's is looked at when AUTH comes, whatever it was worth before."""
    async with open_stage() as stage:
        expired = stage.token("ann", lifetime_seconds=-1)
        client = await stage.open(token=expired if carried == "expired" else carried)
        assert (await client.ask("AUTH"))["code"] == error
        assert await client.close_code() == close


async def test_a_command_before_auth_does_nothing(autojump_clock):
    async with open_stage() as stage:
        client = await stage.open()
        await client.send(type="JOIN", id=1, room="lobby")
        await client.close_code()
        assert stage.rooms() == []


async def test_a_token_that_ends_is_announced_and_then_closes_with_4003(autojump_clock):
    async with open_stage(heartbeat_seconds=10_000) as stage:
        client = await stage.open()
        started = trio.current_time()
        await client.ask("AUTH", token=stage.token("ann", lifetime_seconds=200))
        assert (await client.next("TOKEN_EXPIRING"))["expires"] == 1_800_000_200_000
        assert trio.current_time() - started == pytest.approx(140, abs=0.1)
        assert await client.close_code() == 4003
        assert trio.current_time() - started == pytest.approx(200, abs=0.1)


async def test_a_short_token_is_announced_at_half_its_time_also_after_a_refresh(autojump_clock):
    """Warned a fixed 60 s before, a client with 20 s tokens would refresh without a pause."""
    async with open_stage(heartbeat_seconds=10_000) as stage:
        client = await stage.open()
        started = trio.current_time()
        await client.ask("AUTH", token=stage.token("ann", lifetime_seconds=20))
        for refreshes in (1, 2, 3):
            await client.next("TOKEN_EXPIRING")
            assert trio.current_time() - started == pytest.approx(10 * refreshes, abs=1.1)
            await client.ask("REFRESH", token=stage.token("ann", lifetime_seconds=20))


async def test_refresh_moves_the_end(autojump_clock):
    async with open_stage(heartbeat_seconds=10_000) as stage:
        client = await stage.open()
        await client.ask("AUTH", token=stage.token("ann", lifetime_seconds=100))
        await client.next("TOKEN_EXPIRING")
        reply = await client.ask("REFRESH", token=stage.token("ann", lifetime_seconds=1000))
        assert reply["type"] == "REFRESH_OK"
        await trio.sleep(500)
        assert (await client.ask("JOIN", room="lobby"))["type"] == "JOIN_OK"


async def test_refresh_with_another_subject_is_refused(autojump_clock):
    async with open_stage() as stage:
        client = await stage.client("ann")
        assert (await client.ask("REFRESH", token=stage.token("bob")))["code"] == 103


# Heartbeats.


async def test_a_heartbeat_is_answered_with_its_timestamp(autojump_clock):
    async with open_stage() as stage:
        client = await stage.client("ann")
        await client.send(type="HEARTBEAT", timestamp=1717036800000)
        assert (await client.next("HEARTBEAT"))["echo"] == 1717036800000


async def test_a_heartbeat_with_echo_is_never_answered(autojump_clock):
    async with open_stage() as stage:
        client = await stage.client("ann")
        await client.send(type="HEARTBEAT", timestamp=1, echo=1)
        with trio.move_on_after(5) as scope:
            await client.receive()
        assert scope.cancelled_caught


async def test_a_silent_client_is_asked_after_20_seconds_and_closed_at_33(autojump_clock):
    async with open_stage() as stage:
        client = await stage.member("ann", "lobby")
        started = trio.current_time()
        await client.next("HEARTBEAT")
        assert trio.current_time() - started == pytest.approx(20, abs=0.1)
        assert await client.close_code() == 4005
        assert trio.current_time() - started == pytest.approx(33, abs=0.1)


async def test_a_crash_in_a_beat_ends_that_connection_alone(autojump_clock, monkeypatch):
    """Its beat runs in the task of all beats."""
    async with open_stage() as stage:
        ann, bob = await stage.client("ann"), await stage.client("bob")
        poll = Liveness.poll
        polled = []

        def crash_first(liveness, now):
            polled.append(liveness)
            if polled[0] is liveness:
                raise RuntimeError("a bug in the clock")
            return poll(liveness, now)

        monkeypatch.setattr(Liveness, "poll", crash_first)
        codes = []

        async def hear(client):
            codes.append(await client.close_code())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hear, ann)
            nursery.start_soon(hear, bob)
        assert sorted(codes) == [4002, 4005]


async def test_bytes_that_make_no_message_yet_are_a_sign_of_life(autojump_clock):
    """A frame that trickles in, one byte in 10 s, keeps the connection alive, though for 60 s."""
    async with open_stage() as stage:
        client = await stage.client("ann")
        trickle = frame(1, b" " * 40)
        for byte in trickle[:7]:
            await client.stream.send_all(bytes([byte]))
            await trio.sleep(9.9)
        assert stage.connections() == 1
        await client.stream.send_all(trickle[7:8])
        assert await client.close_code() == 4005


async def test_a_vanished_client_is_cleaned_up_everywhere_within_its_timeouts(autojump_clock):
    """33 s of silence, 2 s for the close, 15 s in which it could have come back."""
    async with open_stage(empty_room_seconds=1000) as stage:
        ann = await stage.member("ann", "lobby")
        await stage.member("bob", "lobby")
        await ann.next("JOINED")
        started = trio.current_time()

        async def stay_alive():
            while True:
                await trio.sleep(5)
                await ann.send(type="HEARTBEAT", timestamp=1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stay_alive)
            left = await ann.next("LEFT")  # bob's client never says another word
            assert (left["user"], left["members"]) == ("bob", 1)
            assert trio.current_time() - started < 33 + 2 + 15 + 0.5
            present = await ann.ask("PRESENCE", room="lobby")
            assert present["members"] == [{"user": "ann", "connections": 1}]
            assert await stage.sessions_of("bob") == ()
            assert stage.connections() == 1
            nursery.cancel_scope.cancel()


# Wrong input.


async def test_a_frame_that_is_no_message_is_error_107_and_the_connection_goes_on(autojump_clock):
    async with open_stage() as stage:
        client = await stage.client("ann")
        await client.ws.send_message("{nonsense")
        assert (await client.next("ERROR"))["code"] == 107
        await client.joined("lobby")


async def test_eight_bad_frames_in_a_row_end_with_4509(autojump_clock):
    async with open_stage() as stage:
        client = await stage.client("ann")
        for _ in range(8):
            await client.ws.send_message("{nonsense")
        assert await client.close_code() == 4509


async def test_a_binary_frame_to_a_json_connection_ends_with_4506(autojump_clock):
    async with open_stage() as stage:
        client = await stage.client("ann")
        await client.ws.send_message(b"{}")
        assert await client.close_code() == 4506


async def test_content_beyond_the_limit_is_error_121(autojump_clock):
    async with open_stage() as stage:
        client = await stage.member("ann", "lobby")
        reply = await client.publish("lobby", "ä" * (16 * 1024 + 1))
        assert reply["code"] == 121


# Back-pressure.


async def test_reading_stops_at_64_unanswered_publishes_and_goes_on_after(autojump_clock):
    async with open_stage() as stage:
        client = await stage.member("ann", "lobby")
        stage.store.gate = trio.Event()
        for number in range(200):
            await client.send(type="PUBLISH", id=1000 + number, room="lobby", content="x")
        await trio.sleep(60)  # far beyond the heartbeat timeout: the clock pauses
        assert stage.connections() == 1
        ledger = stage.services.ledger.room("lobby")
        assert ledger.published <= 64
        stage.store.gate.set()
        acks = [await client.next("ACK") for _ in range(200)]
        assert [ack["offset"] for ack in acks] == list(range(1, 201))


async def test_a_frame_may_be_large_once_auth_has_succeeded(autojump_clock):
    async with open_stage(max_frame_bytes_before_auth=1000) as stage:
        stranger = await stage.open()
        await stranger.send(type="AUTH", id=1, token="x" * 1000)
        assert await stranger.close_code() == 1009
        member = await stage.member("ann", "lobby")
        assert (await member.publish("lobby", "x" * 1000))["type"] == "ACK"


async def test_what_waits_for_the_answer_to_an_auth_is_bounded(autojump_clock):
    """Reading stops at 16 KiB, and goes on when the client is known."""
    async with open_stage() as stage:
        client = await stage.open()
        token = stage.token("ann")
        await client.send(type="AUTH", id=1, token=token)
        for number in range(2, 32):
            await client.send(type="PUBLISH", id=number, room="lobby", content="x" * 1000)
        assert (await client.reply_to(1))["type"] == "AUTH_OK"
        assert {(await client.reply_to(number))["type"] for number in range(2, 32)} == {"ERROR"}


def in_fragments(**message) -> bytes:
    text = json.dumps(message).encode()
    return frame(1, text[:3], fin=False) + frame(0, text[3:])


@pytest.mark.parametrize("command", ["HISTORY", "PUBLISH"])
async def test_the_window_s_bound_holds_up_no_answer_to_what_came_in_fragments(
    autojump_clock, command
):
    """A segment holds more than the window does; the room crashes meanwhile."""
    async with open_stage(rates=NO_LIMITS) as stage:
        client = await stage.member("ann", "lobby")
        stage.store.gate = trio.Event()
        fields = {"limit": 1} if command == "HISTORY" else {"content": "x"}
        await client.stream.send_all(
            b"".join(
                in_fragments(type=command, id=1000 + number, room="lobby", **fields)
                for number in range(100)
            )
        )
        await trio.sleep(1)
        await stage.cast.rooms.ref("lobby").tell("a message that no room understands")
        await trio.sleep(1)
        stage.store.gate.set()
        answers = [await client.reply_to(1000 + number) for number in range(100)]
        assert {answer["type"] for answer in answers} <= {"HISTORY_OK", "ACK"}


# Ends.


@pytest.mark.parametrize("code", [1000, 1001, 3456])
async def test_a_client_that_closes_gets_its_code_back(autojump_clock, code):
    async with open_stage() as stage:
        client = await stage.client("ann")
        with trio.fail_after(1):
            await client.ws.aclose(code)
        assert client.ws.closed.code == code
        await trio.testing.wait_all_tasks_blocked()
        assert stage.connections() == 0


async def test_what_was_sent_before_the_close_is_still_obeyed(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.member("ann", "lobby")
        bob = await stage.member("bob", "lobby")
        await ann.send(type="PUBLISH", room="lobby", content="bye")
        await ann.ws.aclose()
        assert (await bob.next("MESSAGE"))["content"] == "bye"


async def test_a_stopping_node_says_4001(autojump_clock):
    async with open_stage() as stage:
        client = await stage.client("ann")
        stage.nursery.start_soon(stage.sup.stop)
        assert await client.close_code() == 4001


async def test_a_crash_of_the_actor_closes_that_socket_with_4002(autojump_clock):
    async with open_stage() as stage:
        ann = await stage.client("ann")
        bob = await stage.client("bob")
        first = stage.cast.connections.which_children()[0].ref
        await first.tell("a message that no connection understands")
        assert await ann.close_code() == 4002
        await bob.joined("lobby")


async def test_drain_is_passed_on(autojump_clock):
    async with open_stage() as stage:
        client = await stage.client("ann")
        (child,) = stage.cast.connections.which_children()
        child.ref.tell_nowait(Drain(after_ms=0, spread_ms=5000))
        assert (await client.next("DRAIN"))["spread_ms"] == 5000


async def test_json_on_the_wire_is_one_object_a_frame(autojump_clock):
    async with open_stage() as stage:
        client = await stage.open()
        await client.send(type="AUTH", id=7, token=stage.token("ann"))
        assert json.loads(await client.ws.get_message())["id"] == 7
