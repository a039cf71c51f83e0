"""The peek: heads in, decisions out."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.node.door.peek import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    BadHeadError,
    PlainHttp,
    Policy,
    Refusal,
    RequestHead,
    WebSocketUpgrade,
    check_beginning,
    decide,
    find_head_end,
    parse_head,
    refusal_bytes,
)

PLAIN = Policy(tls=False)
HANDSHAKE = {
    "Host": "localhost:8000",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def head(line="GET /ws HTTP/1.1", *, latin1=None, **changes):
    headers = dict(HANDSHAKE)
    for name, value in changes.items():
        key = name.replace("_", "-")
        headers.pop(key, None)
        if value is not None:
            headers[key] = value
    lines = [line, *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def verdict(data, policy=PLAIN):
    return decide(parse_head(data), policy)


def status(data, policy=PLAIN):
    outcome = verdict(data, policy)
    assert isinstance(outcome, Refusal), outcome
    return outcome.status


def test_a_sound_handshake_is_an_upgrade():
    assert isinstance(verdict(head()), WebSocketUpgrade)


def test_tokens_of_a_handshake_are_read_without_regard_to_case():
    data = head(Connection="keep-alive, UPGRADE", Upgrade="WebSocket")
    assert isinstance(verdict(data), WebSocketUpgrade)


@pytest.mark.parametrize("line", ["GET / HTTP/1.1", "POST /api/guest HTTP/1.1", "GET /ws HTTP/1.1"])
def test_a_request_without_upgrade_is_the_web_sides(line):
    assert verdict(f"{line}\r\nHost: x\r\n\r\n".encode()) == PlainHttp()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"Sec_WebSocket_Key": None}, id="no-key"),
        pytest.param({"Sec_WebSocket_Key": "short"}, id="key-no-base64"),
        pytest.param({"Sec_WebSocket_Key": "c2hvcnQ="}, id="key-too-short"),
        pytest.param({"line": "POST /ws HTTP/1.1"}, id="post"),
        pytest.param({"line": "GET /ws HTTP/1.0"}, id="http-1.0"),
        pytest.param({"Content_Length": "5"}, id="body"),
        pytest.param({"Transfer_Encoding": "chunked"}, id="chunked-body"),
        pytest.param({"Host": "caf\xe9"}, id="host-not-ascii"),
        pytest.param({"Sec_WebSocket_Protocol": "caf\xe9"}, id="protocol-not-ascii"),
        pytest.param({"Sec_WebSocket_Extensions": "\xff"}, id="extensions-not-ascii"),
        pytest.param({"Upgrade": "h2c"}, id="http2"),
        pytest.param({"Upgrade": "websocket, h2c"}, id="websocket-or-http2"),
    ],
)
def test_a_bad_handshake_is_400(changes):
    assert status(head(**changes)) == 400


def test_another_upgrade_is_refused_whatever_connection_says():
    assert status(head(Connection=None, Upgrade="h2c")) == 400


def test_a_second_host_is_400():
    data = head().replace(b"\r\n\r\n", b"\r\nHost: other\r\n\r\n")
    with pytest.raises(BadHeadError) as caught:
        parse_head(data)
    assert caught.value.refusal.status == 400


@pytest.mark.parametrize(
    ("offered", "known"),
    [
        ("mqtt, greenroom.v1.json", True),
        ("greenroom.v1.protobuf", True),
        ("mqtt, stomp", False),
        ("GREENROOM.v1.json", False),
        ("", False),
    ],
)
def test_only_unknown_subprotocols_are_400_and_ours_are_named(offered, known):
    outcome = verdict(head(Sec_WebSocket_Protocol=offered))
    assert isinstance(outcome, WebSocketUpgrade) is known
    if not known:
        assert outcome.status == 400
        assert "greenroom.v1.json, greenroom.v1.protobuf" in outcome.detail


def test_another_version_is_426_and_names_ours():
    outcome = verdict(head(Sec_WebSocket_Version="8"))
    assert outcome.status == 426
    assert outcome.headers["Sec-WebSocket-Version"] == "13"


def test_an_upgrade_elsewhere_is_404():
    assert status(head("GET /wss HTTP/1.1")) == 404


def test_a_query_does_not_hide_the_path():
    assert isinstance(verdict(head("GET /ws?x=1 HTTP/1.1")), WebSocketUpgrade)


def test_a_foreign_origin_is_403():
    assert status(head(Origin="https://evil.example")) == 403


def test_the_pages_own_origin_connects():
    assert isinstance(verdict(head(Origin="http://localhost:8000")), WebSocketUpgrade)


def test_a_listed_origin_connects():
    policy = Policy(tls=False, origins=("https://chat.example",))
    assert isinstance(verdict(head(Origin="https://chat.example"), policy), WebSocketUpgrade)


def with_lines(*lines, **changes):
    return head(**changes).replace(b"\r\n\r\n", "\r\n".join(["", *lines, "", ""]).encode())


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        pytest.param([], None, id="none"),
        pytest.param(["http://localhost:8000"], None, id="own"),
        pytest.param(["https://chat.example"], None, id="listed"),
        pytest.param([""], 403, id="empty"),
        pytest.param(["null"], 403, id="null"),
        pytest.param(["https://chat.example, https://evil.example"], 403, id="list"),
        pytest.param(["https://chat.example https://evil.example"], 403, id="two-in-one"),
        pytest.param(["https://chat.example", "https://chat.example"], 400, id="twice-the-same"),
        pytest.param(["https://evil.example", "https://chat.example"], 400, id="two"),
        pytest.param(["https://chat.example", "null"], 400, id="listed-and-null"),
    ],
)
def test_the_origin_of_a_handshake(origins, expected):
    policy = Policy(tls=False, origins=("https://chat.example",))
    outcome = verdict(with_lines(*(f"Origin: {origin}" for origin in origins)), policy)
    assert getattr(outcome, "status", None) == expected


@pytest.mark.parametrize(
    ("values", "expected", "challenge"),
    [
        (["Basic eA=="], 401, 'Bearer realm="greenroom"'),
        (["Bearer a b"], 400, 'Bearer realm="greenroom", error="invalid_request"'),
        (["Bearer a", "Bearer a"], 400, 'Bearer realm="greenroom", error="invalid_request"'),
        (["Bearer a", "Basic eA=="], 400, 'Bearer realm="greenroom", error="invalid_request"'),
    ],
)
def test_credentials_that_are_no_single_bearer_token_are_refused(values, expected, challenge):
    outcome = verdict(with_lines(*(f"Authorization: {value}" for value in values)))
    assert outcome.status == expected
    assert outcome.headers["WWW-Authenticate"] == challenge


def test_a_bearer_token_goes_on_with_the_handshake():
    outcome = verdict(head(Authorization="Bearer abc", Cookie="session=xyz"))
    assert (outcome.bearer, outcome.cookie) == ("abc", None)


@pytest.mark.parametrize(
    ("name", "origin", "token"),
    [
        pytest.param("session", "http://localhost:8000", "xyz", id="own-origin"),
        pytest.param("session", "https://chat.example", "xyz", id="listed-origin"),
        pytest.param("session", None, None, id="no-origin"),
        pytest.param("other", "http://localhost:8000", None, id="other-name"),
        pytest.param(None, "http://localhost:8000", None, id="no-cookie-by-setting"),
    ],
)
def test_a_cookie_counts_beside_an_allowed_origin_alone(name, origin, token):
    policy = Policy(tls=False, origins=("https://chat.example",), token_cookie=name)
    outcome = verdict(head(Origin=origin, Cookie="a=1; session=xyz"), policy)
    assert (outcome.bearer, outcome.cookie) == (None, token)


def test_a_foreign_origin_with_a_cookie_is_403():
    policy = Policy(tls=False, token_cookie="session")  # its name
    assert status(head(Origin="https://evil.example", Cookie="session=xyz"), policy) == 403


WRONG = [
    (503, {}),
    (404, {"line": "GET /elsewhere HTTP/1.1"}),
    (426, {"Sec_WebSocket_Version": "8"}),
    (400, {"Sec_WebSocket_Key": "short"}),
    (403, {"Origin": "https://evil.example"}),
    (401, {"Authorization": "Basic eA=="}),
]


@pytest.mark.parametrize("first", range(len(WRONG)))
def test_of_several_faults_the_first_in_this_order_is_told(first):
    """Nobody learns about tokens from an origin that may not connect, nor about paths while the
    node stops."""
    faults = WRONG[first:]
    changes = {name: value for _, change in faults for name, value in change.items()}
    policy = Policy(tls=False, draining=faults[0][0] == 503)
    assert status(head(**changes), policy) == faults[0][0]


SECRETS = ("eyJhbGciOi", "session=", "access_token")


def test_no_repr_of_a_handshake_shows_what_it_carries():
    data = head(
        "GET /ws?access_token=eyJhbGciOi HTTP/1.1",
        Authorization="Bearer eyJhbGciOi",
        Cookie="session=eyJhbGciOi",
        Origin="http://localhost:8000",
    )
    outcome = verdict(data, Policy(tls=False, token_cookie="session"))  # its name
    assert (outcome.bearer, outcome.cookie) == ("eyJhbGciOi", "eyJhbGciOi")
    shown = f"{outcome!r} {outcome} {outcome.head!r}"
    assert not [secret for secret in SECRETS if secret in shown]
    assert "'/ws'" in shown
    assert "authorization" in shown


@pytest.mark.parametrize(
    "line",
    ["Authorization : Bearer eyJhbGciOi", "Cookie session=eyJhbGciOi", "X: eyJhbGciOi\x00"],
)
def test_a_head_that_is_refused_is_not_repeated_in_the_log(line):
    with pytest.raises(BadHeadError) as caught:
        parse_head(with_lines(line))
    assert "eyJhbGciOi" not in repr(caught.value) + repr(caught.value.refusal)
    assert caught.value.__cause__ is None


def test_as_many_headers_as_are_allowed_are():
    data = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a:b\r\n" * (MAX_HEADERS - 1) + b"\r\n"
    assert len(parse_head(data).headers) == MAX_HEADERS


def test_no_page_at_a_foreign_name_connects_to_a_node_of_this_machine():
    """DNS rebinding: to the browser that page and this node are one origin."""
    policy = Policy(tls=False, local_names_only=True, origins=("http://devbox:8000",))
    for host, origin, expected in (
        ("evil.example:8000", "http://evil.example:8000", 421),
        ("localhost:8000", "http://localhost:8000", None),
        ("devbox:8000", "http://devbox:8000", None),
        ("devbox:8000", None, None),
    ):
        outcome = verdict(head(Host=host, Origin=origin), policy)
        assert getattr(outcome, "status", None) == expected


def test_a_stopping_node_is_503_with_a_time_to_come_back():
    outcome = verdict(head(), Policy(tls=False, draining=True))
    assert outcome.status == 503
    assert int(outcome.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"PRI * HTTP/2.0\r\n\r\n", 505, id="http2-prior-knowledge"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no-host"),
        pytest.param(b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400, id="target-not-ascii"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n",
            400,
            id="two-body-lengths",
        ),
        pytest.param(b"hello there\r\n\r\n", 400, id="no-request-line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost x\r\n\r\n", 400, id="no-colon"),
        pytest.param(b"GET / HTTP/1.1\nHost: x\n\n", 400, id="bare-line-feeds"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\r\nX: a\nContent-Length: 5\r\n\r\n",
            400,
            id="a-header-behind-a-bare-line-feed",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n",
            400,
            id="a-folded-line",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a:b\r\n" * MAX_HEADERS + b"\r\n",
            431,
            id="too-many-headers",
        ),
    ],
)
def test_what_is_no_request_is_refused(data, expected):
    with pytest.raises(BadHeadError) as caught:
        parse_head(data)
    assert caught.value.refusal.status == expected


def test_a_tls_hello_is_refused_by_its_first_byte():
    with pytest.raises(BadHeadError):
        check_beginning(b"\x16\x03\x01")


def test_a_head_beyond_the_limit_is_431():
    with pytest.raises(BadHeadError) as caught:
        check_beginning(b"G" * MAX_HEAD_BYTES)
    assert caught.value.refusal.status == 431


def test_empty_lines_before_a_head_count_as_the_head_does():
    with pytest.raises(BadHeadError) as caught:
        check_beginning(b"GET", dropped=MAX_HEAD_BYTES)
    assert caught.value.refusal.status == 431


@given(st.integers(min_value=1, max_value=60))
def test_the_end_of_the_head_is_found_however_it_is_cut(size):
    data = head() + b"frames"
    buffer = bytearray()
    for start in range(0, len(data), size):
        seen = len(buffer)
        buffer += data[start : start + size]
        end = find_head_end(buffer, seen)
        if end is not None:
            assert buffer[:end] == head()
            return
    pytest.fail("not found")


@given(st.binary(max_size=300))
def test_any_bytes_are_a_head_or_a_bad_head(data):
    with contextlib.suppress(BadHeadError):
        assert isinstance(parse_head(data), RequestHead)


def test_a_refusal_is_a_whole_response_that_closes():
    response = refusal_bytes(Refusal(426, "Upgrade.", {"Upgrade": "websocket"}), tls=False)
    top, _, body = response.partition(b"\r\n\r\n")
    lines = top.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 426 Upgrade Required"
    assert b"Connection: close" in lines
    assert b"Upgrade: websocket" in lines
    assert b"Content-Length: %d" % len(body) in lines
