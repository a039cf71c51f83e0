"""What holds of every setting."""

import attrs

from greenroom.node.settings.record import DEFAULTS, HELP, Settings


def test_every_setting_has_a_kind_that_takes_its_default_and_a_sentence():
    for field in attrs.fields(Settings):
        assert HELP[field.name].endswith(".")
        default = DEFAULTS[field.name]
        if default is not None:
            assert field.metadata["kind"].check(default) == default
