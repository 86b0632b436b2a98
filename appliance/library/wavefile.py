# SPDX-License-Identifier: GPL-3.0-or-later
"""A WAVE file that grows: readable at every moment, after SIGKILL, a full disk or a power cut, and over 4 GB (RF64).

The header is brought up to date again and again while the audio behind it grows; what had come after the last time is found by
:meth:`WaveFile.resume` from the file's length. Format: EBU Tech 3306 (RF64), Microsoft's RIFF WAVE below 4 GB.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Literal

import numpy as np

from appliance.errors import BadFile

Format = Literal["pcm24", "float32"]
HEADER_BYTES = 80
_BYTES = {"pcm24": 3, "float32": 4}
_TAG = {"pcm24": 1, "float32": 3}
_MOST_RIFF = 0xFFFFFFFF - 4096
_CHANNELS = 2


def header(format: Format, rate: int, data_bytes: int) -> bytes:
    """The first ``HEADER_BYTES`` of a file with so much audio."""
    width = _BYTES[format]
    frames, whole = data_bytes // (width * _CHANNELS), data_bytes + HEADER_BYTES - 8
    if whole <= _MOST_RIFF:
        begin = struct.pack("<4sI4s4sI28x", b"RIFF", whole, b"WAVE", b"JUNK", 28)
        size = data_bytes
    else:
        begin = struct.pack("<4sI4s4sIQQQI", b"RF64", 0xFFFFFFFF, b"WAVE", b"ds64", 28, whole, data_bytes, frames, 0)
        size = 0xFFFFFFFF
    frame = width * _CHANNELS
    shape = struct.pack("<4sIHHIIHH", b"fmt ", 16, _TAG[format], _CHANNELS, rate, rate * frame, frame, 8 * width)
    return begin + shape + struct.pack("<4sI", b"data", size)


def encode(audio: np.ndarray, format: Format) -> bytes:
    """Float32 frames × 2 as they stand in the file; 24 bits are clipped at full scale."""
    if format == "float32":
        return np.ascontiguousarray(audio, "<f4").tobytes()
    whole = np.clip(np.rint(audio.astype(np.float64) * 8388608.0), -8388608, 8388607).astype("<i4")
    return np.ascontiguousarray(whole.reshape(-1, 1).view(np.uint8)[:, :3]).tobytes()


class WaveFile:
    """``frames`` are in it. All methods but :meth:`close` raise OSError when the disk refuses; what is there stays readable."""

    def __init__(self, path: Path, rate: int, format: Format, *, resume: bool = False) -> None:
        self.path = path
        self.rate = rate
        self.format: Format = format
        self._width = _BYTES[format] * _CHANNELS
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (0 if resume else os.O_EXCL), 0o644)
        self.frames = max(os.fstat(self._file).st_size - HEADER_BYTES, 0) // self._width
        try:
            self.note()
        except OSError:
            os.close(self._file)
            raise

    @classmethod
    def resume(cls, path: Path) -> WaveFile:
        """Go on with a file that was not closed. Raises :class:`BadFile` when it is none of ours."""
        with path.open("rb") as file:
            begin = file.read(HEADER_BYTES)
        try:
            tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", begin, 56)
        except struct.error:
            raise BadFile(f"{path}: is no recording of this box") from None
        format: Format = "float32" if tag == 3 else "pcm24"
        if begin[:4] not in (b"RIFF", b"RF64") or begin[48:52] != b"fmt " or (channels, bits) != (2, 8 * _BYTES[format]):
            raise BadFile(f"{path}: is no recording of this box")
        return cls(path, rate, format, resume=True)

    @property
    def bytes(self) -> int:
        return HEADER_BYTES + self.frames * self._width

    def append(self, audio: np.ndarray) -> None:
        """All of it, or nothing."""
        body = memoryview(encode(audio, self.format))
        at, end = self.bytes, self.bytes + len(body)
        while at < end:
            written = os.pwrite(self._file, body[at - self.bytes :], at)
            at += written
        self.frames += len(audio)

    def note(self) -> None:
        """Bring the header up to date."""
        os.pwrite(self._file, header(self.format, self.rate, self.frames * self._width), 0)

    def sync(self) -> None:
        """Header and audio on the disk, whatever happens to the power."""
        self.note()
        os.fdatasync(self._file)

    def close(self) -> None:
        """Cut off what was not written in full."""
        try:
            os.ftruncate(self._file, self.bytes)
            self.sync()
        except OSError:
            pass  # the header of before stands
        finally:
            os.close(self._file)
