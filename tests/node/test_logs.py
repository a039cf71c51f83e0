"""Log lines in both forms, and the brake on floods."""

import io
import json
import logging

import pytest
import structlog

from greenroom.node.logs import BURST, WINDOW_SECONDS, DropRepeats, configure_logs
from greenroom.protocol import issue_token


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def restore_logging():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_machine_gets_one_json_object_a_line():
    stream = io.StringIO()
    configure_logs(log_format="auto", level="info", stream=stream)
    structlog.get_logger("greenroom.test").info("listening", url="http://x", port=1)
    line = json.loads(stream.getvalue())
    assert (line["event"], line["url"], line["level"]) == ("listening", "http://x", "info")
    assert line["logger"] == "greenroom.test"
    assert line["timestamp"].endswith("Z")


def test_a_person_gets_words():
    stream = Terminal()
    configure_logs(log_format="auto", level="info", stream=stream)
    structlog.get_logger("greenroom.test").info("listening", url="http://x")
    assert "listening" in stream.getvalue()
    with pytest.raises(json.JSONDecodeError):
        json.loads(stream.getvalue())


def test_libraries_log_in_the_same_form():
    stream = io.StringIO()
    configure_logs(log_format="json", level="info", stream=stream)
    logging.getLogger("some.library").warning("odd %s", "thing")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["logger"], line["level"]) == (
        "odd thing",
        "some.library",
        "warning",
    )


def test_lines_below_the_level_are_left_out():
    stream = io.StringIO()
    configure_logs(log_format="json", level="warning", stream=stream)
    structlog.get_logger("a").info("no")
    logging.getLogger("b").info("no")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_shows_no_local_variables(log_format):
    stream = Terminal()
    configure_logs(log_format=log_format, level="info", stream=stream)
    token = "eyJ-secret"
    try:
        raise RuntimeError("a bug")
    except RuntimeError:
        structlog.get_logger("a").exception("failed")
        logging.getLogger("b").exception("failed")
    assert stream.getvalue().count("RuntimeError") >= 2
    assert token not in stream.getvalue()


def test_a_flood_of_one_kind_is_cut_and_counted():
    now = 0.0
    drop = DropRepeats(lambda: now)

    def passes(event):
        try:
            return drop(None, "info", {"event": event})
        except structlog.DropEvent:
            return None

    lines = [passes("flood") for _ in range(BURST + 5)]
    assert sum(line is not None for line in lines) == BURST
    assert passes("other") is not None
    now = WINDOW_SECONDS
    assert passes("flood") == {"event": "flood", "left_out": 5}
    assert passes("flood") == {"event": "flood"}


def test_a_flood_through_logging_is_left_out_and_ends_nobody():
    """Actors and libraries log that way; what leaves a line out must not reach them."""
    stream = io.StringIO()
    configure_logs(log_format="json", level="info", stream=stream)
    for _ in range(100):
        logging.getLogger("greenroom.actors.callbacks").warning("callbacks fail")
    assert len(stream.getvalue().splitlines()) == BURST


def test_a_webhook_s_url_is_not_logged():
    stream = io.StringIO()
    configure_logs(log_format="json", level="debug", stream=stream)
    logging.getLogger("httpx2").info("HTTP Request: POST https://example.com/?token=s3cret")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("form", ["json", "console"])
def test_nothing_in_a_line_moves_the_reader_s_terminal_or_begins_another_line(form):
    odd = "a\x1b[2Jb\x1b]0;c\x07d\nlistening\u202e\x9b"
    stream = io.StringIO()
    configure_logs(log_format=form, level="info", stream=stream)
    structlog.get_logger("greenroom.test").info("origin refused", origin=odd)
    logging.getLogger("some.library").warning("client: %s", odd)
    said = stream.getvalue()
    assert said.count("\n") == 2
    assert said.replace("\n", "").isprintable()


@pytest.mark.parametrize("form", ["json", "console"])
def test_what_looks_like_a_token_is_masked_wherever_it_stands_in_a_line(form):
    token = issue_token("ann", secret="x" * 32, now=0.0, lifetime_seconds=1)
    stream = io.StringIO()
    configure_logs(log_format=form, level="info", stream=stream)
    structlog.get_logger("greenroom.test").info(f"said {token}!", whom=token)
    try:
        raise ValueError(token)
    except ValueError:
        logging.getLogger("some.library").exception("GET /?token=%s HTTP/1.1", token)
    said = stream.getvalue()
    assert token.split(".")[2] not in said
    assert said.count("********") >= 4
    assert "said ********!" in said
