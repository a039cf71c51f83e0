"""The keyring: what verifies now, over rotations, broken files and an issuer that is away."""

from contextlib import asynccontextmanager

import pytest
import structlog
import trio
from support.cast_stage import until
from support.key_pairs import jwks, pair, replace, secret_jwk, write_jwks

from greenroom.node.identity import keyring as module
from greenroom.node.identity.jwks import Fetched, JwksSchedule, JwksUnavailable
from greenroom.node.identity.key_files import WatchedKeyFile, open_key_files
from greenroom.node.identity.keyring import Keyring
from greenroom.node.identity.tokens import TokenOffice
from greenroom.node.settings.keys import KeyFile
from greenroom.node.settings.kinds import Secret
from greenroom.protocol import KeysUnavailable, TokenInvalid, UnknownKey, hmac_key

SECRET = Secret("0123456789abcdef0123456789abcdef")
NOW = 1_717_036_800.0
GOOD = {"sub": "ada", "exp": NOW + 60}
A, B = pair("ES256").jwk("a"), pair("EdDSA").jwk("b")


class Issuer:
    """Stands in for the address: what it holds can be changed, and whether it answers."""

    def __init__(self, *keys, max_age=None):
        self.document = jwks(*keys)
        self.max_age = max_age
        self.away = None
        self.times = []
        self.seconds = 0.0

    async def fetch(self):
        self.times.append(trio.current_time())
        await trio.sleep(self.seconds)
        if self.away is not None:
            raise JwksUnavailable(self.away)
        return Fetched(self.document, self.max_age)


@pytest.fixture
def lines():
    with structlog.testing.capture_logs() as logs:
        yield logs


@asynccontextmanager
async def kept(issuer=None, *, own=(), files=(), interval=600, stale=3_600):
    schedule = None if issuer is None else JwksSchedule(interval, stale)
    keyring = Keyring(own, files=open_key_files(files), schedule=schedule)
    async with trio.open_nursery() as nursery:
        await nursery.start(
            lambda task_status: keyring.serve(issuer and issuer.fetch, task_status=task_status)
        )
        yield keyring
        nursery.cancel_scope.cancel()


def kids(keyring):
    return [key.kid for key in keyring.keys.keys]


def events(lines):
    return [line["event"] for line in lines]


async def test_the_keys_are_there_when_it_has_started(autojump_clock):
    async with kept(Issuer(A)) as keyring:
        assert kids(keyring) == ["a"]


async def test_an_issuer_that_is_away_at_the_start_does_not_stop_it(autojump_clock, lines):
    issuer = Issuer(A)
    issuer.away = "answered 503"
    async with kept(issuer, own=[hmac_key(SECRET.reveal())]) as keyring:
        assert kids(keyring) == [None]
        issuer.away = None
        await trio.sleep(5.1)
        assert kids(keyring) == [None, "a"]
    assert events(lines) == [
        "the issuer's keys can't be fetched: the last ones stay",
        "the issuer's keys can be fetched again",
        "keys of tokens",
    ]


async def test_a_rotation_is_followed_within_the_interval(autojump_clock):
    issuer = Issuer(A)
    async with kept(issuer) as keyring:
        issuer.document = jwks(A, B)
        await trio.sleep(601)
        assert kids(keyring) == ["a", "b"]
        issuer.document = jwks(B)
        await trio.sleep(600)
        assert kids(keyring) == ["b"]
        assert issuer.times == [0, 600, 1_200]


async def test_max_age_makes_it_look_sooner(autojump_clock):
    issuer = Issuer(A, max_age=120)
    async with kept(issuer):
        await trio.sleep(601)
        assert issuer.times == [0, 120, 240, 360, 480, 600]


async def test_an_unknown_key_is_looked_for_at_once_and_then_not_for_ten_seconds(autojump_clock):
    issuer = Issuer(A)
    async with kept(issuer) as keyring:
        await trio.sleep(20)
        issuer.document = jwks(A, B)
        await keyring.refresh()
        assert kids(keyring) == ["a", "b"]
        for _ in range(5):
            await trio.sleep(1)
            await keyring.refresh()
        assert issuer.times == [0, 20]
        await trio.sleep(5)
        await keyring.refresh()
        assert issuer.times == [0, 20, 30]


async def test_a_thousand_who_ask_share_one_fetch(autojump_clock):
    issuer = Issuer(A)
    async with kept(issuer) as keyring:
        await trio.sleep(20)
        issuer.document = jwks(A, B)
        issuer.seconds = 2.0
        async with trio.open_nursery() as nursery:
            for _ in range(1_000):
                nursery.start_soon(keyring.refresh)
        assert trio.current_time() == 22
        assert issuer.times == [0, 20]
        assert kids(keyring) == ["a", "b"]


async def test_nobody_waits_longer_than_six_seconds(autojump_clock):
    issuer = Issuer(A)
    async with kept(issuer) as keyring:
        await trio.sleep(20)
        issuer.seconds = 1_000
        await keyring.refresh()
        assert trio.current_time() == 26


async def test_who_stops_waiting_stops_nobody_else(autojump_clock):
    issuer = Issuer(A)
    async with kept(issuer) as keyring:
        await trio.sleep(20)
        issuer.document, issuer.seconds = jwks(B), 2.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keyring.refresh)
            with trio.move_on_after(0.5):
                await keyring.refresh()
        assert kids(keyring) == ["b"]


@pytest.mark.parametrize(
    "document", [b"", b"<html>maintenance</html>", b'{"keys":[]}', jwks(secret_jwk(b"s" * 32))]
)
async def test_a_document_without_usable_keys_costs_no_key(autojump_clock, lines, document):
    issuer = Issuer(A)
    async with kept(issuer) as keyring:
        issuer.document = document
        await trio.sleep(700)
        assert kids(keyring) == ["a"]
    assert events(lines)[-1] == "the issuer's keys can't be fetched: the last ones stay"


async def test_a_secret_among_the_published_keys_is_left_out_and_told(autojump_clock, lines):
    async with kept(Issuer(A, secret_jwk(b"s" * 32, kid="s"))) as keyring:
        assert kids(keyring) == ["a"]
    assert "a secret, where everybody may read it" in lines[0]["detail"]


async def test_keys_stay_while_the_issuer_is_away_until_they_are_stale(autojump_clock, lines):
    issuer = Issuer(A)
    async with kept(issuer, own=[hmac_key(SECRET.reveal())]) as keyring:
        issuer.away = "answered 503"
        await trio.sleep(3_599)
        assert kids(keyring) == [None, "a"]
        await trio.sleep(2)
        assert kids(keyring) == [None]
        issuer.away = None
        await trio.sleep(60)
        assert kids(keyring) == [None, "a"]
    warnings = [line["event"] for line in lines if line["log_level"] != "info"]
    assert warnings == [
        "the issuer's keys can't be fetched: the last ones stay",
        "the issuer's keys are too old: none is good until they can be fetched",
    ]


async def test_the_same_trouble_is_told_once(autojump_clock, lines):
    issuer = Issuer(A)
    issuer.away = "answered 503"
    async with kept(issuer):
        await trio.sleep(1_000)
        issuer.away = "no answer within 5 s"
        await trio.sleep(1_000)
    assert [line["detail"] for line in lines] == ["answered 503", "no answer within 5 s"]


# Files are looked at in a thread, which a fake clock would outrun.


async def test_a_changed_file_is_noticed(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "FILES_SECONDS", 0.01)
    path = write_jwks(tmp_path / "keys.json", A)
    async with kept(files=[KeyFile(path)]) as keyring:
        assert keyring.changes
        assert kids(keyring) == ["a"]
        write_jwks(path, A, B)
        await until(lambda: kids(keyring) == ["a", "b"])


async def test_a_file_is_looked_at_at_once_for_an_unknown_key(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "FILES_ASKED_SECONDS", 0)
    path = write_jwks(tmp_path / "keys.json", A)
    async with kept(files=[KeyFile(path)]) as keyring:
        write_jwks(path, A, B)
        await keyring.refresh()
        assert kids(keyring) == ["a", "b"]


async def test_files_are_not_looked_at_for_each_unknown_key(monkeypatch, tmp_path):
    async with kept(files=[KeyFile(write_jwks(tmp_path / "keys.json", A))]) as keyring:
        monkeypatch.setattr(WatchedKeyFile, "look", lambda _: pytest.fail("looked"))
        await keyring.refresh()


async def test_a_broken_file_is_told_and_its_keys_stay(monkeypatch, tmp_path, lines):
    monkeypatch.setattr(module, "FILES_SECONDS", 0.01)
    path = write_jwks(tmp_path / "keys.json", A)
    async with kept(files=[KeyFile(path)]) as keyring:
        replace(path, b"{")
        await until(lambda: lines)
        write_jwks(path, A, B)
        await until(lambda: kids(keyring) == ["a", "b"])
    assert events(lines) == ["file of keys is no good: its last ones stay", "keys of tokens"]


async def test_a_crash_of_the_actor_forgets_no_key(autojump_clock):
    issuer = Issuer(A)
    keyring = Keyring(schedule=JwksSchedule(600, 3_600))
    async with trio.open_nursery() as nursery:
        await nursery.start(
            lambda task_status: keyring.serve(issuer.fetch, task_status=task_status)
        )
        nursery.cancel_scope.cancel()
    assert kids(keyring) == ["a"]
    issuer.away = "answered 503"
    async with trio.open_nursery() as nursery:
        await nursery.start(
            lambda task_status: keyring.serve(issuer.fetch, task_status=task_status)
        )
        assert kids(keyring) == ["a"]
        await trio.sleep(20)
        issuer.away, issuer.document = None, jwks(B)
        await keyring.refresh()
        assert kids(keyring) == ["b"]
        nursery.cancel_scope.cancel()


def test_a_keyring_of_its_own_secret_never_changes():
    assert not Keyring([hmac_key(SECRET.reveal())]).changes


# What the office makes of it.


def office(keyring):
    return TokenOffice(secret=None, lifetime_seconds=60, keyring=keyring)


async def test_an_unknown_key_is_unknown_for_sure_only_just_after_a_fetch(autojump_clock):
    token = pair("EdDSA").sign(GOOD, "b")
    async with kept(Issuer(A)) as keyring:
        with pytest.raises(UnknownKey) as caught:
            office(keyring).verify(token, NOW)
        assert type(caught.value) is UnknownKey
        await trio.sleep(2)
        with pytest.raises(KeysUnavailable):
            office(keyring).verify(token, NOW)


async def test_a_token_with_a_bad_signature_is_invalid_while_the_issuer_is_away(autojump_clock):
    issuer = Issuer(A)
    async with kept(issuer) as keyring:
        issuer.away = "answered 503"
        await trio.sleep(700)
        assert office(keyring).verify(pair("ES256").sign(GOOD, "a"), NOW).subject == "ada"
        with pytest.raises(TokenInvalid) as caught:
            office(keyring).verify(pair("ES256", 1).sign(GOOD, "a"), NOW)
        assert type(caught.value) is TokenInvalid


def test_issued_tokens_say_who_gave_them_and_when_to_the_microsecond():
    signer = TokenOffice(secret=SECRET, lifetime_seconds=60, now=lambda: NOW + 0.123456)
    first, second = (signer.verify(signer.issue("ada"), NOW + 1) for _ in range(2))
    assert first.issued_at == NOW + 0.123456
    assert first.token_id != second.token_id


def test_a_token_may_be_issued_for_another_moment_and_under_another_id():
    signer = TokenOffice(secret=SECRET, lifetime_seconds=60, now=lambda: NOW)
    claims = signer.verify(signer.issue("ada", now=NOW - 10, token_id="t1"), NOW)
    assert (claims.issued_at, claims.token_id, claims.expires_at) == (NOW - 10, "t1", NOW + 50)


def test_an_office_without_a_secret_signs_nothing():
    with pytest.raises(ValueError, match="tokens come from your issuer"):
        TokenOffice(secret=None, lifetime_seconds=60).issue("ada")
