"""Signing in with a name and a password, and what a signed-in user may do about it.

Decides who gets a token. Knows neither HTTP nor SQL nor Argon2: those are handed in. Whether a name
has no account, a disabled one, or another password is one refusal, after the same questions and the
same work.
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import attrs

from greenroom.actors.ports import StoreUnavailable
from greenroom.node.door.proxies import counted_as
from greenroom.node.identity.issued import IssuedToken
from greenroom.node.identity.names import MAX_KEY_CHARACTERS, clean_account_name, name_key
from greenroom.node.identity.passwords import (
    HasherBusy,
    PasswordHasher,
    check_new_password,
    normal_password,
)
from greenroom.node.identity.throttle import LoginThrottle, Throttled
from greenroom.node.storage.accounts import Account
from greenroom.node.tries import Tries
from greenroom.protocol import Claims

TOKEN_MARK: Final = "pw"  # noqa: S105  # a mark in tokens, none itself
"""A token's id says that it was given for a password, and when: `pw.<ms since 1970>.<random>`.
Signed like the rest of it, so that nothing else can be renewed: no guest's token, and none that its
issuer meant for an hour or a room."""


RENEWED_BEFORE_SECONDS: Final = 10.0
"""So much older than it is a renewed token counts, but never older than the one before it: what
another process revokes has a moment, and is to be seen only when it is committed."""


class WrongPassword(Exception):
    """The name and the password are not those of an account that may sign in."""


class NotSignedIn(Exception):
    """The token is not one that a password was given for, or is not good any more."""


class AccountStore(Protocol):
    """Keeps the accounts. Each method may raise `StoreUnavailable` for trouble that may pass."""

    async def find(self, key: str) -> Account | None:
        """Return the account with this key, None where there is none."""
        ...

    async def add(self, account: Account) -> None:
        """Make an account. Raises `NameTaken` where there is one with its key."""
        ...

    async def replace_password(self, key: str, *, old: str, new: str, changed_ms: int) -> bool:
        """Put a hash in the place of `old`; False where that does not stand there any more."""
        ...


class Issue(Protocol):
    """Signs a token for a user."""

    def __call__(self, user: str, *, now: float, token_id: str) -> IssuedToken:
        """Sign one that counts as issued at `now`, seconds since 1970."""
        ...


@attrs.frozen(kw_only=True)
class Rules:
    """What an operator has set."""

    registration: bool
    least_characters: int
    sign_in_seconds: float
    """How long after the password was given a token can be renewed."""
    claim_names: bool
    """Whether a name may be in use without an account: guests of a development node. Their tokens
    end when somebody makes the account."""


@attrs.define(eq=False, kw_only=True)
class Accounts:
    """All that is done with accounts while a node runs."""

    rules: Rules
    store: AccountStore
    hasher: PasswordHasher
    places: int
    """Passwords that are compared at a time, from looking the account up to the end. The database
    is asked no faster than the hasher works."""
    throttle: LoginThrottle
    registrations: Tries
    changes: Tries
    """New passwords of one user: each has to be remembered."""
    sign_outs: Tries
    """So have these. Who has stolen a token can use them up, and keeps nobody from changing the
    password."""
    issue: Issue
    verify: Callable[[str, float], Claims | None]
    """None for a token that is not good, was revoked, or was signed by anybody else."""
    revoke_user: Callable[[str], Awaitable[None]]
    """Ends all tokens that a user has by now."""
    revoke_token: Callable[[Claims], Awaitable[None]]
    catch_up: Callable[[], Awaitable[None]]
    """Notices what other processes have revoked by now. May raise `StoreUnavailable`."""
    now: Callable[[], float]
    """Seconds since 1970."""
    clock: Callable[[], float]
    """Seconds on a clock that does not go back."""
    _taken: int = attrs.field(default=0, init=False)

    async def sign_in(self, name: object, password: object, *, address: str) -> IssuedToken:
        """Give a token for a name and its password.

        Raises:
            PasswordRefused: It is none that anybody can have.
            WrongPassword: That is all that is told.
            Throttled: Too many were wrong.
            HasherBusy, StoreUnavailable: Nobody looked; it costs no try.
        """
        given = normal_password(password)
        # Before the account is looked at: what is done to it from here on ends this token too.
        now = self.now()
        account = await self._checked(_key_asked_for(name), given, address=address)
        return self._sign(account.name, now=now, since_ms=int(now * 1000))

    async def register(self, name: object, password: object, *, address: str) -> IssuedToken:
        """Make an account and sign in.

        That a name is taken has to be told, so how often one address may ask is bounded, and a
        name that is free costs as much work as one that is not.

        Raises:
            NameRefused, PasswordRefused: It can't be; the text says why.
            NameTaken: Somebody has it.
            Throttled: Too many tries of one address.
            HasherBusy, StoreUnavailable: Nothing was made, or nobody knows.
        """
        cleaned = clean_account_name(name)
        chosen = check_new_password(password, name=cleaned, least=self.rules.least_characters)
        network, clock = counted_as(address), self.clock()
        _take(self.registrations, network, clock)
        try:
            hashed = await self.hasher.hash(chosen)
        except HasherBusy:
            self.registrations.give_back(network, clock)
            raise
        now_ms = int(self.now() * 1000)
        await self.store.add(
            Account(
                key=name_key(cleaned),
                name=cleaned,
                password_hash=hashed,
                created_ms=now_ms,
                changed_ms=now_ms,
            )
        )
        if self.rules.claim_names:
            await self.revoke_user(cleaned)
        return self._sign(cleaned, now=self._later(), since_ms=now_ms)

    async def change_password(
        self, token: str, old: object, new: object, *, address: str
    ) -> IssuedToken:
        """Give the bearer's account another password, end all tokens of it, and give a new one.

        Raises:
            NotSignedIn: The token lets nobody do that.
            PasswordRefused: The new password can't be one; the text says why.
            WrongPassword: The old one is not right, or was changed at this moment.
            Throttled, HasherBusy, StoreUnavailable: As `sign_in`.
        """
        claims, _ = self._bearer(token)
        given = normal_password(old)
        chosen = check_new_password(new, name=claims.subject, least=self.rules.least_characters)
        key = name_key(claims.subject)
        if wait := self.changes.wait(key, self.clock()):
            raise Throttled(wait)
        account = await self._checked(key, given, address=address, rehash=False)
        self.changes.take(key, self.clock())
        now_ms = int(self.now() * 1000)
        hashed = await self.hasher.hash(chosen)
        if not await self.store.replace_password(
            key, old=account.password_hash, new=hashed, changed_ms=now_ms
        ):
            raise WrongPassword
        await self.revoke_user(account.name)
        now = self._later()
        # What is done to the account from here on ends this token too; what was done meanwhile
        # would not.
        found = await self.store.find(key)
        if found is None or found.disabled or found.password_hash != hashed:
            raise WrongPassword
        return self._sign(account.name, now=now, since_ms=now_ms)

    async def renew(self, token: str) -> IssuedToken:
        """Give a new token for one that is still good, without the password.

        Raises:
            NotSignedIn: It is not good, no password was given for it, that was too long ago, or its
                account is disabled.
            StoreUnavailable: Nobody looked.
        """
        claims, since_ms = self._bearer(token)
        now = self.now()
        if now >= since_ms / 1000 + self.rules.sign_in_seconds:
            raise NotSignedIn
        account = await self.store.find(name_key(claims.subject))
        if account is None or account.disabled or account.name != claims.subject:
            raise NotSignedIn
        # Whatever has ended the old token, here or elsewhere, must not miss the new one.
        await self.catch_up()
        self._bearer(token)
        issued_at = claims.issued_at or 0.0
        before = min(RENEWED_BEFORE_SECONDS, (claims.expires_at - issued_at) / 4)
        return self._sign(account.name, now=max(issued_at, now - before), since_ms=since_ms)

    async def sign_out(self, token: str) -> None:
        """End a token that was given for a password; of any other there is nothing to be done.

        Raises:
            Throttled: Its user signs out all the time, and each has to be remembered.
        """
        try:
            claims, _ = self._bearer(token)
        except NotSignedIn:
            return
        _take(self.sign_outs, name_key(claims.subject), self.clock())
        await self.revoke_token(claims)

    async def has_account(self, name: str) -> bool:
        """Whether a name, however it is spelled, is that of an account.

        Raises:
            StoreUnavailable: Nobody looked.
        """
        return await self.store.find(name_key(name)) is not None

    async def _checked(
        self, key: str, password: str, *, address: str, rehash: bool = True
    ) -> Account:
        """Return the account whose password this is; see `sign_in`."""
        if self._taken >= self.places:
            raise HasherBusy
        attempt = self.throttle.begin(key, address, self.clock())
        self._taken += 1
        try:
            account = await self.store.find(key)
            stored = None if account is None else account.password_hash
            verdict = await self.hasher.verify(stored, password)
            if account is None or account.disabled or not verdict.matches:
                raise WrongPassword
            attempt.succeeded(self.clock())
            if verdict.outdated and rehash:
                await self._rehash(account, password)
        except (HasherBusy, StoreUnavailable):
            attempt.withdraw(self.clock())
            raise
        finally:
            self._taken -= 1
            attempt.end()
        return account

    async def _rehash(self, account: Account, password: str) -> None:
        """Hash a password anew, as is in force now. It is not needed to sign in."""
        try:
            hashed = await self.hasher.hash(password)
            await self.store.replace_password(
                account.key,
                old=account.password_hash,
                new=hashed,
                changed_ms=account.changed_ms,
            )
        except (HasherBusy, StoreUnavailable):
            return

    def _bearer(self, token: str) -> tuple[Claims, int]:
        """Return what a token says, and when its password was given (ms since 1970)."""
        claims = self.verify(token, self.now())
        since_ms = None if claims is None else _read_mark(claims.token_id)
        if claims is None or since_ms is None:
            raise NotSignedIn
        return claims, since_ms

    def _sign(self, user: str, *, now: float, since_ms: int) -> IssuedToken:
        token_id = f"{TOKEN_MARK}.{since_ms}.{secrets.token_urlsafe(12)}"
        return self.issue(user, now=now, token_id=token_id)

    def _later(self) -> float:
        """Return a time that is later than any revocation that was made up to now.

        Of one millisecond the revocation counts as the later one.
        """
        return self.now() + 0.001


def _key_asked_for(name: object) -> str:
    """Return under which key to look; of a name that nobody can have, one that nobody has."""
    key = name_key(name) if isinstance(name, str) and len(name) <= MAX_KEY_CHARACTERS else ""
    # Some databases don't even look for U+0000: that would be another answer than no such name.
    return key if len(key) <= MAX_KEY_CHARACTERS and "\0" not in key else ""


def _take(tries: Tries, key: str, clock: float) -> None:
    if wait := tries.wait(key, clock):
        raise Throttled(wait)
    tries.take(key, clock)


def _read_mark(token_id: str | None) -> int | None:
    """Return what `Accounts._sign` wrote."""
    mark, _, rest = (token_id or "").partition(".")
    since = rest.partition(".")[0]
    if mark != TOKEN_MARK or not (since.isascii() and since.isdigit()) or len(since) > 15:
        return None
    return int(since)
