"""Every setting of a node, in one record, and the layers a value can come from.

Command line, then `GREENROOM_*` environment, then the TOML file, then the default: the first that
names a setting wins. A name nobody knows is refused with the nearest right one, because a setting
that is silently ignored is the most expensive kind of typing mistake. Opens the TOML file and the
secret file, and nothing else; what a setting means to the node is decided elsewhere.
"""

import difflib
import os
import re
import stat
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import attrs

from greenroom.node.errors import SettingsError
from greenroom.node.kinds import (
    Choice,
    FilePath,
    Flag,
    Integer,
    Kind,
    MisfitError,
    Origins,
    Seconds,
    Secret,
    SecretText,
    Text,
)

ENVIRONMENT_PREFIX = "GREENROOM_"
CONFIG_VARIABLE = "GREENROOM_CONFIG"
TOKEN_VARIABLE = "GREENROOM_TOKEN"  # noqa: S105  # its name; `greenroom chat` reads it
CHROMIUM_VARIABLE = "GREENROOM_CHROMIUM"  # where the tests find a browser
NOT_SETTINGS = frozenset({CONFIG_VARIABLE, TOKEN_VARIABLE, CHROMIUM_VARIABLE})

LONGEST_SHOWN = 80  # of a value that is no good; a whole file given by mistake helps nobody

# Kubernetes tells every pod of every Service, in variables whose names begin with the Service's:
# of `greenroom` itself, and of `greenroom-database` and the like.
_SERVICE_NAME = re.compile(
    r"GREENROOM_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)"
)
_SERVICE_PORT_NAME = re.compile(r"GREENROOM_(\w+_)?PORT")
_SERVICE_PORT_VALUE = re.compile(r"(tcp|udp|sctp)://")


def _about(kind: Kind, help_text: str) -> dict[str, Kind | str]:
    return {"kind": kind, "help": help_text}


@attrs.frozen(kw_only=True)
class Settings:
    """What an operator can choose. Build it with `load_settings`, which checks every value."""

    host: str = attrs.field(default="127.0.0.1", metadata=_about(Text(), "Address to listen on."))
    port: int = attrs.field(
        default=8000,
        metadata=_about(Integer(0, 65535), "Port to listen on; 0 takes a free one and says which."),
    )
    name: str = attrs.field(
        default="greenroom",
        metadata=_about(Text(), "Name of this node, as clients and the history see it."),
    )
    data: Path = attrs.field(
        default=Path("greenroom-data"),
        metadata=_about(
            FilePath(), "Directory that keeps messages and, for a development node, its secret."
        ),
    )
    tls_cert: Path | None = attrs.field(
        default=None,
        metadata=_about(FilePath(), "Certificate chain (PEM); turns on TLS 1.2 and 1.3."),
    )
    tls_key: Path | None = attrs.field(
        default=None,
        metadata=_about(FilePath(), "Private key (PEM) that belongs to the certificate."),
    )
    origins: tuple[str, ...] = attrs.field(
        default=(),
        metadata=_about(Origins(), "Web origins that may connect besides the node's own page."),
    )
    production: bool = attrs.field(
        default=False,
        metadata=_about(Flag(), "Refuse to start with a secret that the node made up itself."),
    )
    guests: bool | None = attrs.field(
        default=None,
        metadata=_about(
            Flag(), "Give tokens to guests (anybody who asks). Unset: only a development node does."
        ),
    )
    jwt_secret: Secret | None = attrs.field(
        default=None, metadata=_about(SecretText(), "Secret that signs and checks tokens (HS256).")
    )
    jwt_secret_file: Path | None = attrs.field(
        default=None,
        metadata=_about(FilePath(), "File that holds the secret, instead of naming it."),
    )
    token_seconds: float = attrs.field(
        default=86_400.0,
        metadata=_about(
            Seconds(365 * 86_400), "How long a token that this node issues is good for."
        ),
    )
    max_connections: int = attrs.field(
        default=10_000,
        metadata=_about(Integer(1, 1_000_000), "Connections at a time; one more is answered 503."),
    )
    drain_seconds: float = attrs.field(
        default=10.0,
        metadata=_about(Seconds(3_600), "How long stopping may take before connections are cut."),
    )
    log_format: str = attrs.field(
        default="auto",
        metadata=_about(
            Choice(("auto", "console", "json")),
            "Log lines for people or machines; auto looks whether stderr is a terminal.",
        ),
    )
    log_level: str = attrs.field(
        default="info",
        metadata=_about(
            Choice(("debug", "info", "warning", "error")), "The least important line to log."
        ),
    )

    def __attrs_post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        if (self.tls_cert is None) != (self.tls_key is None):
            given, missing = (
                ("tls_cert", "tls_key") if self.tls_key is None else ("tls_key", "tls_cert")
            )
            raise SettingsError(
                f"{given} is set but {missing} is not: TLS needs a certificate and its key"
            )
        if self.jwt_secret is not None and self.jwt_secret_file is not None:
            raise SettingsError("jwt_secret and jwt_secret_file are both set: keep one of them")

    def url(self, port: int) -> str:
        """Return the node's address as a browser wants it, with the port that was taken."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{port}/"

    @property
    def tls(self) -> bool:
        """Whether the node speaks TLS itself."""
        return self.tls_cert is not None


KINDS: dict[str, Kind] = {field.name: field.metadata["kind"] for field in attrs.fields(Settings)}
HELP: dict[str, str] = {field.name: field.metadata["help"] for field in attrs.fields(Settings)}
DEFAULTS: dict[str, object] = {field.name: field.default for field in attrs.fields(Settings)}


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
        values |= _read_toml(config)
    values |= _read_environment(environ)
    values |= _read_options(options or {})
    return _with_secret_file(Settings(**values), warn)  # type: ignore[arg-type]  # checked by their kinds


def environment_name(setting: str) -> str:
    """Return the environment variable of a setting."""
    return ENVIRONMENT_PREFIX + setting.upper()


def option_name(setting: str) -> str:
    """Return the command line's option of a setting."""
    # One origin for each option; the setting holds them all.
    return "--origin" if setting == "origins" else "--" + setting.replace("_", "-")


def describe_option(setting: str) -> str:
    """Return a setting's line of help: what it is, its words, its default and its variable."""
    kind, default = KINDS[setting], DEFAULTS[setting]
    words = f" One of {', '.join(kind.options)}." if isinstance(kind, Choice) else ""
    usually = "" if default is None or default == () else f" [default: {_show(default)}]"
    return f"{HELP[setting]}{words}{usually} [{environment_name(setting)}]"


def describe_settings(settings: Settings) -> Iterator[tuple[str, str, bool]]:
    """Yield name, value as text (secrets masked) and whether it differs from the default."""
    for name in KINDS:
        value = getattr(settings, name)
        yield name, _show(value), value != DEFAULTS[name]


def _show(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        # Origins are the only tuple; an empty one reads better as "none set".
        return " ".join(str(item) for item in value) or "-"  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def _read_toml(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"config {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"config {path} is not TOML: {error}") from error
    values: dict[str, object] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            raise SettingsError(
                f"config {path}: [{name}]: the file has no sections; each setting is a line of "
                "its own above any [...]"
            )
        if name not in KINDS:
            raise SettingsError(f"config {path}: unknown setting {name!r}{_nearest(name, KINDS)}")
        checked = _checked(name, value, f"config {path}: {name}")
        # The file may be read from anywhere, so its paths count from where it stands itself.
        values[name] = path.parent / checked if isinstance(checked, Path) else checked
    return values


def _read_environment(environ: Mapping[str, str]) -> dict[str, object]:
    names = {environment_name(setting): setting for setting in KINDS}
    values: dict[str, object] = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in NOT_SETTINGS:
            continue
        if _is_of_kubernetes(variable, text):
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
        given = "" if isinstance(kind, SecretText) else f", not {_given(value)}"
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


def _with_secret_file(settings: Settings, warn: Callable[[str], object]) -> Settings:
    path = settings.jwt_secret_file
    if path is None:
        return settings
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise SettingsError(f"jwt_secret_file {path}: {reason}") from error
    if mode & 0o077:
        # No more than a warning: containers get their secrets in files of 0444 or 0440.
        warn(f"jwt_secret_file {path} can be read by other users (mode {mode:04o}): chmod 600 it")
    secret = _checked("jwt_secret", text, f"the secret in {path}", as_text=True)
    # evolve() would trip over "both set"; the path has done its work and the secret replaces it.
    return attrs.evolve(settings, jwt_secret=secret, jwt_secret_file=None)  # type: ignore[arg-type]  # read by its kind
