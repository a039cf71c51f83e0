"""Accounts with fakes for the database, the hash, the tokens' office and the clock."""

import attrs
import trio

from greenroom.actors.ports import StoreUnavailable
from greenroom.actors.rights.revocations import Revocations
from greenroom.node.identity.issued import IssuedToken
from greenroom.node.identity.names import name_key
from greenroom.node.identity.passwords import HasherBusy, Verdict
from greenroom.node.identity.sign_in import Accounts, Rules
from greenroom.node.identity.throttle import LoginThrottle
from greenroom.node.storage.accounts import Account, NameTaken
from greenroom.node.tries import Tries
from greenroom.protocol import TokenError, issue_token, verify_token

SECRET = "a secret of at least thirty-two bytes"


@attrs.define(slots=False)
class FakeStore:
    """Accounts in a dict; what it is asked is noted, and it may be away."""

    world: "World"
    accounts: dict = attrs.field(factory=dict)
    away: bool = False

    async def find(self, key):
        self._asked("find")
        return self.accounts.get(key)

    async def add(self, account):
        self._asked("add")
        if account.key in self.accounts:
            raise NameTaken(account.name)
        self.accounts[account.key] = account

    async def replace_password(self, key, *, old, new, changed_ms):
        self._asked("replace")
        account = self.accounts[key]
        if account.password_hash != old:
            return False
        self.accounts[key] = attrs.evolve(account, password_hash=new, changed_ms=changed_ms)
        return True

    def _asked(self, what):
        self.world.work.append(what)
        if self.away:
            raise StoreUnavailable("away")


@attrs.define(slots=False)
class FakeHasher:
    """A hash is its password with the parameters before it."""

    world: "World"
    cost: str = "new"
    busy: bool = False
    meanwhile: object = None
    """Called while a password is compared."""

    async def hash(self, password):
        self._work("hash")
        return f"{self.cost}:{password}"

    async def verify(self, stored, password):
        self._work("verify")
        if self.meanwhile is not None:
            self.meanwhile()
        await trio.lowlevel.checkpoint()
        cost, _, kept = (stored or "new:").partition(":")
        matches = stored is not None and kept == password
        return Verdict(matches=matches, outdated=matches and cost != self.cost)

    def _work(self, what):
        if self.busy:
            raise HasherBusy
        self.world.work.append(what)


class World:
    """Everything around the accounts, and what they did with it."""

    def __init__(self, *, registration=True, claim_names=False, tries=3):
        self.now = 1_800_000_000.0
        self.work = []
        self.store = FakeStore(self)
        self.hasher = FakeHasher(self)
        self.revocations = Revocations(keep_seconds=1e6)
        self.revoked_elsewhere = []
        self.accounts = Accounts(
            rules=Rules(
                registration=registration,
                least_characters=8,
                sign_in_seconds=1000,
                claim_names=claim_names,
            ),
            store=self.store,
            hasher=self.hasher,
            places=5,
            throttle=LoginThrottle(
                per_client=Tries(tries, 3600),
                per_address=Tries(10, 3600),
                per_name=Tries(10, 3600),
                most_under_way=4,
            ),
            registrations=Tries(2, 3600),
            changes=Tries(2, 3600),
            sign_outs=Tries(2, 3600),
            issue=self.issue,
            verify=self.verify,
            revoke_user=self.revoke_user,
            revoke_token=self.revoke_token,
            catch_up=self.catch_up,
            now=lambda: self.now,
            clock=lambda: self.now,
        )

    def put(self, name, password, **changes):
        account = Account(
            key=name_key(name),
            name=name,
            password_hash=f"new:{password}",
            created_ms=0,
            changed_ms=0,
        )
        self.store.accounts[account.key] = attrs.evolve(account, **changes)

    def issue(self, user, *, now, token_id, life=600):
        token = issue_token(user, secret=SECRET, now=now, lifetime_seconds=life, token_id=token_id)
        return IssuedToken(token=token, user=user, expires=int((now + life) * 1000))

    def verify(self, token, now):
        try:
            claims = verify_token(token, secret=SECRET, now=now)
        except TokenError:
            return None
        return None if self.revocations.revoked(claims) else claims

    async def revoke_user(self, user):
        self.revoke(user)

    async def revoke_token(self, claims):
        self.revocations.add(
            self.revocations.of_token(claims.token_id, expires=claims.expires_at, now=self.now)
        )

    def revoke(self, user):
        self.revocations.add(self.revocations.of_user(user, now=self.now))

    async def catch_up(self):
        self.revocations.learn(self.revoked_elsewhere)

    def good(self, signed_in):
        return self.verify(signed_in.token, self.now + 0.01) is not None
