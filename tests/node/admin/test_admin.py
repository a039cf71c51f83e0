"""The operators' gate: who gets in, what is seen, what is done, and what is written down."""

import io
import json
import logging

import pytest
import trio
from support.admin_gate import KEYS, OPS, READER, open_gate
from support.cast_stage import FakeStore, open_stage, until

from greenroom.actors.budgets import Budget
from greenroom.actors.rates import RateLimits
from greenroom.node.admin.gate import FAILURES
from greenroom.node.http.security_headers import SECURITY_HEADERS
from greenroom.node.logs import AUDIT_LOGGER, BURST, configure_logs

pytestmark = pytest.mark.socket

READS = ["status", "tree", "connections", "rooms", "ledger", "revocations", "openapi.json"]
WRITES = ["publish", "disconnect", "revoke"]


@pytest.fixture
async def stage():
    async with open_stage(heartbeat_seconds=1000.0, close_seconds=0.05) as opened:
        yield opened


@pytest.fixture
async def gate(stage):
    async with open_gate(stage) as opened:
        yield opened


@pytest.fixture
def audit():
    """Return the audit lines that were written to the log."""
    stream = io.StringIO()
    configure_logs(log_format="json", level="error", stream=stream)

    def lines():
        written = [json.loads(line) for line in stream.getvalue().splitlines()]
        return [line for line in written if line["event"] == "audit"]

    return lines


# Who gets in.


BAD_AUTHORIZATION = [
    None,
    "",
    "Bearer",
    "Bearer ",
    f"Bearer {OPS[:-1]}",
    f"Bearer {OPS}x",
    f"Bearer {OPS.upper()}",
    f"Bearer ops={OPS}",
    f"Basic {OPS}",
    OPS,
    f"Bearer {OPS}, Bearer {OPS}",
]


@pytest.mark.parametrize("authorization", BAD_AUTHORIZATION)
async def test_without_a_good_key_everything_looks_alike(gate, authorization):
    answers = [
        await gate.ask(method, path, key=None, Authorization=authorization)
        for method, path in (
            ("GET", "/v1/status"),
            ("GET", "/v1/nothing"),
            ("POST", "/v1/publish"),
            ("OPTIONS", "/v1/status"),
            ("GET", "/"),
        )
    ]
    assert {answer.status for answer in answers} == {401}
    assert {answer.body for answer in answers} == {b'{"error":"Unauthorized"}'}
    assert {answer.headers["www-authenticate"] for answer in answers} == {
        'Bearer realm="greenroom"'
    }


async def test_two_keys_at_once_are_none(gate):
    answer = await gate.ask("GET", "/v1/status", authorization=f"Bearer {READER}")
    assert answer.status == 401


async def test_a_key_in_the_query_or_in_a_cookie_is_none(gate):
    answer = await gate.ask("GET", f"/v1/status?key={OPS}", key=None, Cookie=f"key={OPS}")
    assert answer.status == 401


async def test_who_goes_on_without_a_key_is_told_to_wait_and_keeps_nobody_out(gate):
    for _ in range(FAILURES):
        assert (await gate.ask("GET", "/v1/status", key="wrong")).status == 401
    answer = await gate.ask("GET", "/v1/status", key="wrong")
    assert (answer.status, answer.headers["retry-after"]) == (429, "3")
    assert (await gate.ask("GET", "/v1/status")).status == 200


@pytest.mark.parametrize("path", READS)
async def test_a_key_for_reading_reads(gate, path):
    assert (await gate.ask("GET", f"/v1/{path}", key=READER)).status == 200


@pytest.mark.parametrize("path", WRITES)
async def test_a_key_for_reading_does_nothing_else(stage, gate, path):
    answer = await gate.ask("POST", f"/v1/{path}", {"user": "ann"}, key=READER)
    assert (answer.status, answer.json) == (403, {"error": "Forbidden"})


def test_every_key_holds_as_long_as_it_is_listed():
    assert [KEYS.find(key).name for key in (OPS, READER)] == ["ops", "reader"]


async def test_no_page_of_another_origin_is_answered_and_no_origin_is_allowed(gate):
    for origin, status in (
        ("http://evil.example", 403),
        ("null", 403),
        (f"http://127.0.0.1:{gate.port}", 200),
    ):
        answer = await gate.ask("GET", "/v1/status", Origin=origin)
        assert answer.status == status
        assert [name for name in answer.headers if name.startswith("access-control")] == []
        assert "set-cookie" not in answer.headers


async def test_every_answer_has_the_security_headers_and_is_not_stored(gate):
    for method, path, key in (
        ("GET", "/v1/status", OPS),
        ("GET", "/v1/status", None),
        ("GET", "/v1/nothing", OPS),
        ("PUT", "/v1/status", OPS),
        ("POST", "/v1/publish", OPS),
    ):
        answer = await gate.ask(method, path, key=key)
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers[name.lower()] == value
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers


async def test_another_method_is_405_and_another_path_404(gate):
    answer = await gate.ask("DELETE", "/v1/status")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert (await gate.ask("GET", "/v1/publish")).headers["allow"] == "POST"
    for path in ("/", "/v1", "/v1/status/", "/v2/status", "/metrics", "/healthz", "/ws"):
        assert (await gate.ask("GET", path)).status == 404


async def test_there_is_no_websocket(gate):
    upgrade = (
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert (await gate.exchange(upgrade)).status == 404


# What is seen.


async def test_status_says_how_the_node_is(stage, gate):
    await stage.member("ann", "lobby")
    status = await gate.get("status")
    assert (status["node"], status["connections"], status["rooms"]) == ("n1", 1, 1)
    assert (status["ready"], status["draining"], status["store"]) == (True, False, "ready")
    assert set(status["versions"]) == {"greenroom", "python", "trio"}
    gate.store_error = RuntimeError("the password is 12345")
    status = await gate.get("status")
    assert (status["ready"], status["store"]) == (False, "unavailable")
    assert "12345" not in json.dumps(status)
    gate.store_error, gate.draining = None, True
    status = await gate.get("status")
    assert (status["ready"], status["draining"]) == (False, True)


async def test_the_tree_shows_where_actors_wait_and_of_crowds_their_number(stage, gate):
    await stage.member("ann", "lobby")
    tree = await gate.get("tree")
    children = {child["id"]: child for child in tree["children"]}
    assert children["registry"]["waits_at"]
    assert (children["connections"]["count"], children["connections"]["children"]) == (1, [])


async def test_each_room_and_connection_of_the_tree_comes_in_pages(stage, gate):
    for room in ("b", "a", "c"):
        await stage.member("ann", room)
    page = await gate.get("tree/rooms?limit=2")
    assert [room["id"] for room in page["children"]] == ["a", "b"]
    assert (page["next"], page["total"]) == ("b", 3)
    assert page["children"][0]["waits_at"]
    page = await gate.get("tree/rooms?after=b")
    assert ([room["id"] for room in page["children"]], page["next"]) == (["c"], None)
    assert len((await gate.get("tree/connections"))["children"]) == 3
    assert (await gate.ask("GET", "/v1/tree/registry")).status == 404


async def test_a_crash_is_shown_by_its_kind_and_place_without_its_text(stage, gate):
    await stage.member("ann", "lobby")
    await stage.cast.rooms.find("lobby").tell("the password is 12345")
    await until(lambda: stage.cast.rooms.snapshot().children[0].last_crash is not None)
    rooms = await gate.get("tree/rooms")
    crash = rooms["children"][0]["last_crash"]
    assert crash["error"] == "TypeError"
    assert "room.py" in crash["where"]
    assert "12345" not in json.dumps(rooms)


async def test_connections_come_in_pages_and_may_be_chosen(stage, gate):
    for name in ("ann", "bob", "eve", "ann"):
        await stage.member(name, "lobby" if name == "ann" else "garden")
    page = await gate.get("connections?limit=3")
    assert [each["user"] for each in page["connections"]] == ["ann", "bob", "eve"]
    rest = await gate.get(f"connections?after={page['next']}")
    assert [each["user"] for each in rest["connections"]] == ["ann"]
    assert (rest["next"], rest["total"]) == (None, 4)
    chosen = (await gate.get("connections?user=ann"))["connections"]
    assert [each["rooms"] for each in chosen] == [["lobby"], ["lobby"]]
    chosen = (await gate.get("connections?room=garden"))["connections"]
    assert [each["user"] for each in chosen] == ["bob", "eve"]


async def test_no_view_shows_a_token_or_a_session(stage, gate):
    token = stage.token("ann")
    ann = await stage.open()
    session = (await ann.ask("AUTH", token=token))["session"]
    await ann.ask("JOIN", room="lobby")
    for path in [*READS, "tree/rooms", "tree/connections", "rooms/lobby"]:
        shown = json.dumps(await gate.get(path))
        assert token not in shown
        assert session not in shown
        assert OPS not in shown


async def test_rooms_come_by_name_in_pages(stage, gate):
    for room in ("b", "a", "c"):
        await stage.member("ann", room)
    page = await gate.get("rooms?limit=2")
    assert ([room["room"] for room in page["rooms"]], page["next"]) == (["a", "b"], "b")
    page = await gate.get("rooms?after=b")
    assert ([room["room"] for room in page["rooms"]], page["next"]) == (["c"], None)


async def test_a_room_shows_its_members_its_place_and_its_ledger(stage, gate):
    ann = await stage.member("ann", "lobby")
    await stage.member("bob", "lobby")
    await ann.publish("lobby", "hello")
    room = await gate.get("rooms/lobby")
    assert (room["offset"], room["epoch"]) == (1, "e-lobby")
    assert room["present"] == [
        {"user": "ann", "connections": 1},
        {"user": "bob", "connections": 1},
    ]
    assert (room["ledger"]["published"], room["ledger"]["copies"]["delivered"]) == (1, 1)
    assert "hello" not in json.dumps(room)


@pytest.mark.parametrize("room", ["nothing", "..%2Flobby", "lobby%00", "%20", "x" * 101])
async def test_a_room_that_is_not_open_is_404_or_400(gate, room):
    assert (await gate.ask("GET", f"/v1/rooms/{room}")).status in {400, 404}


async def test_the_ledger_is_the_sum_of_all_rooms(stage, gate):
    for room in ("a", "b"):
        ann = await stage.member("ann", room)
        await stage.member("bob", room)
        await ann.publish(room, "hello")
    ledger = await gate.get("ledger")
    assert (ledger["published"], ledger["accepted"], ledger["pending"]) == (2, 2, 0)
    assert ledger["copies"]["delivered"] == 2


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "limit=-1", "limit=1&limit=2", "after=", "nothing=1"],
)
async def test_a_query_that_makes_no_sense_is_400_in_words(gate, query):
    answer = await gate.ask("GET", f"/v1/connections?{query}")
    assert answer.status == 400
    assert answer.json["error"]


# What is done.


async def test_a_publish_is_stored_before_it_is_answered_and_told_as_any_other(stage, gate):
    ann = await stage.member("ann", "lobby")
    answer = await gate.post("publish", room="lobby", content="hello", user="news")
    assert answer.status == 200
    (row,) = stage.store.rows["lobby"]
    assert (row.user, row.offset) == ("system:news", answer.json["offset"])
    assert (await ann.next("MESSAGE"))["user"] == "system:news"


async def test_a_publish_without_a_user_is_said_by_the_key(gate):
    answer = await gate.post("publish", room="lobby", content="hello")
    assert answer.json["user"] == "system:ops"


async def test_a_publish_that_is_repeated_is_stored_once(stage, gate):
    said = {"room": "lobby", "content": "hello", "key": "k"}
    first, again = await gate.post("publish", **said), await gate.post("publish", **said)
    assert (first.json["duplicate"], again.json["duplicate"]) == (False, True)
    assert first.json["message_id"] == again.json["message_id"]
    assert (await gate.post("publish", **(said | {"content": "other"}))).status == 409
    assert len(stage.store.rows["lobby"]) == 1


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ({}, 400),
        ({"room": "lobby"}, 400),
        ({"room": "no such name!", "content": "x"}, 400),
        ({"room": "lobby", "content": 5}, 400),
        ({"room": "lobby", "content": ""}, 400),
        ({"room": "lobby", "content": "a\0b"}, 400),
        ({"room": "lobby", "content": "x", "key": "k" * 65}, 400),
        ({"room": "lobby", "content": "x", "user": "a\nb"}, 400),
        ({"room": "lobby", "content": "x", "echo": True}, 400),
        ({"room": "lobby", "content": "ä" * 20_000}, 413),
        ({"room": "lobby", "content": "x" * 300_000}, 413),
        ([], 400),
    ],
)
async def test_a_publish_that_can_not_be_is_refused_and_stores_nothing(
    stage, gate, payload, status
):
    answer = await gate.ask("POST", "/v1/publish", payload)
    assert answer.status == status
    assert stage.store.rows == {}


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (
            {"content": "a\0b"},
            "content has to be a text of 1 or more characters, without U+0000",
        ),
        (
            {"content": "x", "key": "a\0b"},
            "key has to be a text of 1 to 64 characters, without U+0000",
        ),
    ],
)
async def test_a_text_that_can_not_be_is_told_what_it_has_to_be(gate, payload, error):
    answer = await gate.post("publish", room="lobby", **payload)
    assert (answer.status, answer.json) == (400, {"error": error})


async def test_a_server_that_floods_a_room_is_put_off_as_anybody():
    limits = {"heartbeat_seconds": 1000.0, "close_seconds": 0.05}
    rates = RateLimits(room_egress=Budget(rate=1_000, burst=80_000))
    async with open_stage(rates=rates, **limits) as stage, open_gate(stage) as gate:
        await stage.member("ann", "lobby")
        answers = [
            await gate.post("publish", room="lobby", content="x" * 8_000, key=f"{number}")
            for number in range(5)
        ]
        assert [answer.status for answer in answers] == [200, 200, 429, 429, 429]
        assert int(answers[-1].headers["retry-after"]) >= 1


async def test_while_the_store_is_away_a_publish_is_503(stage, gate):
    stage.store.away = True
    answer = await gate.post("publish", room="lobby", content="x")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


async def test_what_is_posted_has_to_be_json(gate):
    answer = await gate.ask("POST", "/v1/publish", {"room": "a"}, Content_Type="text/plain")
    assert answer.status == 415


async def test_a_user_is_disconnected_with_4503(stage, gate):
    ann = await stage.member("ann", "lobby")
    await stage.member("bob", "lobby")
    assert (await gate.post("disconnect", user="ann")).json == {"closed": 1}
    assert await ann.close_code() == 4503
    await until(lambda: len(stage.services.roll) == 1)
    assert [each["user"] for each in (await gate.get("connections"))["connections"]] == ["bob"]


async def test_a_connection_is_disconnected_by_its_id(stage, gate):
    ann = await stage.member("ann", "lobby")
    (shown,) = (await gate.get("connections"))["connections"]
    answer = await gate.post("disconnect", connection=shown["connection"])
    assert answer.json == {"closed": 1}
    assert await ann.close_code() == 4503


@pytest.mark.parametrize("payload", [{}, {"user": "a", "connection": "b"}])
async def test_a_disconnect_is_of_one_of_two(gate, payload):
    assert (await gate.post("disconnect", **payload)).status == 400


async def test_a_revoked_user_is_closed_with_4508_and_listed(stage, gate):
    ann = await stage.member("ann", "lobby")
    answer = await gate.post("revoke", user="ann")
    assert answer.json["closed"] == 1
    assert await ann.close_code() == 4508
    listed = await gate.get("revocations")
    assert [each["user"] for each in listed["revocations"]] == ["ann"]
    assert listed["total"] == 1


async def test_a_token_is_revoked_by_its_id(gate):
    answer = await gate.post("revoke", token_id="t1", expires=1_900_000_000_000)
    assert answer.json["closed"] == 0
    (listed,) = (await gate.get("revocations"))["revocations"]
    assert (listed["token_id"], listed["until"]) == ("t1", 1_900_000_000_000)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"user": "a", "token_id": "b"},
        {"user": "a", "expires": 1},
        {"user": "a\nb"},
        {"token_id": "x" * 256},
    ],
)
async def test_a_revocation_that_can_not_be_is_400(gate, payload):
    assert (await gate.post("revoke", **payload)).status == 400


# What is written down.


async def test_every_action_is_written_down_with_who_and_whom_and_without_what_was_said(
    stage, gate, audit
):
    await gate.post("publish", room="lobby", content="a secret content", key="k")
    await gate.post("disconnect", user="ann")
    await gate.post("revoke", user="ann")
    await gate.post("publish", room="not a room", content="a secret content")
    lines = audit()
    assert [(line["action"], line["who"], line["outcome"]) for line in lines] == [
        ("publish", "ops", "done"),
        ("disconnect", "ops", "done"),
        ("revoke", "ops", "done"),
        ("publish", "ops", "refused: room has to be the name of a room"),
    ]
    assert (lines[0]["room"], lines[0]["key"], lines[1]["user"]) == ("lobby", "k", "ann")
    assert "a secret content" not in json.dumps(lines)
    assert {line["peer"] for line in lines} == {"127.0.0.1"}


async def test_what_a_key_may_not_do_is_written_down_too(gate, audit):
    await gate.ask("POST", "/v1/revoke", {"user": "ann"}, key=READER)
    (line,) = audit()
    assert (line["who"], line["action"], line["outcome"]) == (
        "reader",
        "revoke",
        "refused: Forbidden",
    )


async def test_no_flood_of_actions_leaves_a_line_out(gate, audit):
    for _ in range(BURST + 5):
        await gate.post("disconnect", user="ann")
    assert len(audit()) == BURST + 5


async def test_reading_is_not_written_down_and_no_key_is_ever(gate, audit, caplog):
    with caplog.at_level(logging.DEBUG):
        await gate.get("status")
        await gate.ask("GET", "/v1/status", key=f"{OPS}x")
        await gate.post("disconnect", user="ann")
    (line,) = audit()
    assert OPS not in json.dumps(line)
    assert OPS not in caplog.text
    assert AUDIT_LOGGER not in {record.name for record in caplog.records if "status" in record.msg}


# The description.


async def test_the_description_has_every_route_and_its_fields(gate):
    description = await gate.get("openapi.json")
    assert set(description["paths"]) == {
        "/v1/rooms/{room}",
        "/v1/tree/{supervisor}",
        *(f"/v1/{path}" for path in (*READS, *WRITES)),
    }
    publish = description["paths"]["/v1/publish"]["post"]
    schema = publish["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["room", "content"]
    assert schema["additionalProperties"] is False


async def test_the_gate_comes_back_after_a_crash(stage, gate):
    await stage.sup.ref("operators").tell("a message that nobody understands")
    await trio.sleep(0.1)
    assert (await gate.get("status"))["node"] == "n1"


async def test_the_store_may_be_slow_and_other_requests_are_answered(stage, gate):
    assert isinstance(stage.store, FakeStore)
    stage.store.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: gate.post("publish", room="lobby", content="x"))
        await until(lambda: stage.rooms() == ["lobby"])
        assert (await gate.get("status"))["rooms"] == 1
        stage.store.gate.set()
