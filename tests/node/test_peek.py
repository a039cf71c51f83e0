"""The peek: heads in, decisions out."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.node.peek import (
    MAX_HEAD_BYTES,
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
    response = refusal_bytes(Refusal(426, "Upgrade.", {"Upgrade": "websocket"}))
    top, _, body = response.partition(b"\r\n\r\n")
    lines = top.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 426 Upgrade Required"
    assert b"Connection: close" in lines
    assert b"Upgrade: websocket" in lines
    assert b"Content-Length: %d" % len(body) in lines
