"""A token that was handed out, as whoever gets it is told."""

import attrs


@attrs.frozen(kw_only=True)
class IssuedToken:
    """What a guest gets, and somebody who has signed in."""

    token: str = attrs.field(repr=False)
    user: str
    expires: int
    """ms since 1970."""
