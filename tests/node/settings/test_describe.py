"""Settings as people read them."""

import pytest

from greenroom.node.settings.describe import describe_option, describe_settings
from greenroom.node.settings.layers import load_settings

SECRET = "0123456789abcdef0123456789abcdef"


def test_secrets_are_masked_wherever_settings_are_shown():
    settings = load_settings(environ={"GREENROOM_JWT_SECRET": SECRET})
    shown = repr(settings) + str(settings) + repr(list(describe_settings(settings)))
    assert SECRET not in shown
    assert settings.jwt_secret is not None
    assert settings.jwt_secret.reveal() == SECRET


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("port", "which. [default: 8000] [GREENROOM_PORT]"),
        ("production", "itself. [default: false] [GREENROOM_PRODUCTION]"),
        (
            "log_level",
            "log. One of debug, info, warning, error. [default: info] [GREENROOM_LOG_LEVEL]",
        ),
        ("tls_key", "certificate. [GREENROOM_TLS_KEY]"),
        ("origins", "page. [GREENROOM_ORIGINS]"),
    ],
)
def test_an_options_help_names_its_words_its_default_and_its_variable(setting, line):
    assert describe_option(setting).endswith(line)
