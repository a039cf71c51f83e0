"""`greenroom token` and `greenroom check` where somebody else issues the tokens."""

import os

import jwt
import pytest
import structlog
from support.key_pairs import jwks, pair

from greenroom.node.cli import main

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("GREENROOM_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keys.json").write_bytes(jwks(pair("ES256").jwk("2026a"), {"kty": "oct"}))
    monkeypatch.setenv("GREENROOM_JWT_KEYS", "keys.json")
    monkeypatch.setenv("GREENROOM_JWT_AUDIENCE", "chat")
    yield
    structlog.reset_defaults()


def test_no_token_is_signed_that_the_node_would_not_believe(capsys):
    assert main(["token", "--user", "ann"]) == 2
    assert "tokens come from your issuer" in capsys.readouterr().err


def test_a_token_says_what_the_settings_ask_for(capsys, monkeypatch):
    monkeypatch.setenv("GREENROOM_JWT_SECRET", SECRET)
    monkeypatch.setenv("GREENROOM_JWT_ISSUER", "https://one.example,https://two.example")
    monkeypatch.setenv("GREENROOM_JWT_LONGEST_SECONDS", "60")
    assert main(["token", "--user", "ann"]) == 0
    token = capsys.readouterr().out.strip()
    claims = jwt.decode(token, SECRET, algorithms=["HS256"], audience="chat")
    assert claims["iss"] == "https://one.example"
    assert claims["exp"] - claims["iat"] == pytest.approx(60, abs=1)
    assert len(claims["jti"]) == 24


def test_check_shows_the_keys_and_what_is_odd_about_them(capsys):
    assert main(["check"]) == 0
    out = capsys.readouterr().out
    assert "key of tokens: keys.json: ES256 2026a" in out
    assert "key of tokens: keys.json: key 2: without k" in out
    assert "Settings are good: node with your issuer's keys, no guests, no accounts." in out


def test_check_refuses_a_file_that_holds_no_keys(capsys, tmp_path):
    (tmp_path / "keys.json").write_text("{}")
    assert main(["check"]) == 2
    assert "jwt_keys: keys.json: not a set of keys" in capsys.readouterr().err
