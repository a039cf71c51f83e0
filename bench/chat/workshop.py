"""Builds what a benchmark needs, in a directory outside the checkout: programs, packages, venvs.

Everything is kept under a name made of what it was built from, so that a second run builds nothing.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import attrs

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
PEERS = HERE / "peers"
BUILD_SECONDS = 600
HOW_BUILT = "import sys, sysconfig; print(sys.version, sysconfig.get_config_var('CONFIG_ARGS'))"
VERSIONS = {"gcc": ("--version",), "go": ("version",), "node": ("--version",)}
C_FLAGS = ("-O2", "-Wall", "-Wextra")
LINES_SHOWN = 15
OWN_EXTRA = re.compile(r"greenroom\[(\w+)\]")
VERSION_IN_NAME = re.compile(r"python3\.(\d+)")


class CannotBuildError(Exception):
    """Something is missing on this machine, or a build failed; the text says what."""


def default_cache() -> Path:
    """Where builds are kept unless told otherwise."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "greenroom-bench"


def newest_python() -> str:
    """Find the newest Python here: this one, those on PATH, and those that pyenv has installed."""
    found: dict[int, str] = {sys.version_info.minor: sys.executable}
    folders = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    folders += sorted((Path.home() / ".pyenv" / "versions").glob("*/bin"))
    for folder in folders:
        if folder.name == "shims":  # a name there is no promise of a Python
            continue
        for path in folder.glob("python3.*"):
            match = VERSION_IN_NAME.fullmatch(path.name)
            if match and os.access(path, os.X_OK):
                found.setdefault(int(match[1]), str(path))
    return found[max(found)]


@attrs.frozen
class Workshop:
    """Builds on demand, with one Python for everything that is written in it."""

    cache: Path
    python: str

    def versions(self) -> dict[str, str]:
        """Say which tools are used, and how the Python was built: optimised or not matters."""
        commands = {"python": (self.python, "-c", HOW_BUILT)}
        for tool, arguments in VERSIONS.items():
            found = shutil.which(tool)
            if found:
                commands[tool] = (found, *arguments)
        return {tool: _output(command) for tool, command in commands.items()}

    def generator(self) -> Path:
        return self._c_program("generator", sorted((HERE / "generator").glob("*.c")))

    def floor(self) -> Path:
        return self._c_program("floor", [PEERS / "floor" / "floor.c"])

    def gin(self) -> Path:
        """Compile offline, from Debian's packages of Gin and gorilla/websocket."""
        go = _tool("go", "golang")
        source = PEERS / "gin" / "main.go"
        code = Path("/usr/share/gocode")
        for package in ("gin-gonic/gin", "gorilla/websocket"):
            if not (code / "src/github.com" / package).is_dir():
                debian = f"golang-github-{package.replace('/', '-')}-dev"
                raise CannotBuildError(f"no Go package {package} (Debian: {debian})")
        environ = {
            "GOPATH": str(code),
            "GO111MODULE": "off",
            "GOCACHE": str(self.cache / "go-cache"),
        }
        return self._made(
            "gin",
            [source],
            lambda target: _run([go, "build", "-o", str(target), str(source)], environ),
        )

    def cowboy(self) -> tuple[str, Path, Path]:
        """Return `erl`, the libraries' folder and ours; RabbitMQ's package brings cowboy along."""
        erl, erlc = _tool("erl", "erlang-base"), _tool("erlc", "erlang-base")
        libraries = next(
            (path.parent for path in sorted(Path("/usr/lib").glob("*/lib/*/plugins/cowboy-*"))),
            None,
        )
        if libraries is None:
            raise CannotBuildError("no cowboy (Debian: rabbitmq-server has it among its plugins)")
        source = PEERS / "cowboy" / "chat_server.erl"

        def compile_it(target: Path) -> None:
            target.mkdir()
            _run([erlc, "-o", str(target), str(source)], {"ERL_LIBS": str(libraries)})

        return erl, libraries, self._made("cowboy", [source], compile_it)

    def node(self, peer: str) -> tuple[str, Path]:
        """Return `node` and the peer's script, with its packages installed beside it."""
        node, npm = _tool("node", "nodejs"), _tool("npm", "npm")
        sources = [PEERS / peer / name for name in ("package.json", "server.js")]

        def install(target: Path) -> None:
            target.mkdir()
            for source in sources:
                shutil.copy(source, target)
            command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--omit=dev"]
            _run([*command, "--prefix", str(target)], {"NODE_ENV": "production"})

        return node, self._made(peer, sources, install) / "server.js"

    def peers_python(self) -> Path:
        """Return a Python that has every Python peer's packages."""
        files = sorted(PEERS.glob("*/requirements.txt"))
        arguments = [word for file in files for word in ("-r", str(file))]
        return self._venv("peers-python", files, arguments)

    def our_python(self) -> Path:
        """Return a Python that has the node's dependencies, and Greenroom as the checkout is."""
        project = CHECKOUT / "pyproject.toml"
        python = self._venv("greenroom-python", [project], node_requirements(project))
        # Anew each time: another checkout with the same requirements shares the build.
        link = next(python.parents[1].glob("lib/python3*/site-packages")) / "greenroom"
        link.unlink(missing_ok=True)
        link.symlink_to(CHECKOUT)
        return python

    def _venv(self, name: str, sources: Sequence[Path], arguments: Sequence[str]) -> Path:
        def create(target: Path) -> None:
            _run([self.python, "-m", "venv", str(target)])
            pip = [str(target / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
            _run([*pip, "install", "--quiet", *arguments])

        return self._made(name, sources, create, salt=self.python) / "bin" / "python"

    def _c_program(self, name: str, sources: Sequence[Path]) -> Path:
        gcc = _tool("gcc", "gcc")
        headers = sorted((HERE / "generator").glob("*.h"))
        command = [gcc, *C_FLAGS, *map(str, sources), "-o"]
        return self._made(name, [*sources, *headers], lambda target: _run([*command, str(target)]))

    def _made(
        self, name: str, sources: Iterable[Path], make: Callable[[Path], None], salt: str = ""
    ) -> Path:
        """Return what `make` made, now or earlier, from the same sources."""
        digest = hashlib.sha256(salt.encode())
        for source in sources:
            digest.update(source.read_bytes())
        target = self.cache / f"{name}-{digest.hexdigest()[:12]}"
        done = target.with_name(target.name + ".done")
        if not done.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(target, ignore_errors=True)  # of a build that was cut short
            target.unlink(missing_ok=True)
            print(f"building {name} ...", file=sys.stderr, flush=True)
            make(target)
            done.touch()
        return target


def node_requirements(project: Path) -> list[str]:
    """List what the extra `node` needs, its extras of ours taken apart."""
    table = tomllib.loads(project.read_text())["project"]

    def needed(extra: str) -> Iterable[str]:
        for requirement in table["optional-dependencies"][extra]:
            own = OWN_EXTRA.fullmatch(requirement)
            yield from needed(own[1]) if own else (requirement,)

    return sorted({*table["dependencies"], *needed("node")})


def _tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise CannotBuildError(f"no {name} on PATH (Debian: {package})")
    return found


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.partition("\n")[0]


def _run(command: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
    """Run a build step; its last lines are the reason when it fails."""
    try:
        run = subprocess.run(
            command,
            env={**os.environ, **(environ or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CannotBuildError(f"{command[0]} took more than {BUILD_SECONDS} s") from None
    if run.returncode:
        tail = "\n".join(run.stdout.splitlines()[-LINES_SHOWN:])
        raise CannotBuildError(f"{' '.join(command)}\n{tail}")
