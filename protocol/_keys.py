"""Keys that verify tokens: each pinned to one algorithm, and a set that says which may be tried.

What a token says never chooses how its signature is checked (RFC 8725, 3.1): it only chooses among
keys, and each of them verifies with its own algorithm or not at all. What can't be a key for its
algorithm is refused when it is read: a public key as an HMAC secret, RSA below 2048 bits, another
curve. PyJWT judges the signatures.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import attrs
import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from greenroom.protocol._jws import is_valid_kid, read_json_object
from greenroom.protocol._limits import MAX_LABEL_CHARS
from greenroom.protocol._token_errors import TokenInvalid, UnknownKey

HMAC_BYTES: Final[Mapping[str, int]] = {"HS256": 32, "HS384": 48, "HS512": 64}
"""{algorithm: fewest bytes of its secret}: the size of its hash (RFC 7518, 3.2)."""
RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
CURVES: Final[Mapping[str, str]] = {
    "secp256r1": "ES256",
    "secp384r1": "ES384",
    "secp521r1": "ES512",
}
"""{curve: the one algorithm that goes with it} (RFC 7518, 3.4)."""
EDDSA: Final = "EdDSA"
"""With Ed25519 (RFC 8037, 3.1)."""
ALGORITHMS: Final = (*HMAC_BYTES, *RSA_ALGORITHMS, *CURVES.values(), EDDSA)
"""All that a key can be pinned to; `none` is not among them."""

MIN_SECRET_BYTES: Final = HMAC_BYTES["HS256"]
"""A shorter key than the hash is easier to guess than the hash (RFC 7518, 3.2)."""
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192
"""What is longer takes milliseconds for each token that anybody sends."""
MAX_KEYS: Final = 100
"""In one document."""
MOST_TRIED: Final = 4
"""Keys for one token: what anybody may send must not cost more."""

_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})  # RFC 7518, 6
_PUBLIC_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "RSA": ("n", "e"),
    "EC": ("crv", "x", "y"),
    "OKP": ("crv", "x"),
    "oct": ("k",),
}


class KeyRefused(ValueError):
    """It is no key that may verify tokens. The text says why, and holds no part of it."""


@attrs.frozen(kw_only=True, eq=False)
class VerificationKey:
    """One key and the one algorithm that it is for."""

    algorithm: str
    kid: str | None
    """Its name; a key without one is tried for tokens whose `kid` no other key has."""
    key: Any = attrs.field(repr=False)  # Any: whatever PyJWT's algorithm takes
    """A secret's bytes, or a public key."""

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """Whether the owner of this key has made `signature` over `signed`."""
        try:
            return jwt.get_algorithm_by_name(self.algorithm).verify(signed, self.key, signature)
        except (jwt.PyJWTError, ValueError, TypeError):
            return False


def hmac_key(
    secret: str | bytes, *, algorithm: str = "HS256", kid: str | None = None
) -> VerificationKey:
    """A secret that both signs and verifies.

    Raises:
        KeyRefused: It is shorter than the algorithm's hash, or is a public key: those are known to
            everybody.
    """
    data = secret.encode() if isinstance(secret, str) else secret
    fewest = HMAC_BYTES.get(algorithm)
    if fewest is None:
        raise KeyRefused(f"a secret is for one of {', '.join(HMAC_BYTES)}")
    if len(data) < fewest:
        raise KeyRefused(f"a secret for {algorithm} needs {fewest} bytes or more, not {len(data)}")
    try:
        key: object = jwt.get_algorithm_by_name(algorithm).prepare_key(data)
    except jwt.InvalidKeyError:
        raise KeyRefused("a public key or a certificate is no secret") from None
    return VerificationKey(algorithm=algorithm, kid=_checked_kid(kid), key=key)


def pem_key(
    pem: str | bytes, *, algorithm: str | None = None, kid: str | None = None
) -> VerificationKey:
    """A public key in PEM.

    Args:
        pem: `-----BEGIN PUBLIC KEY-----` and what follows.
        algorithm: What it is pinned to; unless given RS256 for RSA, and what goes with the curve.
        kid: Its name, if tokens say one.

    Raises:
        KeyRefused: It is a private key, a certificate, or does not fit the algorithm.
    """
    data = pem.encode() if isinstance(pem, str) else pem
    if b"PRIVATE KEY-----" in data:
        raise KeyRefused(
            "a private key: only its owner may have it; verifying takes the public one"
        )
    if b"-----BEGIN CERTIFICATE" in data:
        raise KeyRefused("a certificate: take its key out (openssl x509 -pubkey -noout)")
    try:
        key = load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyRefused("not a public key in PEM") from None
    return _pinned(key, algorithm=algorithm, kid=_checked_kid(kid))


def jwk_key(jwk: Mapping[str, object], *, symmetric: bool = False) -> VerificationKey:
    """A key as JSON (RFC 7517).

    Args:
        jwk: Its members. `alg` pins it; unless it says one, RS256 for RSA, and what goes with the
            curve. A secret has to say one.
        symmetric: Whether it may be a secret (`oct`).

    Raises:
        KeyRefused: It is private, for something else than signatures, or none we can use.
    """
    kind, given = jwk.get("kty"), jwk.get("alg")
    members = _PUBLIC_MEMBERS.get(kind) if isinstance(kind, str) else None
    if members is None:
        raise KeyRefused(f"kty is none of {', '.join(_PUBLIC_MEMBERS)}")
    if kind == "oct" and not symmetric:
        raise KeyRefused("a secret, where everybody may read it")
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise KeyRefused("a private key: only its owner may have it")
    if jwk.get("use", "sig") != "sig" or not _may_verify(jwk.get("key_ops")):
        raise KeyRefused("not for verifying signatures")
    algorithm = next((known for known in ALGORITHMS if known == given), None)
    if algorithm is None and given is not None:
        raise KeyRefused(f"alg is none of {', '.join(ALGORITHMS)}")
    if any(not isinstance(jwk.get(member), str) for member in members):
        raise KeyRefused(f"without {', '.join(members)}")
    kid = _checked_kid(jwk.get("kid"))
    public = {"kty": kind, **{member: jwk[member] for member in members}}
    if kind == "oct":
        if algorithm is None:
            raise KeyRefused("a secret has to say its alg")
        return hmac_key(_from_jwk("HS256", public), algorithm=algorithm, kid=kid)
    reader = {"RSA": "RS256", "EC": "ES256", "OKP": EDDSA}[cast("str", kind)]
    return _pinned(_from_jwk(reader, public), algorithm=algorithm, kid=kid)


@attrs.frozen
class KeySet:
    """The keys a node believes, in the order in which they are tried."""

    keys: tuple[VerificationKey, ...] = ()

    def choose(self, *, algorithm: str, kid: str | None) -> Sequence[VerificationKey]:
        """The keys that may have signed a token that says these two; at most `MOST_TRIED`.

        Keys with that name, or else those without a name; all of them only for a token that names
        none; and of these the ones that are for `algorithm`.

        Raises:
            UnknownKey: There is none, and a newer set might have it.
            TokenInvalid: There is none, and there will be none; or too many.
        """
        if algorithm not in ALGORITHMS:
            raise TokenInvalid("not an algorithm for tokens")
        named = [key for key in self.keys if kid is None or key.kid == kid]
        fitting = [key for key in (named or self.unnamed) if key.algorithm == algorithm]
        if len(fitting) > MOST_TRIED:
            raise TokenInvalid(f"more than {MOST_TRIED} keys fit: the token has to say which")
        if not fitting and kid is not None and named:
            raise TokenInvalid("the key is for another algorithm")
        if not fitting:
            raise UnknownKey("no key of ours fits")
        return fitting

    def knows(self, kid: str | None) -> bool:
        """Whether a key has that name; a token without one asks for nothing we could lack."""
        return kid is None or any(key.kid == kid for key in self.keys)

    @property
    def unnamed(self) -> Sequence[VerificationKey]:
        """The keys that have no name."""
        return [key for key in self.keys if key.kid is None]


@attrs.frozen
class ReadKeys:
    """What stands in a document of keys."""

    keys: tuple[VerificationKey, ...]
    """Those that can be used: one or more."""
    refused: tuple[str, ...]
    """Why others can't, one line each."""


def read_jwks(document: bytes, *, symmetric: bool = False) -> ReadKeys:
    """Read a JSON Web Key Set (RFC 7517, 5). What can't be used in it is left out.

    Args:
        document: The JSON. Bound its size before.
        symmetric: Whether secrets (`oct`) may stand in it: never where others can read it.

    Raises:
        KeyRefused: It is no such set, has more than `MAX_KEYS`, or none that can be used.
    """
    jwks = read_json_object(document)
    given: object = None if jwks is None else jwks.get("keys")
    if not isinstance(given, list):
        raise KeyRefused('not a set of keys: {"keys": [...]}')
    members = cast("list[object]", given)
    if len(members) > MAX_KEYS:
        raise KeyRefused(f"more than {MAX_KEYS} keys")
    keys: list[VerificationKey] = []
    refused: list[str] = []
    for number, member in enumerate(members, 1):
        try:
            jwk = cast("dict[str, object]", member) if isinstance(member, dict) else {}
            keys.append(jwk_key(jwk, symmetric=symmetric))
        except KeyRefused as reason:
            refused.append(f"key {number}: {reason}")
    if not keys:
        raise KeyRefused(f"no key that can be used ({'; '.join(refused) or 'it is empty'})")
    return ReadKeys(tuple(keys), tuple(refused))


def check_secret(secret: str | bytes) -> None:
    """Raise ValueError unless `secret` can sign: `MIN_SECRET_BYTES` bytes or more, and no key."""
    hmac_key(secret)


def _pinned(key: object, *, algorithm: str | None, kid: str | None) -> VerificationKey:
    """Raise KeyRefused unless `key` is one for `algorithm`."""
    fitting = _algorithms_of(key)
    pinned = fitting[0] if algorithm is None else algorithm
    if pinned not in fitting:
        raise KeyRefused(f"a key for {' or '.join(fitting)}, not for {pinned}")
    return VerificationKey(algorithm=pinned, kid=kid, key=key)


def _algorithms_of(key: object) -> Sequence[str]:
    if isinstance(key, Ed25519PublicKey):
        return (EDDSA,)
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in CURVES:
        return (CURVES[key.curve.name],)
    if isinstance(key, RSAPublicKey):
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            raise KeyRefused(
                f"an RSA key of {key.key_size} bits: it takes {MIN_RSA_BITS} to {MAX_RSA_BITS}"
            )
        return RSA_ALGORITHMS
    raise KeyRefused("a public key, but of no kind for tokens: RSA, P-256, P-384, P-521, Ed25519")


def _from_jwk(algorithm: str, public: Mapping[str, object]) -> Any:  # Any: as PyJWT gives it
    try:
        return jwt.get_algorithm_by_name(algorithm).from_jwk(dict(public))
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, UnsupportedAlgorithm):
        raise KeyRefused("its numbers make no key") from None


def _may_verify(operations: object) -> bool:
    return operations is None or (
        isinstance(operations, list) and "verify" in cast("Iterable[object]", operations)
    )


def _checked_kid(kid: object) -> str | None:
    if kid is not None and not is_valid_kid(kid):
        raise KeyRefused(f"kid has 1 to {MAX_LABEL_CHARS} characters")
    return cast("str | None", kid)
