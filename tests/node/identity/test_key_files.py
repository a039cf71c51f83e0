"""Files of keys: read anew when they change, and never to the worse."""

import pytest
from support.key_pairs import jwks, pair, replace, secret_jwk, write_jwks

from greenroom.node.errors import SettingsError
from greenroom.node.identity.key_files import MOST_BYTES, BadKeyFile, WatchedKeyFile, open_key_files
from greenroom.node.settings.keys import KeyFile


def names(file):
    return [(key.algorithm, key.kid) for key in file.keys]


@pytest.fixture
def watched(tmp_path):
    file = WatchedKeyFile(KeyFile(write_jwks(tmp_path / "keys.json", pair("ES256").jwk("a"))))
    assert file.look()
    return file


def test_an_unchanged_file_is_not_read_again(watched, monkeypatch):
    monkeypatch.setattr(WatchedKeyFile, "_read", lambda _: pytest.fail("read"))
    assert not watched.look()


def test_a_replaced_file_brings_its_keys(watched):
    replace(watched.file.path, jwks(pair("ES256").jwk("a"), pair("EdDSA").jwk("b")))
    assert watched.look()
    assert names(watched) == [("ES256", "a"), ("EdDSA", "b")]


def test_a_key_that_is_gone_from_the_file_is_gone(watched):
    replace(watched.file.path, jwks(pair("EdDSA").jwk("b")))
    watched.look()
    assert names(watched) == [("EdDSA", "b")]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"keys":[]}', jwks(pair("ES256").jwk(use="enc")), b"x" * MOST_BYTES * 2],
)
def test_a_broken_file_costs_no_key_and_is_told_once(watched, content):
    replace(watched.file.path, content)
    with pytest.raises(BadKeyFile, match=r"keys\.json: "):
        watched.look()
    assert not watched.look()
    assert names(watched) == [("ES256", "a")]


def test_a_file_that_goes_and_comes_back_costs_no_key(watched):
    content = watched.file.path.read_bytes()
    watched.file.path.unlink()
    with pytest.raises(BadKeyFile, match="No such file"):
        watched.look()
    assert not watched.look()
    assert names(watched) == [("ES256", "a")]
    replace(watched.file.path, content)
    assert watched.look()


def test_a_file_written_in_two_halves_is_read_when_it_is_whole(watched):
    content = jwks(pair("EdDSA").jwk("b"))
    watched.file.path.write_bytes(content[:40])
    with pytest.raises(BadKeyFile):
        watched.look()
    watched.file.path.write_bytes(content)
    assert watched.look()
    assert names(watched) == [("EdDSA", "b")]


def test_a_key_in_pem_takes_algorithm_and_name_from_the_settings(tmp_path):
    path = tmp_path / "a.pem"
    path.write_bytes(pair("PS256").pem)
    (file,) = open_key_files([KeyFile(path, "PS256", "a")])
    assert names(file) == [("PS256", "a")]


@pytest.mark.parametrize(
    ("content", "algorithm", "complaint"),
    [
        (None, None, "No such file"),
        (pair("ES256").private_pem, None, "a private key"),
        (pair("ES256").pem, "RS256", "a key for ES256, not for RS256"),
        (jwks(pair("ES256").jwk()), "ES256", "says alg and kid itself"),
    ],
)
def test_a_file_that_is_no_good_at_the_start_stops_it(tmp_path, content, algorithm, complaint):
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=f"jwt_keys: .*{complaint}"):
        open_key_files([KeyFile(path, algorithm)])


def test_a_file_may_hold_secrets_and_should_be_private_then(tmp_path):
    path = write_jwks(tmp_path / "keys.json", secret_jwk(b"s" * 64, "HS512", "a"))
    path.chmod(0o644)
    (file,) = open_key_files([KeyFile(path)])
    assert names(file) == [("HS512", "a")]
    assert "can be read by other users" in file.notes[0]
    path.chmod(0o600)
    assert open_key_files([KeyFile(path)])[0].notes == ()
