"""Files of keys: read when the node starts, looked at again and again, read anew when they change.

A look is one `stat` for each file. A new file that is broken changes nothing: its keys stay as they
were, and whoever looks is told why. What a file holds is judged in `greenroom.protocol`.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import attrs

from greenroom.node.errors import SettingsError
from greenroom.node.settings.keys import KeyFile
from greenroom.protocol import HMAC_BYTES, KeyRefused, VerificationKey, pem_key, read_jwks

MOST_BYTES: Final = 256 * 1024
"""Of one file; a hundred RSA keys take less."""
EVERYBODY_CAN_READ: Final = 0o007

_Stamp: TypeAlias = tuple[int, int, int, int]
"""(device, inode, size, time of change): another one is another file, or another content."""


class BadKeyFile(Exception):
    """The file can't be read, or holds no keys that can be used. The text names it and says why."""


@attrs.define(eq=False)
class WatchedKeyFile:
    """One file, and the keys that were last good in it."""

    file: KeyFile
    keys: tuple[VerificationKey, ...] = ()
    notes: tuple[str, ...] = ()
    """What the operator should know about what was read."""
    _seen: _Stamp | str = ""
    """What the last look saw; a text is why there was nothing to see."""

    def look(self) -> bool:
        """Read the file if it has changed; whether it had.

        Raises:
            BadKeyFile: It has, and is no good; told once for each change.
        """
        seen = self._look()
        if seen == self._seen:
            return False
        self._seen = seen
        if isinstance(seen, str):
            raise BadKeyFile(f"{self.file.path}: {seen}")
        self._read()
        return True

    def describe(self) -> Iterator[str]:
        """Say in a line each what keys it holds, and what is odd about it."""
        for key in self.keys:
            yield f"{self.file.path}: {describe_key(key)}"
        yield from self.notes

    def _look(self) -> _Stamp | str:
        try:
            return _stamp_of(self.file.path.stat())
        except OSError as error:
            return error.strerror or str(error)

    def _read(self) -> None:
        path = self.file.path
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                content = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise BadKeyFile(f"{path}: {error.strerror or error}") from error
        self._seen = _stamp_of(status)  # of what was read, whatever has happened since the look
        if len(content) > MOST_BYTES:
            raise BadKeyFile(f"{path}: more than {MOST_BYTES} bytes")
        try:
            self.keys, refused = _keys_in(content, self.file)
        except KeyRefused as reason:
            raise BadKeyFile(f"{path}: {reason}") from None
        self.notes = tuple(f"{path}: {line}" for line in refused)
        if stat.S_IMODE(status.st_mode) & EVERYBODY_CAN_READ and _has_secret(self.keys):
            self.notes += (f"{path}: holds a secret and can be read by other users: chmod 600 it",)


def open_key_files(files: Sequence[KeyFile]) -> Sequence[WatchedKeyFile]:
    """Read all files for the first time.

    Raises:
        SettingsError: One is no good.
    """
    watched = [WatchedKeyFile(file) for file in files]
    try:
        for each in watched:
            each.look()
    except BadKeyFile as trouble:
        raise SettingsError(f"jwt_keys: {trouble}") from None
    return watched


def describe_key(key: VerificationKey) -> str:
    """Say what a key is for, and its name."""
    return key.algorithm if key.kid is None else f"{key.algorithm} {key.kid}"


def _keys_in(content: bytes, file: KeyFile) -> tuple[tuple[VerificationKey, ...], Sequence[str]]:
    if not content.lstrip().startswith(b"{"):
        return (pem_key(content, algorithm=file.algorithm, kid=file.kid),), ()
    if file.algorithm is not None or file.kid is not None:
        raise KeyRefused("a set of keys says alg and kid itself: name the path only")
    # The file is the operator's own: secrets may stand in it, as in jwt_secret_file.
    read = read_jwks(content, symmetric=True)
    return read.keys, read.refused


def _has_secret(keys: Sequence[VerificationKey]) -> bool:
    return any(key.algorithm in HMAC_BYTES for key in keys)


def _stamp_of(status: os.stat_result) -> _Stamp:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
