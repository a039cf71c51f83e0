"""The errors say what happened, and survive copying."""

import copy
import pickle

import pytest

from greenroom.client import ClientClosed, CommandRefused, ErrorCode, RemovedFromRoom

ERRORS = [
    (CommandRefused(103, "permission denied"), "permission denied (error 103)"),
    (CommandRefused(999, "of a later version"), "of a later version (error 999)"),
    (RemovedFromRoom("lobby", 103), "removed from room 'lobby': permission denied (error 103)"),
    (ClientClosed("kicked", 4503), "kicked (close code 4503)"),
    (ClientClosed("refused", None, 401), "refused (HTTP 401)"),
    (ClientClosed("no token"), "no token"),
]


@pytest.mark.parametrize(("error", "text"), ERRORS)
def test_text_names_the_code(error, text):
    assert str(error) == text


@pytest.mark.parametrize("error", [error for error, _ in ERRORS])
def test_error_can_be_copied_and_pickled(error):
    assert str(copy.copy(error)) == str(pickle.loads(pickle.dumps(error))) == str(error)


def test_known_code_is_the_enum_member():
    assert CommandRefused(108, "x").code is ErrorCode.NOT_AVAILABLE
