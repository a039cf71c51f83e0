"""Files that hold secrets: whether others than their owner can read one, and how that is said."""

import os
import stat
from typing import IO, Any, Final

OTHERS_CAN_READ: Final = 0o077
"""Bits of a file's mode."""


def exposure_of(file: IO[Any]) -> str | None:  # Any: text or bytes
    """Say that other users can read an open file, as the end of a sentence; None: they can't."""
    mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    if not mode & OTHERS_CAN_READ:
        return None
    return f"can be read by other users (mode {mode:04o}): chmod 600 it"
