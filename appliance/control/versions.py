# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder in which rendered versions of clips are kept: a cache that heeds what room the disk has."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

FOLDER = "versions"
MOST_MB = 2000
MOST_OF_THE_ROOM = 0.25
"""Of what the disk has free without them."""
SPARE = 0.1
"""So much more of that may come before it is looked at again."""


class Versions:
    """``folder`` in the box's data; it need not be there yet. Calls read the disk: make them on a thread."""

    def __init__(self, folder: Path, most_mb: float = MOST_MB) -> None:
        self._folder = folder
        self._most_bytes = most_mb * 1e6
        self._room_bytes = 0.0

    def file(self, *what: object) -> Path:
        """Where the version lies that is all this: what it is made of, and how."""
        return self._folder / f"{hashlib.sha256(repr(what).encode()).hexdigest()[:32]}.wav"

    @staticmethod
    def used(file: Path) -> bool:
        """Whether it is there; it then counts as used just now."""
        with contextlib.suppress(OSError):
            os.utime(file)
        return file.is_file()

    def grown(self, file: Path) -> None:
        """A version has come."""
        with contextlib.suppress(OSError):
            self._room_bytes -= file.stat().st_size
        if self._room_bytes < 0:
            self.tidy()

    def tidy(self) -> None:
        """Keep the folder within its size: what was not used for the longest time goes first, and what a killed process left
        half written like the rest."""
        found = list[tuple[float, int, Path]]()
        for file in self._folder.glob("*"):
            with contextlib.suppress(OSError):  # it is written, or renamed, at this moment
                status = file.stat()
                found.append((status.st_mtime, status.st_size, file))
        most = min(self._most_bytes, MOST_OF_THE_ROOM * (self._free_bytes() + sum(size for _, size, _ in found)))
        left = most
        for _, size, file in sorted(found, reverse=True):
            left -= size
            if left < 0:
                with contextlib.suppress(OSError):
                    file.unlink()
        self._room_bytes = max(left, SPARE * most)

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._folder.parent).free
