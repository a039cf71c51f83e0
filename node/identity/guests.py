"""Names that guests may take: a pure check."""

from greenroom.node.identity.names import GUEST_PREFIX, clean_name


def clean_guest_name(raw: object, *, development: bool) -> str:
    """Return the user that a guest who asks for this name becomes.

    On a development node that is the name itself. Elsewhere real users exist, and no guest may be
    taken for one of them: there a prefix tells them apart.

    Raises:
        NameRefused: As `clean_name`.
    """
    name = clean_name(raw)
    return name if development else GUEST_PREFIX + name
