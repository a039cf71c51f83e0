"""What the web side answers, asked over the real port."""

import json

import pytest
import trio

from greenroom.node.http import SECURITY_HEADERS

pytestmark = pytest.mark.socket


class Answer:
    def __init__(self, raw: bytes):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }

    @property
    def json(self):
        return json.loads(self.body)


async def ask(node, method, path, body=b"", *, host="localhost", **headers):
    headers = {"Host": host, "Connection": "close", **headers}
    if body:
        headers.setdefault("Content-Length", str(len(body)))
    lines = [
        f"{method} {path} HTTP/1.1",
        *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items()),
    ]
    return Answer(await node.exchange("\r\n".join([*lines, "", ""]).encode() + body))


async def ask_guest(node, payload, **headers):
    headers = {"Content_Type": "application/json", **headers}
    return await ask(node, "POST", "/api/guest", json.dumps(payload).encode(), **headers)


async def test_the_page_stands_at_the_root_and_its_files_beside_it(node):
    page = await ask(node, "GET", "/")
    assert (page.status, page.body) == (200, b"<!doctype html>hello")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    script = await ask(node, "GET", "/app.js")
    assert script.headers["content-type"].startswith("text/javascript")


async def test_an_unchanged_file_is_not_sent_again(node):
    first = await ask(node, "GET", "/")
    again = await ask(node, "GET", "/", If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/index.html",
        "/app.js/",
        "/../app.js",
        "/%2e%2e/settings.py",
        "//etc/passwd",
        "/api/guest/x",
        "/api",
    ],
)
async def test_what_is_not_there_tells_nothing(node, path):
    answer = await ask(node, "GET", path)
    assert (answer.status, answer.json) == (404, {"error": "Not Found"})


@pytest.mark.parametrize("path", ["/", "/nothing", "/healthz", "/api/guest"])
async def test_every_answer_carries_the_security_headers(node, path):
    answer = await ask(node, "GET", path)
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name.lower()] == value
    assert "server" not in answer.headers


async def test_readiness_follows_the_store_and_the_drain_and_health_does_not(node):
    assert (await ask(node, "GET", "/readyz")).status == 200
    node.world.store_error = RuntimeError("away")
    assert (await ask(node, "GET", "/readyz")).json == {"status": "store unavailable"}
    node.world.store_error = None
    node.world.draining = True
    answer = await ask(node, "GET", "/readyz")
    assert (answer.status, answer.json) == (503, {"status": "draining"})
    assert (await ask(node, "GET", "/healthz")).status == 200


async def test_the_websocket_path_without_upgrade_is_426(node):
    answer = await ask(node, "GET", "/ws")
    assert (answer.status, answer.headers["upgrade"]) == (426, "websocket")


async def test_a_guest_gets_a_token_for_a_cleaned_name(node):
    answer = await ask_guest(node, {"name": "  Ann   Lee "})
    assert answer.json == {"token": "token-of-Ann Lee", "user": "Ann Lee", "expires": 1}
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", ["", "   ", "x" * 33, "a\u202eb", "a\x00b", None, 5, ["x"]])
async def test_a_guest_name_that_can_not_be_is_400_with_a_reason(node, name):
    answer = await ask_guest(node, {"name": name})
    assert answer.status == 400
    assert answer.json["error"].endswith(".")


@pytest.mark.parametrize("body", [b"", b"[]", b'"x"', b"{", b"\xff\xfe", b"[" * 4000])
async def test_a_body_that_is_no_object_is_400(node, body):
    answer = await ask(node, "POST", "/api/guest", body, Content_Type="application/json")
    assert answer.status == 400


async def test_a_large_body_is_413(node):
    answer = await ask_guest(node, {"name": "x" * 5000})
    assert answer.status == 413


async def test_only_json_from_the_same_origin_gets_a_token(node):
    assert (await ask_guest(node, {"name": "a"}, Content_Type="text/plain")).status == 415
    assert (await ask_guest(node, {"name": "a"}, Origin="http://evil.example")).status == 403
    assert (await ask_guest(node, {"name": "a"}, Origin="http://localhost")).status == 200


@pytest.mark.parametrize("host", ["localhost:8000", "LocalHost", "127.0.0.1:8000", "[::1]:8000"])
async def test_a_development_node_has_guests_at_local_names(node, host):
    answer = await ask_guest(node, {"name": "a"}, host=host, Origin=f"http://{host}")
    assert answer.status == 200


@pytest.mark.parametrize("origin", [{}, {"Origin": "http://evil.example:8000"}])
async def test_a_development_node_has_none_at_a_name_that_others_may_point_here(node, origin):
    """DNS rebinding: to the browser that page and this node are one origin."""
    answer = await ask_guest(node, {"name": "a"}, host="evil.example:8000", **origin)
    assert answer.status == 421
    assert "--origin" in answer.json["error"]


async def test_a_development_node_has_guests_at_a_name_that_its_operator_listed(open_node):
    async with open_node(origins=("http://devbox:8000",)) as node:
        for origin, status in (("http://devbox:8000", 200), ("http://evil:8000", 421)):
            host = origin.removeprefix("http://")
            assert (await ask_guest(node, {"name": "a"}, host=host, Origin=origin)).status == status


async def test_a_node_with_a_secret_has_guests_at_any_name_of_its_own(open_node):
    async with open_node(development=False) as node:
        answer = await ask_guest(
            node, {"name": "a"}, host="chat.example", Origin="http://chat.example"
        )
        assert answer.status == 200


async def test_a_node_without_guests_has_no_such_path(open_node):
    async with open_node(guests=False) as node:
        assert (await ask_guest(node, {"name": "a"})).status == 404


async def test_where_real_users_exist_a_guest_can_not_be_taken_for_one(open_node):
    async with open_node(development=False) as node:
        assert (await ask_guest(node, {"name": "ann"})).json["user"] == "guest:ann"


async def test_a_body_that_never_comes_does_not_hold_the_others(node):
    async with await node.connect() as stuck:
        await stuck.send_all(
            b"POST /api/guest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 10\r\n\r\n"
        )
        with trio.fail_after(2):
            assert (await ask(node, "GET", "/healthz")).status == 200
