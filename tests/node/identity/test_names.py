"""Which names can be, and which two are one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.node.identity.guests import clean_guest_name
from greenroom.node.identity.names import (
    NameRefused,
    account_key,
    clean_account_name,
    clean_name,
    name_key,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ann", "aNN"),
        ("Ann", "\uff21\uff4e\uff4e"),  # full width
        ("Straße", "STRASSE"),
        ("josé", "jose\u0301"),
        ("Ann  Lee", " ann\u00a0lee "),
        ("ﬁnn", "finn"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ],
)
def test_spellings_of_one_name_have_one_key(one, other):
    assert name_key(one) == name_key(other)


@given(st.text(max_size=20))
def test_a_key_is_its_own_key(text):
    """So whoever looks a key up finds what was kept under it."""
    assert name_key(name_key(text)) == name_key(text)


@pytest.mark.parametrize(
    "name",
    [
        "a\u202eb",  # turns the direction of writing
        "a\u200bb",  # zero width
        "a\x00b",
        "\u3164",  # a Hangul filler counts as a letter
        "ann\ufe0f",  # a variation selector
        "an\u034fn",  # the grapheme joiner
        "\u2800",  # Braille without dots
        "\ud800",
        "   ",
        "x" * 33,
    ],
)
def test_a_name_has_only_characters_that_can_be_seen(name):
    with pytest.raises(NameRefused, match=r"\.$"):
        clean_name(name)


@pytest.mark.parametrize("name", ["system:ops", "SYSTEM:ops", "\uff53ystem\uff1aops", "system: x"])
def test_neither_account_nor_guest_is_called_like_a_server(name):
    with pytest.raises(NameRefused, match="servers"):
        clean_account_name(name)
    with pytest.raises(NameRefused, match="servers"):
        clean_guest_name(name, development=True)


@pytest.mark.parametrize("name", ["guest:ann", "GUEST:ann", "\uff47uest\uff1aann", "guest: ann"])
def test_no_account_is_called_like_a_guest(name):
    with pytest.raises(NameRefused, match="guests"):
        clean_account_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "\N{CYRILLIC SMALL LETTER A}nn",
        "\N{GREEK CAPITAL LETTER TAU}om",
        "\N{CYRILLIC CAPITAL LETTER ER}\N{CYRILLIC SMALL LETTER A}ul",
    ],
)
def test_no_account_mixes_alphabets_whose_letters_look_alike(name):
    with pytest.raises(NameRefused, match="alphabet"):
        clean_account_name(name)


@pytest.mark.parametrize("name", ["Анна", "Άννα", "李小龍 Bruce", "j.doe@example.com", "Ann 2 🎈"])
def test_names_of_the_world_are_names(name):
    assert clean_account_name(f"  {name} ") == name


def test_a_name_whose_key_grows_beyond_its_column_is_refused():
    with pytest.raises(NameRefused, match="too long"):
        clean_account_name("\ufdfa" * 5)  # one letter, eighteen in its key


def test_a_name_that_no_account_can_have_is_nobody_else_s():
    assert account_key("ANN ") == account_key("ann") == "ann"
    assert account_key("\ufdfa" * 5) == "\ufdfa" * 5
