"""The accounts of a running node, put together: settings, database, hashes, tokens, routes."""

import time
from collections.abc import Sequence
from functools import partial

import trio
from starlette.routing import Route

from greenroom.actors.services import Services
from greenroom.node.http.posts import Posts
from greenroom.node.identity.login import LoginServices, login_routes
from greenroom.node.identity.passwords import Argon2Hasher
from greenroom.node.identity.revoking import Revoker
from greenroom.node.identity.sign_in import Accounts, Rules
from greenroom.node.identity.throttle import LoginThrottle
from greenroom.node.identity.tokens import TokenOffice
from greenroom.node.identity.trust import Trust
from greenroom.node.settings.accounts import TRIES_SECONDS
from greenroom.node.settings.record import Settings
from greenroom.node.storage import SqlAccounts, SqlRevocations, SqlStore
from greenroom.node.tries import Tries
from greenroom.protocol import Claims, TokenError

CHANGES_AN_HOUR = 20
"""Sign-outs of one user, and new passwords: each is remembered until the token would have ended."""
WAITING_SHARE = 4
"""One address may have a part of the places at the hasher, so that others find some."""


def open_accounts(
    settings: Settings,
    trust: Trust,
    *,
    services: Services,
    store: SqlStore,
    office: TokenOffice,
) -> Accounts | None:
    """Return what signs users in, None where the node has no accounts. Call it inside the loop."""
    if not trust.accounts:
        return None
    revoker = Revoker(services)

    async def revoke_user(user: str) -> None:
        await revoker.revoke_user(user)

    async def revoke_token(claims: Claims) -> None:
        if claims.token_id is not None:
            await revoker.revoke_token(claims.token_id, expires=claims.expires_at)

    async def catch_up() -> None:
        await services.warden.catch_up(SqlRevocations(store))

    places = settings.hashes_at_once + settings.password_waiting
    return Accounts(
        rules=Rules(
            registration=settings.registration,
            least_characters=settings.password_characters,
            sign_in_seconds=settings.sign_in_seconds,
            claim_names=trust.development and trust.guests,
        ),
        store=SqlAccounts(store),
        hasher=Argon2Hasher(
            settings.hash_cost,
            at_once=settings.hashes_at_once,
            waiting=settings.password_waiting,
        ),
        places=places,
        throttle=LoginThrottle(
            per_client=_hourly(settings.login_tries),
            per_address=_hourly(settings.login_tries_per_address),
            per_name=_hourly(settings.login_tries_per_name),
            most_under_way=max(2, places // WAITING_SHARE),
        ),
        registrations=_hourly(settings.registrations_per_address),
        changes=_hourly(CHANGES_AN_HOUR),
        sign_outs=_hourly(CHANGES_AN_HOUR),
        issue=office.hand_out,
        verify=partial(_verify, services, office),
        revoke_user=revoke_user,
        revoke_token=revoke_token,
        catch_up=catch_up,
        now=time.time,
        clock=trio.current_time,
    )


def sign_in_routes(settings: Settings, trust: Trust, accounts: Accounts | None) -> Sequence[Route]:
    """Return the web side's routes for signing in."""
    return login_routes(
        LoginServices(
            accounts=accounts,
            guests=trust.guests,
            cookie=settings.token_cookie,
            posts=Posts(origins=settings.origins, local_names_only=trust.development),
        )
    )


def _hourly(most: int) -> Tries:
    return Tries(most, TRIES_SECONDS)


def _verify(services: Services, office: TokenOffice, token: str, now: float) -> Claims | None:
    try:
        claims = office.verify_own(token, now)
    except TokenError:
        return None
    return None if services.revocations.revoked(claims) else claims
