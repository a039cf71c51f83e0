"""The names of people: which can be, and which two are one.

Pure checks, with the answer for each way one can fail. A name is shown as it was chosen; its *key*
says whether another one is the same name, to a person who reads it.
"""

import unicodedata
from typing import Final

MAX_NAME_CHARACTERS: Final = 32
MAX_KEY_CHARACTERS: Final = 64
GUEST_PREFIX: Final = "guest:"
SYSTEM_PREFIX: Final = "system:"
"""Of every user as whom a server speaks: nobody takes it for a person."""

# They count as letters or marks, and yet nothing is to be seen of them: the Hangul fillers, the
# grapheme joiner, Khmer's inherent vowels, variation selectors, Braille's blank.
_UNSEEN: Final = frozenset("\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5\u2800") | {
    chr(code) for code in (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
}
_LOOKALIKES: Final = ("LATIN", "GREEK", "CYRILLIC")
"""Scripts whose letters pass for each other's."""


class NameRefused(ValueError):
    """The name can't be taken; the text says why, for the person who chose it."""


def clean_name(raw: object) -> str:
    """Return the name as it is shown.

    Raises:
        NameRefused: It is no text, empty, too long, holds characters that can't be seen, or could
            be taken for a server's.
    """
    if not isinstance(raw, str):
        raise NameRefused("Send a name.")
    name = " ".join(unicodedata.normalize("NFC", raw).split())
    if not name:
        raise NameRefused("Choose a name.")
    if len(name) > MAX_NAME_CHARACTERS:
        raise NameRefused(f"A name has at most {MAX_NAME_CHARACTERS} characters.")
    # Not printable: control, format (bidi overrides, zero width), surrogate, unassigned.
    if not name.isprintable() or not _UNSEEN.isdisjoint(name):
        raise NameRefused("A name has only visible characters.")
    if name_key(name).startswith(SYSTEM_PREFIX):
        raise NameRefused(f"Names that begin with {SYSTEM_PREFIX} are for servers.")
    return name


def clean_account_name(raw: object) -> str:
    """Return the name of an account as it is shown, and as tokens have it.

    Raises:
        NameRefused: As `clean_name`; also where it could be taken for a guest's, or its letters for
            those of another script.
    """
    name = clean_name(raw)
    key = name_key(name)
    if key.startswith(GUEST_PREFIX):
        raise NameRefused(f"Names that begin with {GUEST_PREFIX} are for guests.")
    if len(key) > MAX_KEY_CHARACTERS:
        raise NameRefused("This name is too long.")
    scripts = {_script(letter) for letter in name if letter.isalpha()}
    if len(scripts.intersection(_LOOKALIKES)) > 1:
        raise NameRefused("A name has the letters of one alphabet only.")
    return name


def name_key(name: str) -> str:
    """Return what two spellings of one name have in common: case and width do not count.

    Unicode's NFKC_Casefold in the form that Python has (The Unicode Standard, 3.13, D146), with
    white space as names have it.
    """
    key = name
    for _ in range(2):  # the first casefold may make what composes anew
        key = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", key).casefold())
    return " ".join(key.split())


def account_key(name: str) -> str:
    """Return under which key an account has this name; of one that no account can have, itself."""
    key = name_key(name)
    return key if 0 < len(key) <= MAX_KEY_CHARACTERS else name


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]
