"""The settings of rate limits: how they are written, and what they come to."""

import pytest

from greenroom.actors.budgets import Budget
from greenroom.actors.rates import RateLimits
from greenroom.node.errors import SettingsError
from greenroom.node.settings.describe import describe_settings
from greenroom.node.settings.layers import load_settings
from greenroom.node.settings.rates import Rate
from greenroom.node.settings.record import Settings


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("50/s burst 250", Budget(50, 250)),
        ("  0.5/s   burst 1 ", Budget(0.5, 1)),
        ("250k/s burst 1M", Budget(250_000, 1_000_000)),
        ("1.5M/s burst 3M", Budget(1_500_000, 3_000_000)),
        ("40/s", Budget(40, 200)),
        ("none", None),
        ("0", None),
    ],
)
def test_a_rate_is_read_and_written_alike(text, budget):
    environ = {"GREENROOM_PUBLISH_RATE": text}
    rate = load_settings(environ=environ).publish_rate
    assert rate == Rate(budget)
    assert load_settings(environ={"GREENROOM_PUBLISH_RATE": str(rate)}).publish_rate == rate


@pytest.mark.parametrize(
    "text",
    [
        "",
        "50",
        "50/m",
        "-5/s burst 10",
        "5/s burst",
        "5/s burst 0",
        "nan/s",
        "0/s burst 5",
        "1e9/s",
    ],
)
def test_what_is_no_rate_is_refused_with_an_example(text):
    with pytest.raises(SettingsError, match="GREENROOM_JOIN_RATE must be such as 50/s burst 250"):
        load_settings(environ={"GREENROOM_JOIN_RATE": text})


def test_a_file_may_say_0_or_a_rate(tmp_path):
    config = tmp_path / "node.toml"
    config.write_text('publish_rate = 0\njoin_rate = "1/s burst 3"\nuser_rates = 0\n')
    limits = load_settings(config=config).rate_limits
    assert (limits.publish, limits.join, limits.user_factor) == (None, Budget(1, 3), None)


@pytest.mark.parametrize("value", ["0.5", "-1", "many", "inf", "nan"])
def test_a_factor_below_one_would_make_a_user_s_budget_less_than_a_connection_s(value):
    with pytest.raises(SettingsError, match="must be a number from 1 on, or 0 for no limit"):
        load_settings(environ={"GREENROOM_USER_RATES": value})


def test_the_defaults_are_the_cast_s_own():
    assert Settings().rate_limits == RateLimits()
    shown = {name: value for name, value, _ in describe_settings(Settings())}
    assert shown["publish_rate"] == "50/s burst 250"
    assert shown["room_egress_rate"] == "50M/s burst 100M"
    assert shown["address_rates"] == "20"
