"""The data directory: who may use it, and the files a node keeps there.

One node per directory, held by a lock that the kernel drops with the process, however it ends.
Knows paths and the lock; what stands in the database is the storage's business.
"""

import fcntl
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import attrs

from greenroom.node.errors import DataDirectoryError
from greenroom.node.secret_files import exposure_of
from greenroom.node.settings.kinds import MIN_SECRET_BYTES, Secret

DIRECTORY_MODE = 0o700
SECRET_MODE = 0o600


@attrs.frozen
class DataDirectory:
    """The places of one data directory."""

    path: Path

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.path / "greenroom.db"

    @property
    def lock(self) -> Path:
        """The file whose lock says that a node is running."""
        return self.path / "lock"

    @property
    def secret(self) -> Path:
        """The secret that a development node made for itself."""
        return self.path / "development-secret"


@contextmanager
def open_data_directory(path: Path) -> Generator[DataDirectory]:
    """Create the directory if need be and hold its lock.

    Raises:
        DataDirectoryError: It can't be created or written, or another node holds it.
    """
    directory = DataDirectory(path)
    try:
        path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        lock = os.open(directory.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, SECRET_MODE)
    except FileExistsError as error:
        raise DataDirectoryError(f"data directory {path}: is not a directory") from error
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataDirectoryError(
                f"data directory {path} is in use by another node (one node per directory)"
            ) from None
        except OSError as error:
            raise _unusable(path, error) from error
        yield directory
    finally:
        os.close(lock)


def read_development_secret(directory: DataDirectory) -> Secret | None:
    """Return the directory's own secret, None when it has none yet.

    Raises:
        DataDirectoryError: The file is there but unreadable, damaged, or open to other users.
    """
    path = directory.secret
    try:
        with path.open(encoding="ascii") as file:
            exposure = exposure_of(file)
            text = file.read().strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "damaged"
        raise DataDirectoryError(f"development secret {path}: {reason}") from error
    if exposure is not None:
        raise DataDirectoryError(f"development secret {path} {exposure}")
    if len(text) < MIN_SECRET_BYTES:
        raise DataDirectoryError(
            f"development secret {path} is damaged: delete it to get a new one"
        )
    return Secret(text)


def make_development_secret(directory: DataDirectory) -> Secret:
    """Write a fresh random secret that only this user can read.

    Call it while holding the directory's lock. The file appears whole or not at all: a crash in
    the middle must not leave half a secret for the next start.
    """
    text = secrets.token_urlsafe(MIN_SECRET_BYTES)
    partial = directory.secret.with_suffix(".partial")
    try:
        partial.unlink(missing_ok=True)
        file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, SECRET_MODE)
        with os.fdopen(file, "w", encoding="ascii") as stream:
            stream.write(text + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        partial.rename(directory.secret)
    except OSError as error:
        raise _unusable(directory.path, error) from error
    return Secret(text)


def _unusable(path: Path, error: OSError) -> DataDirectoryError:
    return DataDirectoryError(f"data directory {path}: {error.strerror or error}")
