# SPDX-License-Identifier: GPL-3.0-or-later
"""Named blocks of shared memory that outlive the processes that map them.

Plain files in ``/dev/shm``, named ``appliance-<box>-<what>``: the supervisor creates the box's block and removes all of a
box's files at its end, or at its next start after it was killed.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
from pathlib import Path

import numpy as np

from appliance.errors import Unavailable

FOLDER = Path("/dev/shm")


def box_name(data: Path) -> str:
    """The name of the box whose data lie in ``data``: the same folder is the same box."""
    return "appliance-" + hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:10]


def memory_left_bytes() -> int:
    """Memory that the machine can give without killing anybody, as the kernel estimates it; a lot where it does not say."""
    try:
        with Path("/proc/meminfo").open() as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 1 << 62


class Segment:
    """A mapped block. ``address`` is where it lies in this process; ``view(dtype)`` a numpy array on it."""

    def __init__(self, name: str, descriptor: int, size: int) -> None:
        self.name = name
        self.size = size
        self._map = mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._bytes = np.frombuffer(self._map, np.uint8)
        self.address = int(self._bytes.ctypes.data)

    @classmethod
    def create(cls, name: str, size: int) -> Segment:
        """Make a zeroed block and reserve its memory now, so that no write to it can fail later.

        Raises :class:`Unavailable` when the memory is not there.
        """
        path = FOLDER / name
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
            return cls(name, descriptor, size)
        except OSError as error:
            path.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.ENOMEM):
                need = f"{size / 1e6:.0f} MB ({name})"
                raise Unavailable(f"no shared memory left for {need}; unload clips or free memory") from None
            raise
        finally:
            os.close(descriptor)

    @classmethod
    def open(cls, name: str) -> Segment:
        """Map an existing block. Raises :class:`Unavailable` when it is not there."""
        try:
            descriptor = os.open(FOLDER / name, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            raise Unavailable(f"shared memory {name} is not there: is the box running?") from None
        try:
            return cls(name, descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)

    def view(self, dtype: np.dtype | type, count: int = -1, offset: int = 0) -> np.ndarray:
        return np.frombuffer(self._map, dtype, count, offset)

    def close(self) -> None:
        """Unmap. Views that still live keep the mapping until they are gone; that is not an error."""
        self._bytes = np.empty(0, np.uint8)
        try:
            self._map.close()
        except BufferError:
            pass


class PrivateSegment:
    """The same for one process alone: what the offline engine runs on."""

    def __init__(self, size: int) -> None:
        self.name = ""
        self.size = size
        self._bytes = np.zeros(size + 64, np.uint8)
        self._skip = -int(self._bytes.ctypes.data) % 64
        self.address = int(self._bytes.ctypes.data) + self._skip

    def view(self, dtype: np.dtype | type, count: int = -1, offset: int = 0) -> np.ndarray:
        end = self._skip + self.size if count < 0 else self._skip + offset + count * np.dtype(dtype).itemsize
        return self._bytes[self._skip + offset : end].view(dtype)

    def close(self) -> None:
        pass


def unlink(name: str) -> None:
    (FOLDER / name).unlink(missing_ok=True)


def sweep(box: str) -> list[str]:
    """Remove every block of a box; returns their names."""
    gone = sorted(path.name for path in FOLDER.glob(f"{box}-*"))
    for name in gone:
        unlink(name)
    return gone
