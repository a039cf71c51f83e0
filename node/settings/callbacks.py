"""The settings of the webhooks: where they go, who signs, what is told, and how patiently.

Reads URLs, secrets and words, and nothing else: who calls the URL is `webhooks.py`.
"""

import ipaddress
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, cast
from urllib.parse import SplitResult, urlsplit

import attrs

from greenroom.actors.callbacks.events import EventKind
from greenroom.node.errors import SettingsError
from greenroom.node.masks import Masked, MaskedKind
from greenroom.node.settings.kinds import FilePath, Flag, Integer, MisfitError, Seconds, about
from greenroom.node.signatures import SigningKeys, SigningSecrets

EVENTS: Final = tuple(kind.value for kind in EventKind)


class WebhookUrl(Masked[str]):
    """Where a webhook goes; `reveal()` with its query, in which a token may stand."""

    __slots__ = ()

    @property
    def exposed(self) -> bool:
        """Whether what is sent can be read on its way: http, and not to this very machine."""
        return self._parts.scheme == "http" and not _is_here(self._parts.hostname or "")

    def __str__(self) -> str:
        parts = self._parts
        return parts._replace(query="***" if parts.query else "").geturl()

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.reveal())


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@attrs.frozen
class WebhookAddress(MaskedKind):
    """A URL of http or https, without a user or password in it."""

    def from_text(self, text: str) -> object:
        """Read a URL."""
        return self.check(text)

    def check(self, value: object) -> object:
        """Accept a URL with a host."""
        if isinstance(value, WebhookUrl):
            return value
        misfit = MisfitError("a URL such as https://example.com/greenroom, without a password")
        url = value.strip() if isinstance(value, str) else ""
        try:
            parts = urlsplit(url)
            good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:
            raise misfit from None
        if not good or "@" in parts.netloc or parts.fragment or not url.isprintable():
            raise misfit
        return WebhookUrl(url)


@attrs.frozen
class EventList:
    """Some of the events; in the environment they are separated by commas or spaces."""

    def from_text(self, text: str) -> object:
        """Read a list of events."""
        return self.check(text.replace(",", " ").split())

    def check(self, value: object) -> object:
        """Accept a list of their names, each once, and not none of them."""
        given: Sequence[object] = ()
        if isinstance(value, Sequence) and not isinstance(value, str):
            given = cast("Sequence[object]", value)
        names = [name for name in EVENTS if name in given]
        if not names or len(names) < len(given):
            raise MisfitError(f"a list of some of {', '.join(EVENTS)}")
        return tuple(names)


@attrs.frozen(kw_only=True, slots=False)  # one base of several may have slots
class CallbackSettings:
    """What an operator can choose about webhooks."""

    webhook_url: WebhookUrl | None = attrs.field(
        default=None,
        metadata=about(WebhookAddress(), "Where to POST what happens. Unset: nowhere."),
    )
    webhook_access_url: WebhookUrl | None = attrs.field(
        default=None,
        metadata=about(
            WebhookAddress(), "Where to ask who may enter a private room. Unset: tokens decide."
        ),
    )
    webhook_secret: SigningKeys | None = attrs.field(
        default=None,
        metadata=about(SigningSecrets(), "Secret that signs webhooks; two while it changes."),
    )
    webhook_secret_file: Path | None = attrs.field(
        default=None, metadata=about(FilePath(), "File that holds it, instead of naming it.")
    )
    webhook_events: tuple[str, ...] = attrs.field(
        default=EVENTS, metadata=about(EventList(), "What to tell of.")
    )
    webhook_ephemeral: bool = attrs.field(
        default=False,
        metadata=about(Flag(), "Tell of ephemeral rooms too, at most once and without history."),
    )
    webhook_batch: int = attrs.field(
        default=100, metadata=about(Integer(1, 1_000), "Events in one request at the most.")
    )
    webhook_in_flight: int = attrs.field(
        default=8, metadata=about(Integer(1, 256), "Requests at a time, each of another room.")
    )
    webhook_timeout_seconds: float = attrs.field(
        default=10.0, metadata=about(Seconds(60), "How long one request may take.")
    )
    webhook_patience_seconds: float = attrs.field(
        default=3_600.0,
        metadata=about(
            Seconds(30 * 86_400), "How long one request is tried again; then a dead letter."
        ),
    )
    webhook_dead_letters: int = attrs.field(
        default=10_000,
        metadata=about(Integer(1, 1_000_000), "Requests kept that could not be delivered."),
    )

    def check_webhooks(self) -> None:
        """Refuse settings that contradict each other.

        Raises:
            SettingsError: They do.
        """
        if self.webhook_secret is not None and self.webhook_secret_file is not None:
            raise SettingsError(
                "webhook_secret and webhook_secret_file are both set: keep one of them"
            )
        if self.webhook_secret is None and self.webhook_secret_file is None:
            for name, url in self._urls():
                if url is not None:
                    raise SettingsError(
                        f"{name} is set but webhook_secret is not: webhooks are signed "
                        "(try: echo whsec_$(openssl rand -base64 32))"
                    )

    def exposed_webhooks(self) -> Iterator[str]:
        """Name the settings whose webhooks can be read on their way."""
        for name, url in self._urls():
            if url is not None and url.exposed:
                yield name

    def _urls(self) -> Sequence[tuple[str, WebhookUrl | None]]:
        return (
            ("webhook_url", self.webhook_url),
            ("webhook_access_url", self.webhook_access_url),
        )
