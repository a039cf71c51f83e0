"""Keys: each pinned to one algorithm when it is read, and a set that says which may be tried."""

import json
from contextlib import suppress

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from hypothesis import given, settings
from hypothesis import strategies as st
from support.key_pairs import Pair, jwks, pair, rsa_key, secret_jwk

from greenroom.protocol import (
    ALGORITHMS,
    HMAC_BYTES,
    KeyRefused,
    KeySet,
    TokenInvalid,
    UnknownKey,
    hmac_key,
    jwk_key,
    pem_key,
    read_jwks,
    verify_with_keys,
)

NOW = 1_717_036_800.0
GOOD = {"sub": "ada", "exp": NOW + 60}
ASYMMETRIC = [name for name in ALGORITHMS if name not in HMAC_BYTES]


def verify(token, *keys):
    return verify_with_keys(token, keys=KeySet(keys), now=NOW)


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_public_key_verifies_its_own_algorithm_and_no_other(algorithm):
    signer = pair(algorithm)
    key = pem_key(signer.pem, algorithm=algorithm)
    assert verify(signer.sign(GOOD), key).subject == "ada"
    for other in ASYMMETRIC:
        if other != algorithm:
            with pytest.raises(UnknownKey):
                verify(pair(other).sign(GOOD), key)


@pytest.mark.parametrize("algorithm", HMAC_BYTES)
def test_a_secret_verifies_its_own_algorithm_and_no_other(algorithm):
    secret = b"s" * 64
    key = hmac_key(secret, algorithm=algorithm)
    assert verify(jwt.encode(GOOD, secret, algorithm=algorithm), key).subject == "ada"
    for other in HMAC_BYTES:
        if other != algorithm:
            with pytest.raises(UnknownKey):
                verify(jwt.encode(GOOD, secret, algorithm=other), key)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_as_json_verifies(algorithm):
    secret = b"s" * 64
    if algorithm in HMAC_BYTES:
        key = jwk_key(secret_jwk(secret, algorithm, kid="a"), symmetric=True)
        token = jwt.encode(GOOD, secret, algorithm=algorithm, headers={"kid": "a"})
    else:
        key = jwk_key(pair(algorithm).jwk("a"))
        token = pair(algorithm).sign(GOOD, "a")
    assert (key.algorithm, key.kid) == (algorithm, "a")
    assert verify(token, key).subject == "ada"


@pytest.mark.parametrize(
    ("algorithm", "pinned"),
    [("RS256", "RS256"), ("PS512", "RS256"), ("ES384", "ES384"), ("EdDSA", "EdDSA")],
)
def test_a_key_that_says_no_algorithm_is_pinned_to_the_usual_one(algorithm, pinned):
    assert pem_key(pair(algorithm).pem).algorithm == pinned
    jwk = pair(algorithm).jwk()
    del jwk["alg"]
    assert jwk_key(jwk).algorithm == pinned


@pytest.mark.parametrize(
    ("algorithm", "bytes_"), [(name, fewest - 1) for name, fewest in HMAC_BYTES.items()]
)
def test_a_secret_shorter_than_its_hash_is_refused(algorithm, bytes_):
    with pytest.raises(KeyRefused, match=f"{bytes_ + 1} bytes or more, not {bytes_}"):
        hmac_key("s" * bytes_, algorithm=algorithm)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_is_no_secret(algorithm):
    with pytest.raises(KeyRefused, match="no secret"):
        hmac_key(pair(algorithm).pem)


@pytest.mark.parametrize("algorithm", ["none", "RS256", "hs256", ""])
def test_a_secret_is_pinned_to_a_hash(algorithm):
    with pytest.raises(KeyRefused, match="one of HS256, HS384, HS512"):
        hmac_key("s" * 64, algorithm=algorithm)


@pytest.mark.parametrize("bits", [1024, 9216])
def test_rsa_keys_that_are_too_short_or_too_long_are_refused(bits):
    numbers = rsa_key(1024).public_key().public_numbers()
    modulus = numbers.n if bits == 1024 else (1 << (bits - 1)) | 1
    jwk = {"kty": "RSA", "n": jwt.utils.to_base64url_uint(modulus).decode(), "e": "AQAB"}
    with pytest.raises(KeyRefused, match=f"an RSA key of {bits} bits"):
        jwk_key(jwk)


@pytest.mark.parametrize(
    ("algorithm", "wrong"),
    [
        ("ES256", "ES384"),
        ("ES256", "RS256"),
        ("ES384", "ES256"),
        ("RS256", "ES256"),
        ("RS256", "HS256"),
        ("RS256", "none"),
        ("EdDSA", "ES256"),
    ],
)
def test_an_algorithm_that_does_not_go_with_the_key_is_refused(algorithm, wrong):
    with pytest.raises(KeyRefused, match="not for"):
        pem_key(pair(algorithm).pem, algorithm=wrong)
    with pytest.raises(KeyRefused):
        jwk_key(pair(algorithm).jwk(alg=wrong))


@pytest.mark.parametrize("private", [ec.generate_private_key(ec.SECP256K1()), "ed448"])
def test_curves_that_are_not_for_tokens_are_refused(private):
    key = ed448.Ed448PrivateKey.generate() if private == "ed448" else private
    with pytest.raises(KeyRefused, match="of no kind for tokens"):
        pem_key(Pair("EdDSA", key).pem)


def test_a_private_key_is_refused_wherever_it_stands():
    with pytest.raises(KeyRefused, match="a private key"):
        pem_key(pair("ES256").private_pem)
    with pytest.raises(KeyRefused, match="a private key"):
        jwk_key(pair("ES256").jwk(d="AAAA"))


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"\x00\xff",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "ssh-rsa A",
    ],
)
def test_what_is_no_key_in_pem_is_refused(pem):
    with pytest.raises(KeyRefused, match="not a public key in PEM"):
        pem_key(pem)


def test_a_certificate_says_what_to_do():
    with pytest.raises(KeyRefused, match="openssl x509 -pubkey"):
        pem_key(b"-----BEGIN CERTIFICATE-----\n")


ES = pair("ES256").jwk("a")


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {**ES, "kty": "ECC"},
        {**ES, "kty": ["EC"]},
        {**ES, "crv": "P-384"},
        {**ES, "crv": "P-256K"},
        {**ES, "x": 1},
        {**ES, "x": ES["y"][:-2]},
        {**ES, "x": ES["y"]},  # not on the curve
        {**ES, "use": "enc"},
        {**ES, "key_ops": ["sign"]},
        {**ES, "key_ops": "verify"},
        {**ES, "kid": ""},
        {**ES, "kid": 7},
        {**ES, "kid": "k" * 201},
        {**ES, "alg": "ES256K"},
        {**ES, "alg": ["ES256"]},
        {"kty": "RSA", "n": "AQAB"},
        {"kty": "RSA", "n": "", "e": ""},
        {"kty": "OKP", "crv": "X25519", "x": "A" * 43},
        {"kty": "OKP", "crv": "Ed25519", "x": "A"},
        secret_jwk(b"s" * 32),
    ],
)
def test_json_that_makes_no_key_is_refused(jwk):
    with pytest.raises(KeyRefused):
        jwk_key(jwk)


def test_a_secret_as_json_has_to_say_its_algorithm():
    jwk = secret_jwk(b"s" * 32)
    del jwk["alg"]
    with pytest.raises(KeyRefused, match="has to say its alg"):
        jwk_key(jwk, symmetric=True)


def test_no_refusal_holds_any_part_of_the_key():
    for key in ({**ES, "crv": "P-384"}, {**ES, "x": ES["y"]}, secret_jwk(b"secret-secret-secret")):
        with pytest.raises(KeyRefused) as caught:
            jwk_key(key, symmetric=True)
        shown = str(caught.value) + repr(caught.value.__cause__)
        assert not [part for part in (ES["y"], key.get("k", ES["x"])) if part in shown]


def test_a_set_leaves_out_what_cannot_be_used_and_says_why():
    read = read_jwks(jwks(ES, secret_jwk(b"s" * 32), pair("EdDSA").jwk("b", use="enc"), [1]))
    assert [(key.algorithm, key.kid) for key in read.keys] == [("ES256", "a")]
    assert [line.split(":")[0] for line in read.refused] == ["key 2", "key 3", "key 4"]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[]}',
        b'{"keys":[{}]}',
        b'{"keys":' + b"[" * 5000,
        b'{"keys":[],"keys":[]}',
        b"\xff",
        jwks(*[ES] * 101),
        jwks(secret_jwk(b"s" * 32)),
    ],
)
def test_what_is_no_set_of_keys_is_refused(document):
    with pytest.raises(KeyRefused):
        read_jwks(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=100),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
MEMBER = (
    JSON | st.text("ABCxyz019-_=+/", max_size=400) | st.sampled_from(sorted(map(str, ES.values())))
)
NAMES = ["kty", "crv", "x", "y", "n", "e", "k", "alg", "kid", "use", "key_ops", "d", "x5c", "oth"]


@settings(max_examples=200)
@given(
    st.sampled_from([pair(name).jwk("a") for name in ("RS256", "ES256", "ES512", "EdDSA")]),
    st.dictionaries(st.sampled_from(NAMES), MEMBER, max_size=4),
)
def test_whatever_is_published_is_a_key_or_refused(jwk, changed):
    """Anything else would be a crash of whoever keeps the keys up to date."""
    with suppress(KeyRefused):
        assert jwk_key({**jwk, **changed}, symmetric=True).algorithm in ALGORITHMS


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps({"keys": value}).encode()))
def test_whatever_is_at_the_address_is_a_set_or_refused(document):
    with suppress(KeyRefused):
        read_jwks(document)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_whatever_is_in_a_file_is_a_key_or_refused(noise, at):
    with suppress(KeyRefused):
        pem_key(pair("RS256").pem[:at] + noise + pair("RS256").pem[at:])


# Which keys are tried.


def test_a_kid_chooses_its_key_alone():
    old, new = pair("ES256"), pair("ES256", 1)
    keys = jwk_key(old.jwk("old")), jwk_key(new.jwk("new"))
    assert verify(new.sign(GOOD, "new"), *keys).subject == "ada"
    with pytest.raises(TokenInvalid) as caught:
        verify(new.sign(GOOD, "old"), *keys)
    assert type(caught.value) is TokenInvalid


def test_an_unknown_kid_asks_for_newer_keys():
    with pytest.raises(UnknownKey):
        verify(pair("ES256").sign(GOOD, "new"), jwk_key(pair("ES256").jwk("old")))


def test_a_known_kid_with_another_algorithm_asks_for_none():
    with pytest.raises(TokenInvalid) as caught:
        verify(pair("RS256").sign(GOOD, "a"), jwk_key(ES))
    assert type(caught.value) is TokenInvalid


def test_a_key_without_a_name_is_tried_for_names_that_nobody_has():
    nameless = pem_key(pair("ES256").pem)
    assert verify(pair("ES256").sign(GOOD, "whatever"), nameless).subject == "ada"
    with pytest.raises(UnknownKey):
        verify(pair("ES256", 1).sign(GOOD, "whatever"), nameless)


def test_a_token_without_kid_is_tried_against_what_fits():
    keys = [jwk_key(pair("ES256", number).jwk(str(number))) for number in range(4)]
    assert verify(pair("ES256", 3).sign(GOOD), *keys, jwk_key(pair("EdDSA").jwk())).subject == "ada"


def test_a_token_without_kid_is_not_tried_against_many():
    keys = [jwk_key(pair("ES256", number).jwk(str(number))) for number in range(5)]
    with pytest.raises(TokenInvalid, match="has to say which"):
        verify(pair("ES256").sign(GOOD), *keys)


def test_an_empty_set_knows_no_key():
    with pytest.raises(UnknownKey):
        verify(pair("ES256").sign(GOOD))


def test_a_key_shows_nothing_of_itself():
    shown = repr(KeySet((hmac_key("secret-secret-secret-secret-secret"), jwk_key(ES))))
    assert "secret-" not in shown
    assert ES["x"] not in shown


def test_a_set_may_be_pretty_printed():
    assert read_jwks(json.dumps({"keys": [ES]}, indent=2).encode()).keys


def test_ssh_keys_are_no_secrets():
    line = (
        pair("EdDSA")
        .private.public_key()
        .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    )
    with pytest.raises(KeyRefused, match="no secret"):
        hmac_key(line)
