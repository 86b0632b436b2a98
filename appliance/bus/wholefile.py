# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are there as a whole or not at all, whatever dies or fills up while they are written."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write_atomically(path: Path, body: bytes, mode: int | None = None) -> None:
    """Temporary file, fsync, rename, fsync of the folder. Raises OSError and leaves nothing behind.

    ``mode``: permissions of the file, from its first byte on; None: as the umask says.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        if mode is not None:
            temporary.unlink(missing_ok=True)
        with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, 0o666 if mode is None else mode)) as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
