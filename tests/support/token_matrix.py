"""Tokens that must let nobody in, each with what is wrong, what is raised and what the client sees.

The one place they stand in: `tests/protocol/test_token_matrix.py` verifies them, a whole node is
asked by `tests/node/test_token_matrix_on_the_wire.py`, and the table in the documents is `table()`.
"""

import base64
import functools
import hashlib
import hmac
import json

import attrs
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from support.key_pairs import jwks, pair, rsa_key

from greenroom.protocol import (
    KeySet,
    TokenExpired,
    TokenInvalid,
    TokenRules,
    UnknownKey,
    hmac_key,
    read_jwks,
)

SECRET = "the node's own secret of 32 bytes or more"
ISSUER = "https://issuer.example"
AUDIENCE = "chat"
RULES = TokenRules(audience=(AUDIENCE,), issuer=(ISSUER,), max_lifetime_seconds=86_400)
ALGORITHMS = ("RS256", "ES256", "ES384", "EdDSA")  # each under a kid of its own name
ATTACKER = 7  # the number of the attacker's keys
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

WRONG = "101, 4500"
LATE = "109, 4003"
BAD_FRAME = "107"
TOO_LARGE = "1009"


@attrs.frozen
class BadToken:
    """One row."""

    title: str
    token: str = attrs.field(repr=False)
    error: type[Exception] = TokenInvalid
    """Exactly this one, no subclass."""
    answer: str = WRONG
    """ERROR and close code of an AUTH with it, or one of the two."""


def issuer_document() -> bytes:
    """The keys that the node believes besides its own secret."""
    return jwks(*(pair(name).jwk(name) for name in ALGORITHMS))


@functools.cache
def trusted() -> KeySet:
    return KeySet((hmac_key(SECRET), *read_jwks(issuer_document()).keys))


def good_claims(now: float) -> dict:
    return {"sub": "ada", "iss": ISSUER, "aud": AUDIENCE, "iat": int(now), "exp": int(now) + 600}


def good_tokens(now: float) -> dict[str, str]:
    """One for each key, so that it is not the keys that the bad ones fail by."""
    claims = good_claims(now)
    return {
        "HS256": jwt.encode(claims, SECRET, algorithm="HS256"),
        **{name: pair(name).sign(claims, name) for name in ALGORITHMS},
    }


def b64(data: bytes | str | dict) -> str:
    if isinstance(data, dict):
        data = json.dumps(data)
    data = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(header, payload, sign=b"") -> str:
    """A token of any header and payload; `sign` is the signature, or makes it."""
    signed = f"{b64(header)}.{b64(payload)}"
    return f"{signed}.{b64(sign(signed.encode()) if callable(sign) else sign)}"


def own(header, payload) -> str:
    """Signed with the node's own secret: what it says is the only thing that is wrong with it."""
    return compact(
        header, payload, lambda signed: hmac.digest(SECRET.encode(), signed, hashlib.sha256)
    )


def mac(header, payload, secret: bytes) -> str:
    return compact(header, payload, lambda signed: hmac.digest(secret, signed, hashlib.sha256))


def bad_tokens(now: float, *, jku: str = "https://attacker.example/jwks.json") -> list[BadToken]:
    """All rows; `now` in seconds since 1970, `jku` where the attacker's keys can be fetched."""
    claims = good_claims(now)
    return [
        *_algorithms(claims),
        *_confusions(claims),
        *_key_names(claims),
        *_headers(claims, jku),
        *_signatures(claims),
        *_forms(claims),
        *_times(claims, now),
        *_contents(claims),
    ]


def _algorithms(claims):
    def shown(name):
        return json.dumps(name)

    for name in ("none", "None", "NONE", "nOnE", "", "HS265", "rs256", "ES256K", "EdDSA\n"):
        yield BadToken(f"alg {shown(name)}, no signature", f"{b64({'alg': name})}.{b64(claims)}.")
        yield BadToken(
            f"alg {shown(name)}, some signature", compact({"alg": name}, claims, b"x" * 32)
        )
    unsigned = jwt.encode(claims, None, algorithm="none")
    yield BadToken("alg none, with the third segment left out", unsigned.rstrip("."))
    for shown, value in (("a list", ["HS256"]), ("null", None), ("a number", 1), ("an object", {})):
        yield BadToken(f"alg is {shown}", own({"alg": value}, claims))
    yield BadToken("no alg", own({"typ": "JWT"}, claims))
    yield BadToken(
        "alg of another hash, signed with the right secret",
        jwt.encode(claims, SECRET.ljust(64), algorithm="HS512"),
        UnknownKey,
    )


def _confusions(claims):
    public = pair("RS256").private.public_key()
    pem = pair("RS256").pem
    der = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    jwk = json.dumps(pair("RS256").jwk("RS256")).encode()
    for shown, secret in (
        ("in PEM", pem),
        ("in PEM without the last newline", pem.rstrip(b"\n")),
        ("in DER", der),
        ("as JSON", jwk),
    ):
        for kid in ({"kid": "RS256"}, {}):
            title = f"HMAC with the RSA public key {shown}, {'its' if kid else 'no'} kid"
            yield BadToken(title, mac({"alg": "HS256", **kid}, claims, secret))
    pem = pair("ES256").pem
    yield BadToken(
        "HMAC with the EC public key", mac({"alg": "HS256", "kid": "ES256"}, claims, pem)
    )
    yield BadToken("HMAC with an empty secret", mac({"alg": "HS256"}, claims, b""))
    rs = pair("RS256").sign(claims, "RS256")
    yield BadToken("RS256 signature under a header that says PS256", _relabel(rs, alg="PS256"))
    yield BadToken("RS256 signature under a header that says HS256", _relabel(rs, alg="HS256"))
    ps = compact({"alg": "PS256", "kid": "RS256"}, claims, _signer("PS256"))
    yield BadToken("PS256 by a key that is pinned to RS256", ps)
    rs384 = compact({"alg": "RS384", "kid": "RS256"}, claims, _signer("RS384"))
    yield BadToken("RS384 by a key that is pinned to RS256", rs384)
    wrong_curve = compact({"alg": "ES256", "kid": "ES384"}, claims, _signer("ES384"))
    yield BadToken("ES384 signature and kid under alg ES256", wrong_curve)
    short = compact({"alg": "ES256", "kid": "ES256"}, claims, _signer("ES384"))
    yield BadToken("signature of a P-384 key for a P-256 key's kid", short)


def _key_names(claims):
    for name in ALGORITHMS:
        wrong = pair(name, ATTACKER).sign(claims, name)
        yield BadToken(f"{name} by another key, under our key's kid", wrong)
    yield BadToken(
        "RS256 by a key of 1024 bits, under our key's kid",
        compact({"alg": "RS256", "kid": "RS256"}, claims, _signer("RS256", rsa_key(1024))),
    )
    yield BadToken("HS256 by another secret", jwt.encode(claims, "x" * 32, algorithm="HS256"))
    yield BadToken("the right key under another key's kid", pair("ES256").sign(claims, "ES384"))
    yield BadToken("a kid that nobody has", pair("ES256").sign(claims, "2099"), UnknownKey)
    for shown, kid in (
        ("a path", "../../../../../../dev/null"),
        ("SQL", "x' UNION SELECT 'secret' --"),
        ("a command", "x|/usr/bin/id"),
        ("a URL", "https://attacker.example/key.pem"),
        ("a name with NUL after it", "ES256\0"),
    ):
        token = mac({"alg": "HS256", "kid": kid}, claims, b"")
        yield BadToken(f"kid is {shown}, HMAC with an empty secret", token, UnknownKey)
    for shown, kid in (
        ("an object", {"kty": "oct"}),
        ("a list", ["ES256"]),
        ("a number", 0),
        ("null", None),
        ("empty", ""),
        ("201 characters long", "k" * 201),
    ):
        yield BadToken(f"kid is {shown}", own({"alg": "HS256", "kid": kid}, claims))


def _headers(claims, jku):
    attacker = pair("RS256", ATTACKER)
    key = attacker.jwk("RS256")
    for name, value in (("jku", jku), ("x5u", jku), ("jwk", key), ("x5c", ["MIIB"])):
        for kid in ("RS256", "attacker"):
            yield BadToken(
                f"{name} brings the attacker's key, kid {'ours' if kid == 'RS256' else 'theirs'}",
                compact(
                    {"alg": "RS256", "kid": kid, name: value},
                    claims,
                    _signer("RS256", attacker.private),
                ),
                TokenInvalid if kid == "RS256" else UnknownKey,
            )
    hs = {"alg": "HS256"}
    yield BadToken("crit with an extension", own({**hs, "crit": ["exp"], "exp": 1}, claims))
    yield BadToken("crit is empty", own({**hs, "crit": []}, claims))
    yield BadToken("crit is no list", own({**hs, "crit": 3}, claims))
    yield BadToken("b64 false, with crit", own({**hs, "b64": False, "crit": ["b64"]}, claims))
    yield BadToken("b64 false, without crit", own({**hs, "b64": False}, claims))
    header = '{"alg":"HS256","alg":"none"}'
    yield BadToken("alg stands twice in the header", own(header, claims))
    yield BadToken("header nested 1,500 deep", own('{"alg":"HS256","a":' + "[" * 1_500, claims))
    deep = '{"alg":"HS256","a":' + "[" * 2_000 + "]" * 2_000 + "}"
    yield BadToken(
        "header nested 17 deep", own('{"alg":"HS256","a":' + "[" * 17 + "]" * 17 + "}", claims)
    )
    yield BadToken("header nested 2,000 deep and closed", own(deep, claims))
    for shown, header in (
        ("a list", "[]"),
        ("null", "null"),
        ("a string", '"HS256"'),
        ("no JSON", "alg=HS256"),
        ("not UTF-8", b'{"alg":"HS256","x":"\xff"}'),
        ("JSON and then some", '{"alg":"HS256"}{}'),
        ("JSON with NaN", '{"alg":"HS256","x":NaN}'),
    ):
        yield BadToken(f"header is {shown}", own(header, claims))


def _signatures(claims):
    es = {"alg": "ES256", "kid": "ES256"}
    yield BadToken("ES256 with r = s = 0 (CVE-2022-21449)", compact(es, claims, bytes(64)))
    order = P256_ORDER.to_bytes(32, "big")
    yield BadToken("ES256 with r = s = the order of the curve", compact(es, claims, order * 2))
    yield BadToken("ES256 with r = 1, s = 1", compact(es, claims, (b"\0" * 31 + b"\1") * 2))
    der = pair("ES256").private
    yield BadToken("ES256 signature in DER", compact(es, claims, functools.partial(_der, der)))
    yield BadToken("ES256 signature with a byte more", _with_signature(es, claims, b"\0"))
    ed = {"alg": "EdDSA", "kid": "EdDSA"}
    yield BadToken("EdDSA with a signature of zeros", compact(ed, claims, bytes(64)))
    yield BadToken("EdDSA with an empty signature", f"{b64(ed)}.{b64(claims)}.")
    rs = {"alg": "RS256", "kid": "RS256"}
    yield BadToken("RS256 with a signature of zeros", compact(rs, claims, bytes(256)))
    yield BadToken("RS256 with the signature 1", compact(rs, claims, bytes(255) + b"\1"))
    good = pair("ES256").sign(claims, "ES256")
    head, _, signature = good.split(".")
    other = b64({**claims, "sub": "root"})
    yield BadToken("another payload under a good signature", f"{head}.{other}.{signature}")


def _forms(claims):
    good = jwt.encode(claims, SECRET, algorithm="HS256")
    head, payload, signature = good.split(".")
    yield BadToken("empty", "", answer=BAD_FRAME)
    yield BadToken("dots", "..")
    yield BadToken("one word", "null")
    yield BadToken("the last character is missing", good[:-1])
    yield BadToken("the signature is missing", f"{head}.{payload}.")
    yield BadToken("a character more", good + "A")
    yield BadToken("padded", good + "=")
    yield BadToken("payload padded", f"{head}.{payload}==.{signature}")
    yield BadToken("a fourth segment", f"{good}.{signature}")
    yield BadToken("five segments (JWE)", ".".join([b64({"alg": "dir", "enc": "A256GCM"})] * 5))
    yield BadToken("other spelling of the signature's last byte", _other_spelling(good))
    yield BadToken("white space before", " " + good)
    yield BadToken("newline after", good + "\n")
    yield BadToken("with Bearer before it", f"Bearer {good}")
    yield BadToken("in quotes", f'"{good}"')
    yield BadToken("in the alphabet of plain base64", f"{head}.{payload}+/.{signature}")
    yield BadToken("a Cyrillic letter for a Latin one", good.replace("e", "\u0435"))
    yield BadToken("an emoji", good + "🗝")
    yield BadToken("NUL inside", f"{head}.{payload}\0.{signature}", answer=BAD_FRAME)
    yield BadToken("as JSON (RFC 7515, 7.2)", json.dumps({"payload": payload, "signature": "x"}))
    yield BadToken(
        "8,193 characters",
        own({"alg": "HS256"}, {**claims, "x": "y" * 6_100})[:8_193],
        answer=BAD_FRAME,
    )
    yield BadToken("100 kB", "a" * 100_000, answer=TOO_LARGE)


def _times(claims, now):
    def says(title, error=TokenInvalid, answer=WRONG, **changed):
        return BadToken(title, own({"alg": "HS256"}, {**claims, **changed}), error, answer)

    def spells(title, **spelled):
        rest = {name: value for name, value in claims.items() if name not in spelled}
        more = ",".join(f'"{name}":{text}' for name, text in spelled.items())
        return BadToken(title, own({"alg": "HS256"}, json.dumps(rest)[:-1] + f",{more}}}"))

    yield says("expired", TokenExpired, LATE, iat=now - 60, exp=now - 1)
    yield says("expired an hour ago", TokenExpired, LATE, iat=now - 7_200, exp=now - 3_600)
    without = {name: value for name, value in claims.items() if name != "exp"}
    yield BadToken("no exp", own({"alg": "HS256"}, without))
    for shown, value in (
        ("null", None),
        ("a string", str(int(now) + 600)),
        ("true", True),
        ("a list", [now + 600]),
        ("negative", -1),
        ("in milliseconds, too large for any client", 2**53),
        ("huge", 10**400),
    ):
        yield says(f"exp is {shown}", exp=value)
    for text in ("NaN", "Infinity", "-Infinity", "1e400", "0x7fffffff", "1" * 5_000):
        yield spells(f"exp is spelled {text if len(text) < 20 else '5,000 digits'}", exp=text)
    yield says("nbf in the future", nbf=now + 60)
    yield says("nbf is a string", nbf="soon")
    yield says("iat an hour in the future", iat=now + 3_600, exp=now + 3_700)
    yield says("iat is a string", iat="then")
    yield says("no iat, where a longest life is set", iat=None)
    yield says("good for longer than allowed", exp=now + 30 * 86_400)


def _contents(claims):
    def says(title, **changed):
        kept = {k: v for k, v in {**claims, **changed}.items() if v is not ...}
        return BadToken(title, own({"alg": "HS256"}, kept))

    yield says("aud of somebody else", aud="billing")
    yield says("aud lists others only", aud=["billing", "mail"])
    yield says("aud in other letters", aud="CHAT")
    yield says("aud holds a number", aud=["chat", 1])
    yield says("aud is an object", aud={"chat": True})
    yield says("no aud", aud=...)
    yield says("aud is empty", aud=[])
    yield says("iss of somebody else", iss="https://attacker.example")
    yield says("iss with ours as its beginning", iss=ISSUER + ".attacker.example")
    yield says("iss with a slash more", iss=ISSUER + "/")
    yield says("iss is a list with ours in it", iss=[ISSUER])
    yield says("no iss", iss=...)
    yield says("no sub", sub=...)
    for shown, value in (
        ("null", None),
        ("empty", ""),
        ("white space", " "),
        ("a number", 7),
        ("a list", ["ada"]),
        ("129 characters long", "a" * 129),
        ("two lines", "a\nb"),
        ("text with NUL in it", "a\0b"),
        ("text with an escape sequence in it", "\x1b[31mada"),
        ("text that changes its direction", "ada\u202e"),
        ("a lone surrogate", "\ud800"),
    ):
        yield says(f"sub is {shown}", sub=value)
    yield says("jti is a number", jti=7)
    yield says("jti is an object", jti={})
    yield says("rooms is a list", rooms=["lobby"])
    yield says("rooms gives a right that is none", rooms={"lobby": ["moderate"]})
    yield says("rooms has a pattern that is none", rooms={"te*m": ["join"]})
    twice = json.dumps(claims)[:-1] + ',"sub":"root"}'
    yield BadToken("sub stands twice", own({"alg": "HS256"}, twice))
    for shown, payload in (
        ("a list", json.dumps([claims])),
        ("a string", json.dumps("ada")),
        ("no JSON", "sub=ada"),
        ("not UTF-8", b'{"sub":"\xff"}'),
        ("nested 2,000 deep", '{"a":' + "[" * 2_000),
        ("nested 17 deep", json.dumps(claims)[:-1] + ',"a":' + "[" * 17 + "]" * 17 + "}"),
        ("a token itself", own({"alg": "HS256"}, claims)),
    ):
        yield BadToken(f"what it says is {shown}", own({"alg": "HS256"}, payload))


def _relabel(token: str, **header) -> str:
    head, payload, signature = token.split(".")
    old = json.loads(base64.urlsafe_b64decode(head + "=="))
    return f"{b64({**old, **header})}.{payload}.{signature}"


def _signer(algorithm, private=None):
    chosen = pair(algorithm).private if private is None else private
    return lambda signed: jwt.get_algorithm_by_name(algorithm).sign(signed, chosen)


def _der(private, signed):
    return private.sign(signed, ec.ECDSA(SHA256()))


def _with_signature(header, claims, more):
    return compact(header, claims, lambda signed: _signer("ES256")(signed) + more)


def _other_spelling(token: str) -> str:
    """The same bytes: the last of 43 characters holds two bits that belong to none of 32 bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


def table(now: float = 1_800_000_000.0) -> str:
    """The rows as the table of docs/token-matrix.md, which a test holds to them."""
    rows = [f"| {row.title} | `{row.error.__name__}` | {row.answer} |" for row in bad_tokens(now)]
    return "\n".join(["| what is wrong | error | answer |", "|---|---|---|", *rows])


if __name__ == "__main__":
    print(table())
