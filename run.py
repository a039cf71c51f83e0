"""Set Greenroom up in `.venv` beside this file, then do one thing there.

    python3 run.py serve [OPTIONS]   run the chat node (the options of `greenroom serve`)
    python3 run.py test [OPTIONS]    run the tests (the options of pytest)
    python3 run.py lint              run the linters and type checkers
    python3 run.py COMMAND ...       any other `greenroom` command: token, chat, check, --help

It needs Python 3.11 or newer and nothing else, and it never touches the system's own packages.
The first run installs; later runs install again only when the packages' list of files or the
dependencies have changed (an editable install sees edits by itself, but not new files).
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "greenroom-installed"
PACKAGES = ("supervisor", "protocol", "actors", "client", "node")
OLDEST = (3, 11)

NO_PIP = """\
This Python can make virtual environments but cannot put pip into them (Debian and Ubuntu keep
that part in a package of its own). Install it and run this command again:
    apt install python3-venv"""


def main(arguments: list[str]) -> int:
    """Install if needed, then run the command that `arguments` name; return its exit code."""
    if sys.version_info < OLDEST:
        print(f"Greenroom needs Python 3.11 or newer; this is {version()}.", file=sys.stderr)
        return 2
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(__doc__)
        return 0
    command, *options = arguments
    if command == "test":
        install("test")
        os.chdir(ROOT)
        return become("-m", "pytest", *options)
    if command == "lint":
        install("dev")
        os.chdir(ROOT)
        return lint()
    install("node")
    return become("-m", "greenroom.node", command, *options)


def lint() -> int:
    """Run every linter and type checker, also after one has failed; non-zero if any did."""
    packages = [word for name in PACKAGES for word in ("-p", f"greenroom.{name}")]
    codes = [
        run("-m", "ruff", "format", "--check", "."),
        run("-m", "ruff", "check", "."),
        run("-m", "mypy", "--strict", *packages),
        run("-m", "pyright", "--pythonpath", str(PYTHON)),
    ]
    return max(codes)


def become(*arguments: str) -> int:
    """Let the environment's Python take this process's place, so that it gets every signal."""
    if os.name != "nt":  # which has no such thing
        os.execv(PYTHON, [str(PYTHON), *arguments])
    return run(*arguments)


def run(*arguments: str) -> int:
    """Run the environment's Python and wait for it."""
    return subprocess.run([PYTHON, *arguments], check=False).returncode


def install(extra: str) -> None:
    """Bring `.venv` up to date with `extra`, unless the last install was of the same state."""
    state = f"{extra} {fingerprint()}"
    installed = STAMP.read_text().splitlines() if STAMP.exists() and PYTHON.exists() else []
    if state in installed:
        return
    print(f"Setting up {VENV} (only when something changed) ...", file=sys.stderr, flush=True)
    create_environment()
    pip("install", "--quiet", "--config-settings", "editable_mode=strict", "-e", f".[{extra}]")
    # What an extra contains, its smaller ones do not need again: dev > test > node.
    included = ("dev", "test", "node")
    STAMP.write_text(
        "".join(f"{name} {fingerprint()}\n" for name in included[included.index(extra) :])
    )


def fingerprint() -> str:
    """Identify what an install depends on: this Python, the metadata, the packages' file names."""
    digest = hashlib.sha256(sys.version.encode())
    digest.update((ROOT / "pyproject.toml").read_bytes())
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            if "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT)}\n".encode())
    return digest.hexdigest()[:16]


def create_environment() -> None:
    """Make `.venv` with pip in it; exits with one clear message where that can't be."""
    if VENV.exists() and not STAMP.exists():
        sys.exit(f"{VENV} is not one that run.py made; move it away and run this command again.")
    if PYTHON.exists() and f"version = {version()}\n" in (VENV / "pyvenv.cfg").read_text():
        return
    try:
        shutil.rmtree(VENV, ignore_errors=True)
        VENV.mkdir()
        STAMP.touch()  # ours from now on, also when this is cut short
        try:
            venv.create(VENV, with_pip=True)
        except (subprocess.CalledProcessError, ImportError):
            venv.create(VENV, with_pip=False)
            borrowed = [sys.executable, "-m", "pip", "--python", str(PYTHON)]
            borrowed += ["install", "-q", "pip"]
            if subprocess.run(borrowed, check=False, capture_output=True).returncode:
                sys.exit(NO_PIP)
    except OSError as error:
        sys.exit(f"can't make {VENV}: {error.strerror}")


def version() -> str:
    """The version of the Python that runs this file, as `pyvenv.cfg` spells it."""
    return ".".join(map(str, sys.version_info[:3]))


def pip(*arguments: str) -> None:
    """Run the environment's own pip; its failure ends this command."""
    command = [PYTHON, "-m", "pip", "--disable-pip-version-check", *arguments]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code:
        print("pip could not install what Greenroom needs; is there a network?", file=sys.stderr)
        sys.exit(code)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
