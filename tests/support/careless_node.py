"""`greenroom`, with bugs that strike while somebody's token or password is in hand. A script."""

import sys

from greenroom.actors.connection import identity
from greenroom.actors.registry import SessionDesk
from greenroom.node.cli import main
from greenroom.node.identity.sign_in import Accounts
from greenroom.protocol import Claims


def strike(where, user, unlucky, what=""):
    if user == unlucky:
        raise RuntimeError(f"a bug strikes in {where} {what}")


def sabotage():
    judge, open_session, sign_in = identity._judge, SessionDesk.open, Accounts.sign_in

    def careless_judge(services, token):
        claims = judge(services, token)
        if isinstance(claims, Claims):
            strike("a connection", claims.subject, "unlucky-connection", token)
        return claims

    def careless_open(self, request):
        strike("the registry", request.claims.subject, "unlucky-registry")
        return open_session(self, request)

    async def careless_sign_in(self, name, password, *, address):
        strike("the web side", name, "unlucky-web")
        return await sign_in(self, name, password, address=address)

    identity._judge = careless_judge
    SessionDesk.open = careless_open
    Accounts.sign_in = careless_sign_in


if __name__ == "__main__":
    sabotage()
    sys.exit(main())
