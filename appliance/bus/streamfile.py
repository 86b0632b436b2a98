# SPDX-License-Identifier: GPL-3.0-or-later
"""Audio that is too long for memory: float32 stereo in a file on the disk, which control writes and the engines map.

The file lies in the data folder; a link to it stands where the box's shared memory has its names, so it is found and swept like
any other segment. All of its room is reserved at the beginning: no write and no mapping can fail later for want of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import numpy as np

from appliance.bus.memory import FOLDER
from appliance.errors import Unavailable

MARK = "-stream-"
"""In the name of every segment that is a link to such a file."""
BLOCK_FRAMES = 8192
FRAME_BYTES = 8
BLOCK_BYTES = BLOCK_FRAMES * FRAME_BYTES
"""64 KB: whole pages on every machine; what the engines lock is counted in these."""
KEEP_FREE_BYTES = 256_000_000
"""Left on the disk for sessions, recordings and generated audio."""


def is_stream(name: str) -> bool:
    return MARK in name


class StreamFile:
    """The writing end."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    @classmethod
    def create(cls, name: str, folder: Path, frames: int, keep_free_bytes: int = KEEP_FREE_BYTES) -> StreamFile:
        """Make room on the disk. Raises :class:`Unavailable` (507) when it is not there; then nothing has changed."""
        size = -(-max(frames, 1) // BLOCK_FRAMES) * BLOCK_BYTES
        path = folder / f"{name}.f32"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            there = os.statvfs(folder)
            free = there.f_bavail * there.f_frsize
            if size + keep_free_bytes > free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, size)
                (FOLDER / name).unlink(missing_ok=True)
                (FOLDER / name).symlink_to(path.resolve())
            except OSError:
                os.close(descriptor)
                path.unlink(missing_ok=True)
                raise
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise Unavailable(f"{folder}: nothing can be written there ({error.strerror}); it is needed to play "
                                  "long files from the disk") from None
            raise Unavailable(f"it needs {size / 1e6:.0f} MB on the disk ({folder}) beside {keep_free_bytes / 1e6:.0f} MB that "
                              "stay free; delete or move something, then load it again", status=507) from None
        return cls(name, descriptor)

    @classmethod
    def open(cls, name: str) -> StreamFile:
        """Go on with an existing one. Raises :class:`Unavailable`."""
        try:
            return cls(name, os.open(FOLDER / name, os.O_RDWR | os.O_CLOEXEC))
        except OSError:
            raise Unavailable(f"the decoded audio {name} is not there; load the file again") from None

    def write(self, at_frame: int, chunk: np.ndarray) -> None:
        """Put n × 2 float32 at a frame. Raises OSError."""
        rest = memoryview(np.ascontiguousarray(chunk, np.float32)).cast("B")
        at = at_frame * FRAME_BYTES
        while rest:
            done = os.pwrite(self._descriptor, rest, at)
            rest, at = rest[done:], at + done

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


def remove(name: str) -> None:
    """The file and the link to it; what is mapped stays readable to who has it."""
    link = FOLDER / name
    with contextlib.suppress(OSError):
        link.readlink().unlink(missing_ok=True)
    link.unlink(missing_ok=True)


def sweep_folder(folder: Path, keep: set[str]) -> int:
    """Remove the files of boxes that ended without doing so, but those named in ``keep``; returns how many."""
    gone = 0
    for path in folder.glob(f"*{MARK}*.f32"):
        if path.stem not in keep:
            with contextlib.suppress(OSError):
                path.unlink()
                gone += 1
    return gone
