"""What the web side answers, asked over the real port."""

import json

import pytest
import trio
from support.http_answer import Answer
from support.patience import PATIENCE_SECONDS
from support.wire import request

from greenroom.node.http.security_headers import SECURITY_HEADERS

pytestmark = pytest.mark.socket


async def ask(node, method, path, body=b"", *, host="localhost", **headers):
    headers = {"Host": host, "Connection": "close", **headers}
    if body:
        headers.setdefault("Content_Length", str(len(body)))
    lines = [
        f"{method} {path} HTTP/1.1",
        *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items() if v is not None),
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
        "/%61pp.js",
        "/app.js%0a",
        "/healthz%0A",
        "/healthz%00",
        "/%252e%252e/settings.py",
        "/..%5csettings.py",
        "/..\\settings.py",
        "/....//settings.py",
        "/./app.js",
        "/%2fapp.js",
        "/app.js%00.html",
        "/app.js;.html",
        "C:/windows/win.ini",
        "file:///etc/passwd",
        "http://elsewhere/app.js",
        "*",
        "/<script>alert(1)</script>",
    ],
)
async def test_what_is_not_there_tells_nothing(node, path):
    """Every unknown path is answered with the same bytes, and none of what was asked."""
    unknown = await ask(node, "GET", "/unknown")
    answer = await ask(node, "GET", path)
    assert (answer.status, answer.json) == (404, {"error": "Not Found"})
    assert answer.body == unknown.body
    assert answer.headers | {"date": ""} == unknown.headers | {"date": ""}


async def test_a_host_can_not_lead_to_another_file(node):
    """A URL put together from the header would have another path than the one asked for."""
    for host in ("localhost/app.js?", "localhost/app.js#", "localhost\\app.js"):
        assert (await ask(node, "GET", "/", host=host)).body == b"<!doctype html>hello"


MALFORMED = [
    b"GET /\r\n\r\n",
    b"\x16\x03\x01",
    b"GET / HTTP/2.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
    b"POST /api/guest HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\n\r\n",
    request(Sec_WebSocket_Key=b"dGhlIHNhbXBsZSBub25jZQ==", Sec_WebSocket_Protocol=b"mqtt, stomp"),
    (
        b"POST /api/guest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nnonsense\r\n"
    ),
]


@pytest.mark.parametrize("path", ["/", "/nothing", "/healthz", "/api/guest", "/ws"])
async def test_every_answer_carries_the_security_headers(node, path):
    assert_safe(await ask(node, "GET", path))


@pytest.mark.parametrize("request_bytes", MALFORMED)
async def test_so_does_every_answer_to_what_no_app_ever_sees(node, request_bytes):
    answer = Answer(await node.exchange(request_bytes))
    assert answer.status >= 400
    assert answer.headers["cache-control"] == "no-store"
    assert_safe(answer)


async def test_so_does_the_answer_of_an_app_that_crashes(open_node):
    def crash(user):
        raise RuntimeError("the secret is 12345")

    async with open_node(issue_guest_token=crash) as node:
        answer = await ask_guest(node, {"name": "ann"})
        assert (answer.status, answer.body) == (500, b"Internal Server Error")
        assert_safe(answer)


def assert_safe(answer):
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name.lower()] == value
    assert "cache-control" in answer.headers
    assert "server" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers


async def test_only_what_is_meant_to_be_kept_may_be_stored(node):
    for path in ("/healthz", "/readyz", "/nothing", "/api/guest", "/ws"):
        assert (await ask(node, "GET", path)).headers["cache-control"] == "no-store"
    assert (await ask(node, "GET", "/")).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/app.js", "GET, HEAD"),
        ("GET", "/api/guest", "POST"),
        ("PUT", "/api/guest", "POST"),
        ("TRACE", "/healthz", "GET, HEAD"),
        ("OPTIONS", "/api/guest", "POST"),
        ("BREW", "/readyz", "GET, HEAD"),
    ],
)
async def test_another_method_is_told_which_are_allowed_and_no_origin_is(node, method, path, allow):
    """OPTIONS too: without an Access-Control header no browser sends what it asked about."""
    answer = await ask(node, method, path, Origin="http://evil.example")
    assert (answer.status, answer.headers["allow"]) == (405, allow)
    assert [name for name in answer.headers if name.startswith("access-control")] == []


async def test_a_head_has_the_headers_of_a_get_and_no_body(node):
    for path in ("/", "/healthz", "/nothing"):
        get, head = await ask(node, "GET", path), await ask(node, "HEAD", path)
        assert head.body == b""
        assert head.headers | {"date": ""} == get.headers | {"date": ""}


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
async def test_a_body_that_is_no_object_is_400_and_says_so(node, body):
    answer = await ask(node, "POST", "/api/guest", body, Content_Type="application/json")
    assert answer.status == 400
    assert answer.json["error"].startswith("the body is not ")


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


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Cookie": "session=1"}, 403),
        ({"Cookie": "session=1", "Origin": "http://localhost"}, 200),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "http://localhost", "origin": "http://evil.example"}, 403),
        ({"Content_Type": "application/json; charset=utf-8"}, 200),
        ({"Content_Type": "text/json"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": "multipart/form-data"}, 415),
        ({"Content_Type": ""}, 415),
    ],
)
async def test_a_request_of_another_sites_page_is_not_acted_upon(node, headers, status):
    assert (await ask_guest(node, {"name": "a"}, **headers)).status == status


async def test_a_large_announced_body_is_413_at_once(node):
    for announced in ("4097", "99999999999999999999", "104857600"):
        head = {"Content_Type": "application/json", "Content_Length": announced}
        with trio.fail_after(PATIENCE_SECONDS):
            assert (await ask(node, "POST", "/api/guest", **head)).status in {400, 413}


async def test_a_large_chunked_body_is_413(node):
    chunk = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
    head = {"Content_Type": "application/json", "Transfer_Encoding": "chunked"}
    head["Content_Length"] = None
    answer = await ask(node, "POST", "/api/guest", chunk * 3, **head)
    assert answer.status == 413


async def test_a_body_that_never_comes_does_not_hold_the_others(node):
    async with await node.connect() as stuck:
        await stuck.send_all(
            b"POST /api/guest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 10\r\n\r\n"
        )
        with trio.fail_after(PATIENCE_SECONDS):
            assert (await ask(node, "GET", "/healthz")).status == 200
