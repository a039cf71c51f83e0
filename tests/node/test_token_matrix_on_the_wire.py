"""The token matrix against a whole node: each bad token is answered, closed, and seen nowhere."""

import sys
import time

import pytest
import trio
from support.http_receiver import answers, http_receiver
from support.key_pairs import jwks, pair, replace
from support.patience import PATIENCE_SECONDS
from support.token_matrix import (
    ALGORITHMS,
    ATTACKER,
    AUDIENCE,
    ISSUER,
    RULES,
    SECRET,
    TOO_LARGE,
    bad_tokens,
    good_tokens,
    issuer_document,
)
from support.whole_node import running
from trio_websocket import ConnectionClosed

from greenroom.node.logs import configure_logs
from greenroom.node.settings.keys import KeyFile
from greenroom.node.settings.kinds import Secret

pytestmark = pytest.mark.socket


@pytest.fixture
def settings(tmp_path):
    keys = tmp_path / "keys.json"
    replace(keys, issuer_document())
    return {
        "jwt_secret": Secret(SECRET),
        "jwt_keys": (KeyFile(keys),),
        "jwt_issuer": (ISSUER,),
        "jwt_audience": (AUDIENCE,),
        "jwt_longest_seconds": RULES.max_lifetime_seconds,
    }


async def answer_to(node, token):
    """What AUTH with a token is answered: error code, close code, or both."""
    said = []
    async with node.connect() as client:
        try:
            await client.send(type="AUTH", id=1, token=token)
            while True:
                message = await client.next()
                if message["type"] == "AUTH_OK":
                    return "AUTH_OK"
                said.append(str(message["code"]))
                if message["code"] == 107:  # a bad frame does not end the connection
                    return "107"
        except ConnectionClosed as closed:
            said.append(str(closed.reason.code))
    return ", ".join(said)


async def test_every_bad_token_is_answered_as_the_table_says(settings, tmp_path, capfd):
    """And lets nobody in, ends nothing, has no address fetched that it names, and stands nowhere in
    a log at its most talkative."""
    configure_logs(log_format="json", level="debug", stream=sys.stderr)
    async with http_receiver() as attacker, running(tmp_path / "data", **settings) as node:
        document = jwks(pair("RS256", ATTACKER).jwk("attacker"))
        attacker.behave = lambda _: answers(200, document)
        now = time.time()
        rows = bad_tokens(now, jku=attacker.url)
        wrong = {}
        with trio.fail_after(PATIENCE_SECONDS):
            for row in rows:
                observed = await answer_to(node, row.token)
                if observed != row.answer:
                    wrong[row.title] = observed
            for name, token in good_tokens(now).items():
                assert await answer_to(node, token) == "AUTH_OK", name
        assert wrong == {}
        assert attacker.received == []
        assert attacker.connections == 0
    out, err = capfd.readouterr()
    assert "listening" in err
    shown = out + err
    for row in rows:
        runs = {row.token[at : at + 16] for at in range(min(len(row.token), 9_000) - 15)}
        assert not [run for run in runs if run in shown], row.title


async def test_a_refresh_with_a_bad_token_leaves_the_connection_as_it_is(settings, tmp_path):
    async with running(tmp_path / "data", **settings) as node, node.connect() as client:
        now = time.time()
        tokens = good_tokens(now)
        welcome = await client.ask(type="AUTH", token=tokens["ES256"])
        for row in bad_tokens(now)[::12]:
            if row.answer != TOO_LARGE:
                answer = await client.ask(type="REFRESH", token=row.token)
                assert str(answer["code"]) == row.answer.split(",")[0], row.title
        answer = await client.ask(type="REFRESH", token=tokens["EdDSA"])
        assert (answer["type"], answer["expires"]) == ("REFRESH_OK", welcome["expires"])


@pytest.mark.parametrize("name", ALGORITHMS)
async def test_a_node_without_a_secret_believes_its_issuer_alone(settings, tmp_path, name):
    del settings["jwt_secret"]
    async with running(tmp_path / "data", **settings) as node:
        tokens = good_tokens(time.time())
        assert await answer_to(node, tokens[name]) == "AUTH_OK"
        assert await answer_to(node, tokens["HS256"]) == "101, 4500"
        status, _ = await node.http("POST", "/api/guest", {"name": "ann"})
        assert status == 404
        assert not (tmp_path / "data" / "development-secret").exists()


async def test_a_key_that_is_replaced_in_its_file_is_followed_without_a_restart(settings, tmp_path):
    path = settings["jwt_keys"][0].path
    async with running(tmp_path / "data", **settings) as node:
        claims = {"sub": "ada", "iss": ISSUER, "aud": AUDIENCE, "iat": time.time()}
        claims["exp"] = int(claims["iat"]) + 600
        new = pair("ES256", 1).sign(claims, "2027a")
        old = good_tokens(time.time())["RS256"]
        async with node.connect() as client:
            assert (await client.ask(type="AUTH", token=old))["type"] == "AUTH_OK"
            replace(path, jwks(pair("ES256", 1).jwk("2027a")))
            while await answer_to(node, new) != "AUTH_OK":  # noqa: ASYNC110
                await trio.sleep(0.05)
            assert await answer_to(node, old) == "101, 4500"
            # Who is in stays in: until the token ends, or is revoked.
            assert (await client.ask(type="JOIN", room="lobby"))["type"] == "JOIN_OK"
