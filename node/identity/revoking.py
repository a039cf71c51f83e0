"""Throws users and tokens out of a running node: what the admin API and the accounts call."""

from greenroom.actors.rights.warden import Revoked
from greenroom.actors.services import Services


class Revoker:
    """Revokes on this node, and through the database on all others that share it.

    When a call returns, nothing more is delivered to those it is about: their connections are
    closed with 4508, and none of their tokens lets anybody in here. Other nodes follow within a few
    seconds. Where `Revoked.stored` is False the store does not take it now: it holds here, goes on
    being tried, and would be lost with the process.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    async def revoke_user(self, user: str) -> Revoked:
        """Throw out all tokens that `user` has by now; those issued later are good.

        Raises:
            ValueError: Nobody can have that name.

        Cancellation:
            It is in force, and will be stored.
        """
        services = self._services
        return await services.warden.revoke(services.revocations.of_user(user, now=services.now()))

    async def revoke_token(self, token_id: str, *, expires: float | None = None) -> Revoked:
        """Throw out the token with that `jti`.

        Args:
            token_id: The token's `jti`; never the token itself.
            expires: When it expires, seconds since 1970, if that is known: so long it is kept.

        Raises:
            ValueError: No token can have that id, or none that can be revoked by it.

        Cancellation:
            It is in force, and will be stored.
        """
        services = self._services
        return await services.warden.revoke(
            services.revocations.of_token(token_id, expires=expires, now=services.now())
        )
