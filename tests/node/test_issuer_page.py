"""The pages about tokens from elsewhere say what the code says."""

from pathlib import Path

import pytest
from support.token_matrix import bad_tokens, table

from greenroom.node.identity import jwks, key_files, keyring
from greenroom.node.settings.layers import load_settings
from greenroom.node.settings.record import DEFAULTS
from greenroom.protocol import ALGORITHMS, HMAC_BYTES

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "how-to" / "tokens-from-your-issuer.md").read_text()
MATRIX = (DOCS / "token-matrix.md").read_text()
TEXT = " ".join(PAGE.split())


def test_the_matrix_is_the_one_that_is_tested():
    """`PYTHONPATH=tests python tests/support/token_matrix.py` prints it."""
    assert MATRIX.partition("token_matrix.py -->\n")[2].partition("<!--")[0].strip() == table()
    assert f"lists {len(bad_tokens(0))} bad tokens" in TEXT


@pytest.mark.parametrize("block", PAGE.split("```toml\n")[1:])
def test_the_settings_in_it_are_settings(tmp_path, block):
    config = tmp_path / "greenroom.toml"
    config.write_text(block.partition("```")[0])
    config.chmod(0o600)
    lines = []
    assert load_settings(config=config, warn=lines.append).has_issuer
    assert lines == []


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_is_named(algorithm):
    assert f"`{algorithm}`" in PAGE


@pytest.mark.parametrize(
    "words",
    [
        ", ".join(str(fewest) for fewest in HMAC_BYTES.values()) + " bytes or more",
        f"looked at every {keyring.FILES_SECONDS:g} s",
        f"`jwt_jwks_seconds` ({DEFAULTS['jwt_jwks_seconds']:g})",
        f"at most every {jwks.ASKED_SECONDS:g} s",
        f"at most {jwks.MOST_BYTES // 1024} KiB within {jwks.FETCH_SECONDS:g} s",
    ],
)
def test_its_numbers_are_those_of_the_code(words):
    assert words in TEXT


def test_files_and_addresses_have_the_same_bound():
    assert key_files.MOST_BYTES == jwks.MOST_BYTES
