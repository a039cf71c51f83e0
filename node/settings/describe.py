"""Settings as people read them: their lines of help, and what a node was told."""

from collections.abc import Iterator

from greenroom.node.settings.kinds import Choice, show
from greenroom.node.settings.layers import environment_name
from greenroom.node.settings.record import DEFAULTS, HELP, KINDS, Settings


def describe_option(setting: str) -> str:
    """Return a setting's line of help: what it is, its words, its default and its variable."""
    kind, default = KINDS[setting], DEFAULTS[setting]
    words = f" One of {', '.join(kind.options)}." if isinstance(kind, Choice) else ""
    usually = "" if default is None or default == () else f" [default: {show(default)}]"
    return f"{HELP[setting]}{words}{usually} [{environment_name(setting)}]"


def describe_settings(settings: Settings) -> Iterator[tuple[str, str, bool]]:
    """Yield name, value as text (secrets masked) and whether it differs from the default."""
    for name in KINDS:
        value = getattr(settings, name)
        yield name, show(value), value != DEFAULTS[name]
