"""A whole node and an issuer at a real address, which rotates its keys, stalls, and goes away."""

import time

import pytest
import trio
from support.cast_stage import until
from support.http_receiver import answers, http_receiver, says
from support.key_pairs import jwks, pair
from support.patience import PATIENCE_SECONDS
from support.whole_node import running
from trio_websocket import ConnectionClosed

from greenroom.node.identity import jwks as module
from greenroom.node.settings.keys import JwksUrl

pytestmark = pytest.mark.socket

KEYS = {kid: pair("ES256", number) for number, kid in enumerate("abc")}


class Issuer:
    def __init__(self, server, *kids):
        self.server = server
        self.publish(*kids)

    def publish(self, *kids):
        document = jwks(*(KEYS[kid].jwk(kid) for kid in kids))
        self.server.behave = lambda _: answers(200, document)

    def go_away(self, answer=None):
        self.server.behave = lambda _: answer or answers(503)

    @property
    def fetches(self):
        return len(self.server.received)

    @property
    def settings(self):
        return {"jwt_jwks_url": JwksUrl(f"http://127.0.0.1:{self.server.port}/jwks.json")}


def token(kid, *, key=None):
    return KEYS[key or kid].sign({"sub": f"user-{kid}", "exp": time.time() + 600}, kid)


async def auth(node, text):
    """AUTH_OK, or ERROR and close code."""
    async with node.connect() as client:
        try:
            answer = await client.ask(type="AUTH", token=text)
            if answer["type"] == "AUTH_OK":
                return "AUTH_OK"
            await client.next()
        except ConnectionClosed as closed:
            return answer["code"], closed.reason.code


async def test_a_rotated_key_lets_its_bearers_in_at_the_first_try(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ASKED_SECONDS", 0)
    monkeypatch.setattr(module, "FRESH_SECONDS", 60)
    async with http_receiver() as server:
        issuer = Issuer(server, "a")
        async with running(tmp_path, **issuer.settings) as node:
            assert await auth(node, token("a")) == "AUTH_OK"
            assert issuer.fetches == 1
            issuer.publish("a", "b")
            assert await auth(node, token("b")) == "AUTH_OK"
            assert issuer.fetches == 2
            issuer.publish("b")
            assert await auth(node, token("c")) == (101, 4500), "and is looked for all the same"
            assert await auth(node, token("a")) == (101, 4500), "by then it is gone"


async def test_a_hundred_invented_keys_cost_the_issuer_one_fetch_and_nobody_a_key(tmp_path):
    async with http_receiver() as server:
        issuer = Issuer(server, "a")
        async with running(tmp_path, **issuer.settings) as node:
            said = []

            async def invent(number):
                forged = KEYS["b"].sign({"sub": "eve", "exp": time.time() + 60}, f"k{number}")
                said.append(await auth(node, forged))

            async with trio.open_nursery() as nursery:
                for number in range(100):
                    nursery.start_soon(invent, number)
            assert set(said) <= {(101, 4500), (108, 1013)}
            assert issuer.fetches <= 2
            assert await auth(node, token("a")) == "AUTH_OK"


@pytest.mark.parametrize("trouble", ["503", "stalls", "breaks off", "says other things"])
async def test_keys_that_were_fetched_are_good_while_the_issuer_is_away(
    tmp_path, monkeypatch, trouble
):
    monkeypatch.setattr(module, "ASKED_SECONDS", 0)
    monkeypatch.setattr(module, "FRESH_SECONDS", 0)
    async with http_receiver() as server:
        issuer = Issuer(server, "a")
        async with running(tmp_path, **issuer.settings) as node:
            monkeypatch.setattr(module, "FETCH_SECONDS", 0.2)
            issuer.go_away(
                {
                    "503": answers(503),
                    "stalls": says(b"", then_wait=True),
                    "breaks off": says(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"),
                    "says other things": answers(200, b"<html>maintenance</html>"),
                }[trouble]
            )
            assert await auth(node, token("b")) == (108, 1013), "may be good: come back"
            assert issuer.fetches >= 2
            assert await auth(node, token("a")) == "AUTH_OK"
            assert await auth(node, token("a", key="b")) == (101, 4500), "is forged for sure"
            monkeypatch.setattr(module, "FETCH_SECONDS", PATIENCE_SECONDS)
            issuer.publish("a", "b")
            with trio.fail_after(PATIENCE_SECONDS):
                while (said := await auth(node, token("b"))) != "AUTH_OK":
                    assert said == (108, 1013), "a fetch of before was still under way"


async def test_a_node_starts_without_its_issuer_and_lets_in_when_it_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FIRST_RETRY_SECONDS", 0.05)
    async with http_receiver() as server:
        issuer = Issuer(server)
        issuer.go_away()
        async with running(tmp_path, **issuer.settings) as node:
            assert await auth(node, token("a")) == (108, 1013)
            assert (await node.http("GET", "/readyz"))[0] == 200
            before = issuer.fetches
            issuer.publish("a")
            await until(lambda: issuer.fetches > before)
            with trio.fail_after(PATIENCE_SECONDS):
                while await auth(node, token("a")) != "AUTH_OK":  # noqa: ASYNC110
                    await trio.sleep(0.01)


async def test_keys_that_are_too_old_let_nobody_in_until_they_are_fetched_again(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "FIRST_RETRY_SECONDS", 0.05)
    async with http_receiver() as server:
        issuer = Issuer(server, "a")
        times = {"jwt_jwks_seconds": 0.1, "jwt_jwks_stale_seconds": 0.3}
        async with running(tmp_path, **issuer.settings, **times) as node:
            issuer.go_away()
            with trio.fail_after(PATIENCE_SECONDS):
                while await auth(node, token("a")) != (108, 1013):  # noqa: ASYNC110
                    await trio.sleep(0.05)
                issuer.publish("a")
                while await auth(node, token("a")) != "AUTH_OK":  # noqa: ASYNC110
                    await trio.sleep(0.05)
