"""The settings of tokens from elsewhere: whose keys are believed, and what tokens have to say.

Reads words and addresses and nothing else: files are read by `key_files.py`, the address is asked
by `jwks.py`, and what follows for the node is decided in `trust.py`, all in `node/identity/`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, cast

import attrs

from greenroom.node.errors import SettingsError
from greenroom.node.settings.callbacks import WebhookAddress, WebhookUrl
from greenroom.node.settings.kinds import Integer, MisfitError, Seconds, Secret, about
from greenroom.protocol import (
    ALGORITHMS,
    HMAC_BYTES,
    MAX_LEEWAY_SECONDS,
    KeyRefused,
    TokenRules,
    check_secret,
)

PEM_ALGORITHMS: Final = tuple(name for name in ALGORITHMS if name not in HMAC_BYTES)
MOST_FILES: Final = 20
DAY_SECONDS: Final = 86_400.0


class JwksUrl(WebhookUrl):
    """Where an issuer publishes its keys; `reveal()` with its query, in which a token may stand."""

    __slots__ = ()


@attrs.frozen
class JwksAddress(WebhookAddress):
    """A URL of https, or of http to this very machine: who changes it on its way makes tokens."""

    def check(self, value: object) -> object:
        """Accept a URL that nobody on the way can change."""
        url = cast("WebhookUrl", super().check(value))
        if url.exposed:
            raise MisfitError("a URL of https, or of http to this very machine")
        return JwksUrl(url.reveal())


@attrs.frozen
class KeyFile:
    """A file with a public key in PEM, or with a JSON Web Key Set."""

    path: Path
    algorithm: str | None = None
    """What a key in PEM is pinned to; None: what goes with its kind."""
    kid: str | None = None
    """The name of a key in PEM, as tokens say it."""

    def beneath(self, folder: Path) -> "KeyFile":
        """Return it with a relative path that counts from `folder`."""
        return attrs.evolve(self, path=folder / self.path)

    def __str__(self) -> str:
        words = {"alg": self.algorithm, "kid": self.kid}
        return ",".join(
            [str(self.path), *(f"{name}={word}" for name, word in words.items() if word)]
        )


@attrs.frozen
class KeyFiles:
    """Files of keys, each `PATH[,alg=RS256][,kid=NAME]`; in the environment separated by spaces."""

    def from_text(self, text: str) -> object:
        """Read a list of files."""
        return self.check(text.split())

    def check(self, value: object) -> object:
        """Accept a list of texts, each a file."""
        given = _texts(value)
        files = tuple(file for file in map(_key_file, given or ()) if file is not None)
        if given is None or len(files) < len(given) or len(files) > MOST_FILES:
            raise MisfitError(
                f"a list of at most {MOST_FILES} files of keys such as /etc/greenroom/jwks.json or "
                "/etc/greenroom/issuer.pem,alg=RS256,kid=2026a"
            )
        return files


@attrs.frozen
class Words:
    """A list of words; in one text they are separated by commas or spaces."""

    def from_text(self, text: str) -> object:
        """Read a list of words."""
        return self.check(text)

    def check(self, value: object) -> object:
        """Accept a list of texts without white space, or one text."""
        given = _texts(value.replace(",", " ").split() if isinstance(value, str) else value)
        if given is None or any(not word or word.split() != [word] for word in given):
            raise MisfitError("a list of words such as https://login.example.com")
        return tuple(given)


@attrs.frozen(kw_only=True, slots=False)  # one base of several may have slots
class KeySettings:
    """What an operator can choose about tokens that somebody else issues."""

    jwt_keys: tuple[KeyFile, ...] = attrs.field(
        default=(),
        metadata=about(KeyFiles(), "Files with the issuer's keys: PEM, or a JSON Web Key Set."),
    )
    jwt_jwks_url: JwksUrl | None = attrs.field(
        default=None,
        metadata=about(JwksAddress(), "Where the issuer publishes its keys. Unset: nowhere."),
    )
    jwt_jwks_seconds: float = attrs.field(
        default=600.0,
        metadata=about(Seconds(DAY_SECONDS, low=10), "How often the keys are fetched at least."),
    )
    jwt_jwks_stale_seconds: float = attrs.field(
        default=DAY_SECONDS,
        metadata=about(
            Seconds(30 * DAY_SECONDS, low=10), "How long fetched keys are good without a new fetch."
        ),
    )
    jwt_audience: tuple[str, ...] = attrs.field(
        default=(), metadata=about(Words(), "Names of this service; a token must be for one.")
    )
    jwt_issuer: tuple[str, ...] = attrs.field(
        default=(), metadata=about(Words(), "Issuers; a token must be of one.")
    )
    jwt_leeway_seconds: int = attrs.field(
        default=0,
        metadata=about(
            Integer(0, int(MAX_LEEWAY_SECONDS)), "How far the issuer's clock may be off."
        ),
    )
    jwt_longest_seconds: float | None = attrs.field(
        default=None,
        metadata=about(
            Seconds(365 * DAY_SECONDS), "Longest life of a token; longer ones are refused."
        ),
    )

    @property
    def has_issuer(self) -> bool:
        """Whether somebody else issues tokens that the node believes."""
        return bool(self.jwt_keys) or self.jwt_jwks_url is not None

    @property
    def token_rules(self) -> TokenRules:
        """What tokens have to say."""
        return TokenRules(
            audience=self.jwt_audience,
            issuer=self.jwt_issuer,
            leeway_seconds=float(self.jwt_leeway_seconds),
            max_lifetime_seconds=self.jwt_longest_seconds,
        )

    def check_keys(self, secret: Secret | None) -> None:
        """Refuse settings that contradict each other, and a secret that everybody may know.

        Raises:
            SettingsError: They do, or it is.
        """
        if self.jwt_jwks_stale_seconds < self.jwt_jwks_seconds:
            raise SettingsError(
                "jwt_jwks_stale_seconds is less than jwt_jwks_seconds: keys would be forgotten "
                "between two fetches"
            )
        if secret is not None:
            try:
                check_secret(secret.reveal())
            except KeyRefused as reason:
                raise SettingsError(f"jwt_secret: {reason}; public keys go to jwt_keys") from None

    def loose_keys(self) -> Iterator[str]:
        """Say in a line what is allowed about keys and yet no good idea."""
        if self.has_issuer and not self.jwt_audience:
            yield (
                "jwt_audience is not set: a token without aud is let in, whatever it was issued "
                "for; name this service"
            )


def _texts(value: object) -> Sequence[str] | None:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return None
    items = cast("Sequence[object]", value)
    texts = [item for item in items if isinstance(item, str)]
    return texts if len(texts) == len(items) else None


def _key_file(text: str) -> KeyFile | None:
    path, *words = text.split(",")
    named: dict[str, str] = {}
    for word in words:
        name, _, named_value = word.partition("=")
        named[name] = named_value
    algorithm, kid = named.pop("alg", None), named.pop("kid", None)
    good = path.strip() and "\0" not in path and not named and algorithm in {None, *PEM_ALGORITHMS}
    return KeyFile(Path(path).expanduser(), algorithm, kid) if good and kid != "" else None
