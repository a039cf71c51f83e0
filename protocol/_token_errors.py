"""Why a token does not let its bearer in. No text here holds a token or any part of one."""


class TokenError(Exception):
    """The token does not let its bearer in."""


class TokenInvalid(TokenError):
    """Not a token of ours, or not one for now: only another token can help."""


class UnknownKey(TokenInvalid):
    """It says that a key signed it which is not among ours: newer keys may know it."""


class KeysUnavailable(UnknownKey):
    """The same, while whoever knows the keys can't be asked: the same token may do later."""


class TokenExpired(TokenError):
    """It was good once: the same issuer can give a new one."""
