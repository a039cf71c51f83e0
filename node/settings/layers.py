"""The layers that the value of a setting can come from, put together into `Settings`.

Command line, then `GREENROOM_*` environment, then the TOML file, then the default: the first that
names a setting wins. A name nobody knows is refused with the nearest right one, because a setting
that is silently ignored is the most expensive kind of typing mistake. Opens the TOML file and the
files of secrets, and nothing else.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, cast

import attrs

from greenroom.node.errors import SettingsError
from greenroom.node.masks import hides, is_masked
from greenroom.node.secret_files import exposure_of
from greenroom.node.settings.keys import KeyFile
from greenroom.node.settings.kinds import MisfitError
from greenroom.node.settings.record import KINDS, Settings
from greenroom.node.settings.rooms import RoomTable

ENVIRONMENT_PREFIX = "GREENROOM_"
CONFIG_VARIABLE = "GREENROOM_CONFIG"
TOKEN_VARIABLE = "GREENROOM_TOKEN"  # noqa: S105  # its name; `greenroom chat` reads it
CHROMIUM_VARIABLE = "GREENROOM_CHROMIUM"  # where the tests find a browser
TEST_PREFIX = "GREENROOM_TEST_"  # where the tests find outside services
NOT_SETTINGS = frozenset({CONFIG_VARIABLE, TOKEN_VARIABLE, CHROMIUM_VARIABLE})

SECRET_FILES = {
    "jwt_secret": "jwt_secret_file",
    "database": "database_file",
    "webhook_secret": "webhook_secret_file",
    "admin_keys": "admin_keys_file",
}
"""Settings that can come from a file of their own instead."""

LONGEST_SHOWN = 80  # of a value that is no good; a whole file given by mistake helps nobody

# Kubernetes tells every pod of every Service, in variables whose names begin with the Service's:
# of `greenroom` itself, and of `greenroom-database` and the like.
_SERVICE_NAME = re.compile(
    r"GREENROOM_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)"
)
_SERVICE_PORT_NAME = re.compile(r"GREENROOM_(\w+_)?PORT")
_SERVICE_PORT_VALUE = re.compile(r"(tcp|udp|sctp)://")


def load_settings(
    *,
    options: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    config: Path | None = None,
    warn: Callable[[str], object] = lambda _: None,
) -> Settings:
    """Put the layers together.

    Args:
        options: What the command line named, by setting; None values count as not named.
        environ: The environment; only names with `GREENROOM_` are looked at.
        config: The TOML file; without it `GREENROOM_CONFIG` may name one. Its paths count from
            its own directory.
        warn: Called with a line about what is allowed and yet no good idea.

    Raises:
        SettingsError: A name is unknown, a value is no good, or a file can't be read. The text
            says where the value came from.
    """
    environ = environ or {}
    if config is None and environ.get(CONFIG_VARIABLE):
        config = Path(environ[CONFIG_VARIABLE]).expanduser()
    values: dict[str, object] = {}
    if config is not None:
        values |= _read_toml(config, warn)
    values |= _read_environment(environ)
    values |= _read_options(options or {})
    settings = Settings(**values)  # type: ignore[arg-type]  # checked by their kinds
    for name, file in SECRET_FILES.items():
        settings = _with_file(settings, name, file, warn)
    for name in settings.exposed_webhooks():
        warn(f"{name} is http: what it carries can be read on its way; use https")
    for line in settings.loose_keys():
        warn(line)
    return settings


def environment_name(setting: str) -> str:
    """Return the environment variable of a setting."""
    return ENVIRONMENT_PREFIX + setting.upper()


def option_name(setting: str) -> str:
    """Return the command line's option of a setting."""
    # One origin for each option; the setting holds them all.
    return "--origin" if setting == "origins" else "--" + setting.replace("_", "-")


def _read_toml(path: Path, warn: Callable[[str], object]) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            exposure = exposure_of(file)
            table: dict[str, object] = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"config {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"config {path} is not TOML: {error}") from error
    values: dict[str, object] = {}
    for name, value in table.items():
        if _is_section(value) and not isinstance(KINDS.get(name), RoomTable):
            raise SettingsError(
                f"config {path}: [{name}]: the file has no sections but [rooms.PREFIX]; each other "
                "setting is a line of its own above any [...]"
            )
        if name not in KINDS:
            raise SettingsError(f"config {path}: unknown setting {name!r}{_nearest(name, KINDS)}")
        checked = _checked(name, value, f"config {path}: {name}")
        # The file may be read from anywhere, so its paths count from where it stands itself.
        values[name] = _beneath(path.parent, checked)
    if exposure is not None and any(hides(value) for value in values.values()):
        warn(f"config {path} holds a secret and {exposure}")
    return values


def _beneath(folder: Path, value: object) -> object:
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, tuple):
        items = cast("tuple[object, ...]", value)
        return tuple(item.beneath(folder) if isinstance(item, KeyFile) else item for item in items)
    return value


def _is_section(value: object) -> bool:
    return isinstance(value, dict)


def _read_environment(environ: Mapping[str, str]) -> dict[str, object]:
    names = {environment_name(setting): setting for setting in KINDS}
    values: dict[str, object] = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in NOT_SETTINGS:
            continue
        if variable.startswith(TEST_PREFIX) or _is_of_kubernetes(variable, text):
            continue
        if variable not in names:
            hint = _nearest(variable, [*names, *NOT_SETTINGS])
            raise SettingsError(f"environment: unknown setting {variable}{hint}")
        setting = names[variable]
        values[setting] = _checked(setting, text, variable, as_text=True)
    return values


def _is_of_kubernetes(variable: str, text: str) -> bool:
    """Whether it describes a Service, rather than setting anything."""
    if _SERVICE_NAME.fullmatch(variable):
        return True
    return bool(_SERVICE_PORT_NAME.fullmatch(variable) and _SERVICE_PORT_VALUE.match(text))


def _read_options(options: Mapping[str, object]) -> dict[str, object]:
    return {
        name: _checked(name, value, option_name(name))
        for name, value in options.items()
        if value is not None
    }


def _checked(setting: str, value: object, source: str, *, as_text: bool = False) -> object:
    kind = KINDS[setting]
    try:
        return kind.from_text(str(value)) if as_text else kind.check(value)
    except MisfitError as error:
        given = "" if is_masked(kind) else f", not {_given(value)}"
        raise SettingsError(f"{source} must be {error}{given}") from None


def _given(value: object) -> str:
    """Show what was given in one line, in quotes where it is text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        # TOML: items of any type.
        return ", ".join(_given(item) for item in value) or "[]"  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    shown = repr(str(value) if isinstance(value, Path) else value)
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}..."


def _nearest(name: str, known: Collection[str]) -> str:
    # Without the prefix that all variables share, and that would make any two of them look alike.
    bare = {each.removeprefix(ENVIRONMENT_PREFIX): each for each in known}
    wanted = name.removeprefix(ENVIRONMENT_PREFIX)
    close = difflib.get_close_matches(wanted, bare, n=1, cutoff=0.6)
    return (
        f"; did you mean {bare[close[0]]}?" if close else f"; known are {', '.join(sorted(known))}"
    )


def _with_file(
    settings: Settings, setting: str, file_setting: str, warn: Callable[[str], object]
) -> Settings:
    path: Path | None = getattr(settings, file_setting)
    if path is None:
        return settings
    try:
        with path.open(encoding="utf-8") as file:
            exposure = exposure_of(file)
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        # Somebody may have given the URL itself, with its password.
        shown = "is a path, not a URL" if ":/" in str(path) else f"{path}: {reason}"
        raise SettingsError(f"{file_setting} {shown}") from None
    if exposure is not None:
        # No more than a warning: containers get their secrets in files of 0444 or 0440.
        warn(f"{file_setting} {path} {exposure}")
    what = {"jwt_secret": "secret", "webhook_secret": "secret"}.get(setting, setting)
    value = _checked(setting, text, f"the {what} in {path}", as_text=True)
    # Together they would be "both set"; the path has done its work and the value replaces it.
    changes: dict[str, Any] = {setting: value, file_setting: None}  # Any: of the setting's kind
    return attrs.evolve(settings, **changes)
