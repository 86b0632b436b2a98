# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing float32 WAVE files: atomically, and with equal bytes for equal audio (libsndfile puts a time stamp in)."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.errors import ApplianceError, BadFile, BadValue, Unavailable

_SMALL_BYTES = 65_536
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_wav(path: Path, audio: NDArray[np.float32], rate: int) -> None:
    """Write (frames, channels) float32 to ``path``: a temporary file beside it, fsync, rename, fsync of the folder.

    The file is there in full or not at all. Raises :class:`Unavailable` (507) on a full disk, :class:`BadFile` where it
    cannot be written, :class:`BadValue` over 4 GB.
    """
    frames, channels = audio.shape
    data_bytes = frames * channels * 4
    if data_bytes > 0xFFFFFFFF - 58:
        raise BadValue(f"{path.name}: {data_bytes / 2**30:.1f} GB do not fit a WAVE file; 4 GB at most")
    header = struct.pack(
        "<4sI4s4sIHHIIHHH4sII4sI", b"RIFF", 50 + data_bytes, b"WAVE", b"fmt ", 18, 3, channels, rate, rate * channels * 4,
        channels * 4, 32, 0, b"fact", 4, frames, b"data", data_bytes,
    )  # fmt: skip
    body = np.ascontiguousarray(audio, "<f4")
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(header)
            file.write(body.data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise disk_error(path, error) from None


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def disk_is_full(folder: Path) -> bool:
    """No room for even a small file. Databases tell a full disk as an I/O error too, when they cannot map what they need."""
    try:
        there = os.statvfs(folder)
    except OSError:
        return False
    return there.f_bavail * there.f_frsize < _SMALL_BYTES


def disk_error(path: Path, error: OSError) -> ApplianceError:
    """An error of the file system in words."""
    if error.errno in _FULL:
        return Unavailable(f"{path}: the disk is full; delete or move something, then try again", status=507)
    return BadFile(f"{path}: cannot be written ({error.strerror or error})")
