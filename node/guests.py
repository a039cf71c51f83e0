"""Names that guests may take: a pure check, and the answer for each way it can fail."""

import unicodedata

MAX_NAME_CHARACTERS = 32
GUEST_PREFIX = "guest:"


class GuestNameError(ValueError):
    """The name can't be taken; the text says why, for the person who chose it."""


def clean_guest_name(raw: object, *, development: bool) -> str:
    """Return the user that a guest who asks for this name becomes.

    On a development node that is the name itself. Elsewhere real users exist, and no guest may be
    taken for one of them: there a prefix tells them apart.

    Raises:
        GuestNameError: It is no text, empty, too long, or holds characters that can't be seen.
    """
    if not isinstance(raw, str):
        raise GuestNameError("Send a name.")
    name = " ".join(unicodedata.normalize("NFC", raw).split())
    if not name:
        raise GuestNameError("Choose a name.")
    if len(name) > MAX_NAME_CHARACTERS:
        raise GuestNameError(f"A name has at most {MAX_NAME_CHARACTERS} characters.")
    # Not printable: control, format (bidi overrides, zero width), surrogate, unassigned.
    if not name.isprintable():
        raise GuestNameError("A name has only visible characters.")
    return name if development else GUEST_PREFIX + name
