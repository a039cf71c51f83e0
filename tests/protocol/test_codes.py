"""Error and close codes: the ranges tell a client what to do."""

import pytest

from greenroom.protocol import (
    CLOSES,
    ERRORS,
    CloseCode,
    Error,
    ErrorCode,
    is_valid_room_name,
    may_reconnect,
    room_prefix,
)


def test_every_code_has_its_row() -> None:
    assert set(ERRORS) == set(ErrorCode)
    assert set(CLOSES) == set(CloseCode)


def test_internal_unavailable_and_too_many_are_temporary_and_nothing_else() -> None:
    assert {int(code) for code in ErrorCode if code.temporary} == {100, 108, 111}


@pytest.mark.parametrize(
    ("code", "again"),
    [(4000, True), (4499, True), (4500, False), (4999, False), (1000, False), (1006, True)],
)
def test_the_range_of_a_close_code_says_whether_to_reconnect(code: int, again: bool) -> None:
    assert may_reconnect(code) is again


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1009])
def test_what_would_only_happen_again_is_not_tried_again(code: int) -> None:
    assert not CloseCode(code).reconnect


@pytest.mark.parametrize("code", [1001, 1011, 1012, 1013, None])
def test_trouble_of_the_node_or_the_network_is_tried_again(code: int | None) -> None:
    assert may_reconnect(code)


@pytest.mark.parametrize("code", CloseCode)
def test_every_reason_fits_a_close_frame(code: CloseCode) -> None:
    """RFC 6455, 5.5: 125 bytes, two of them the code."""
    assert len(code.reason.encode()) <= 123


def test_an_error_takes_text_and_temporary_from_the_table() -> None:
    assert Error.of(ErrorCode.NOT_AVAILABLE, id=3, retry_after_ms=500) == Error(
        id=3, code=108, message="not available", temporary=True, retry_after_ms=500
    )


@pytest.mark.parametrize("name", ["a", "A.b_c:d-9", "x" * 100, ":"])
def test_a_room_name_is_1_to_100_of_its_characters(name: str) -> None:
    assert is_valid_room_name(name)


@pytest.mark.parametrize("name", ["", "x" * 101, "a b", "a/b", "é", "a\n", "\0"])
def test_anything_else_is_no_room_name(name: str) -> None:
    assert not is_valid_room_name(name)


@pytest.mark.parametrize(("name", "prefix"), [("dm:a:b", "dm"), ("lobby", None), (":a", "")])
def test_a_prefix_stands_before_the_first_colon(name: str, prefix: str | None) -> None:
    assert room_prefix(name) == prefix
