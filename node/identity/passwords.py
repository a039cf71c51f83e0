"""Passwords: which are good enough, and Argon2id hashes of them, made beside the event loop.

The rules are NIST SP 800-63B's: length counts, what everybody chooses is refused, and nobody is
told to add a digit. A hash takes 64 MiB and a fifth of a second by intent, so only so many are made
at a time and so many wait; who finds no place is told to come back. No password is kept, logged, or
part of an error.
"""

import base64
import math
import secrets
import unicodedata
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import argon2
import attrs
import trio
from argon2.exceptions import InvalidHashError, VerificationError

from greenroom.node.settings.accounts import HashCost

T = TypeVar("T")

MAX_PASSWORD_BYTES: Final = 1024
"""In UTF-8. Whole sentences fit; a request that nobody types does not."""

PATIENCE_SECONDS: Final = 8.0
"""How long a password waits for its turn: less than the web side lets a request wait for its answer
(10 s), so that whoever waited is told so."""
# A turn is taken before a thread is.
_UNLIMITED: Final = trio.CapacityLimiter(math.inf)

# Those of eight characters and more that lists of stolen passwords begin with.
_COMMON = """
00000000 0123456789 0987654321 11111111 111111111 1111111111 112233445566 11223344 12121212
123123123 12312312 1234512345 12341234 12344321 12345678 123456789 1234567890 123456789a
1234567891 12345678910 123454321 1234qwer 123654789 123qweasd 123qwe123 147258369 147852369
1q2w3e4r 1q2w3e4r5t 1qaz2wsx 1qazxsw2 22222222 55555555 66666666 77777777 87654321 88888888
987654321 99999999 a1234567 a12345678 aa123456 aa12345678 aaaaaaaa abc12345 abcd1234 abcdefgh
access14 administrator alexander asdf1234 asdfasdf asdfghjk asdfghjkl babygirl baseball
basketball butterfly changeme charlotte chocolate computer corvette danielle elizabeth
fernando football garfield greenroom hello123 iloveyou iloveyou1 internet jennifer jonathan
jordan23 letmein1 liverpool lovelove marlboro maverick mercedes metallica michelle midnight
mountain mustang1 nicholas p@ssw0rd p@ssword passw0rd password password! password1 password12
password123 password1234 patricia pokemon1 princess princess1 q1w2e3r4 q1w2e3r4t5 qazwsxedc
qwer1234 qwerqwer qwerty12 qwerty123 qwerty1234 qwertyui qwertyuiop samantha scorpion security
sunshine superman supersecret test1234 testtest trustno1 victoria welcome1 welcome123 whatever
zaq12wsx zxcvbnm1 zxcvbnm123 zzzzzzzz
"""
COMMON: Final = frozenset(_COMMON.split())


class PasswordRefused(ValueError):
    """The password can't be one; the text says why, for the person who chose it."""


class HasherBusy(Exception):
    """As many passwords wait to be hashed as may, or this one has waited for too long."""


def check_new_password(raw: object, *, name: str, least: int) -> str:
    """Return a password for the account `name` in the form that is hashed.

    Args:
        raw: What the user chose.
        name: Of whom.
        least: Fewest characters.

    Raises:
        PasswordRefused: It is too short, too long, the name, or one that everybody tries first.
    """
    password = normal_password(raw)
    if len(password) < least:
        raise PasswordRefused(f"A password has at least {least} characters.")
    plain = password.casefold()
    if plain in COMMON or len(set(plain)) == 1:
        raise PasswordRefused("This password is easily guessed. Choose another one.")
    if plain in {name.casefold(), name.casefold()[::-1]}:
        raise PasswordRefused("A password is not the name.")
    return password


def normal_password(raw: object) -> str:
    """Return the one form of a password, however a keyboard composed it (NFKC).

    Raises:
        PasswordRefused: It is no text, or longer than `MAX_PASSWORD_BYTES`.
    """
    if not isinstance(raw, str):
        raise PasswordRefused("Send a password.")
    try:
        size = len(raw.encode())
    except UnicodeEncodeError:  # a terminal's bytes that are no UTF-8
        raise PasswordRefused("A password is text.") from None
    if size > MAX_PASSWORD_BYTES:
        raise PasswordRefused(f"A password has at most {MAX_PASSWORD_BYTES} bytes.")
    return unicodedata.normalize("NFKC", raw)


@attrs.frozen(kw_only=True)
class Verdict:
    """What came of comparing a password with a hash."""

    matches: bool
    outdated: bool = False
    """It matches, and the hash was made with other parameters than are in force."""


class PasswordHasher(Protocol):
    """Makes hashes and compares with them, each a lot of work."""

    async def hash(self, password: str) -> str:
        """Return a fresh hash. Raises `HasherBusy`."""
        ...

    async def verify(self, stored: str | None, password: str) -> Verdict:
        """Compare with a hash; with None do the same work and find that it does not match.

        Raises:
            HasherBusy: Nothing was compared.
        """
        ...


class Argon2Hasher:
    """Argon2id (RFC 9106) in worker threads. Make it inside the event loop.

    Args:
        cost: Of each hash.
        at_once: Hashes under way at a time: so many cores, and so often the memory.
        waiting: Passwords that may wait for that.
    """

    def __init__(self, cost: HashCost, *, at_once: int, waiting: int) -> None:
        self._argon2 = make_argon2(cost)
        self._turns = trio.CapacityLimiter(at_once)
        self._places = at_once + waiting
        self._taken = 0
        self._nobodys = _nobodys_hash(cost)

    async def hash(self, password: str) -> str:
        """Return a fresh hash; see `PasswordHasher.hash`."""
        return await self._in_thread(lambda: self._argon2.hash(password))

    async def verify(self, stored: str | None, password: str) -> Verdict:
        """Compare with a hash; see `PasswordHasher.verify`."""
        return await self._in_thread(lambda: self._verify(stored, password))

    def _verify(self, stored: str | None, password: str) -> Verdict:
        against = self._nobodys if stored is None else stored
        try:
            self._argon2.verify(against, password)
        except (VerificationError, InvalidHashError):
            return Verdict(matches=False)
        outdated = self._argon2.check_needs_rehash(against)
        return Verdict(matches=stored is not None, outdated=outdated)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run `work` when it is its turn.

        Cancellation:
            Frees the place of who waits at once. A hash that has begun is finished first: memory
            and cores stay bounded.
        """
        if self._taken >= self._places:
            raise HasherBusy
        self._taken += 1
        try:
            with trio.move_on_after(PATIENCE_SECONDS) as waiting:
                await self._turns.acquire_on_behalf_of(work)
            if waiting.cancelled_caught:
                raise HasherBusy
            try:
                return await trio.to_thread.run_sync(work, limiter=_UNLIMITED)
            finally:
                self._turns.release_on_behalf_of(work)
        finally:
            self._taken -= 1


def _nobodys_hash(cost: HashCost) -> str:
    """Return a hash of no known password, to compare with where there is no account."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32)
    )
    parameters = f"m={cost.memory_kib},t={cost.passes},p={cost.lanes}"
    return f"$argon2id$v=19${parameters}${salt}${digest}"


def make_argon2(cost: HashCost) -> argon2.PasswordHasher:
    """Return what makes one hash here and now."""
    return argon2.PasswordHasher(
        time_cost=cost.passes, memory_cost=cost.memory_kib, parallelism=cost.lanes
    )
