"""Keys to sign tokens with, and what verifies them; made once, as RSA takes a while."""

import base64
import functools
import json
from pathlib import Path

import attrs
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


@attrs.frozen
class Pair:
    """A private key of one algorithm."""

    algorithm: str
    private: object

    @property
    def pem(self) -> bytes:
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def private_pem(self) -> bytes:
        return self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def jwk(self, kid=None, **more) -> dict:
        public = jwt.get_algorithm_by_name(self.algorithm).to_jwk(
            self.private.public_key(), as_dict=True
        )
        public.pop("key_ops", None)
        return {**public, "alg": self.algorithm, **({} if kid is None else {"kid": kid}), **more}

    def sign(self, claims: dict, kid=None, **header) -> str:
        headers = {**({} if kid is None else {"kid": kid}), **header}
        return jwt.encode(claims, self.private, algorithm=self.algorithm, headers=headers)


@functools.cache
def rsa_key(bits: int = 2048, number: int = 0):
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def pair(algorithm: str, number: int = 0) -> Pair:
    """A pair; another number is another key."""
    return _pair(algorithm, number)


@functools.cache
def _pair(algorithm: str, number: int) -> Pair:
    if algorithm in CURVES:
        return Pair(algorithm, ec.generate_private_key(CURVES[algorithm]))
    if algorithm == "EdDSA":
        return Pair(algorithm, ed25519.Ed25519PrivateKey.generate())
    return Pair(algorithm, rsa_key(number=number))


def secret_jwk(secret: bytes, algorithm: str = "HS256", kid=None) -> dict:
    key = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
    return {"kty": "oct", "k": key, "alg": algorithm, **({} if kid is None else {"kid": kid})}


def jwks(*keys: dict) -> bytes:
    return json.dumps({"keys": keys}).encode()


def replace(path: Path, content: bytes) -> None:
    """As a careful operator does, and Kubernetes: another file of the same name, whole at once."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.rename(path)


def write_jwks(path: Path, *keys: dict) -> Path:
    replace(path, jwks(*keys))
    return path
