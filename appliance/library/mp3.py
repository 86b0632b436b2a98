# SPDX-License-Identifier: GPL-3.0-or-later
"""MP3 files that do not say how long they are, and damaged ones: their whole frames alone, behind a header that counts them.

The decoder guesses the length of a file without such a header from its first frame, and would end a file of variable bit rate
where the guess ends; of a file with rubbish in it, it would read nothing behind that.
Frame headers: ISO/IEC 11172-3 and 13818-3, and MPEG 2.5; the header that counts is Xing's.
"""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from pathlib import Path
from typing import NamedTuple

HEAD_BYTES = 4
_KBITS = {
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""By bit rate index less one, of MPEG 1 and of the later ones; layer III."""
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_MONO = 3
_COUNTED = 4 + 4 + 4
"""A mark, flags, the number of frames."""


class Frame(NamedTuple):
    """What a frame's header says. ``kind`` is the same in all frames of a file: version, sample rate."""

    length: int
    kind: tuple[int, int]
    side: int
    """Bytes between the header and where a mark may stand."""


def frame_at(data: bytes, at: int) -> Frame | None:
    """The frame whose header is there; None when there is none, or of a free bit rate."""
    head = data[at : at + HEAD_BYTES]
    if len(head) < HEAD_BYTES or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version, bits, rate = (head[1] >> 3) & 3, head[2] >> 4, (head[2] >> 2) & 3
    if version == 1 or rate == 3 or not 1 <= bits <= 14:
        return None
    first = version == 3
    mono = head[3] >> 6 == _MONO
    hz = _RATES[version][rate]
    length = (144 if first else 72) * 1000 * _KBITS[first][bits - 1] // hz + ((head[2] >> 1) & 1)
    return Frame(length, (version, hz), (17 if mono else 32) if first else (9 if mono else 17))


def is_counted(path: Path) -> bool:
    """Whether the file says how many frames it has."""
    with path.open("rb") as file:
        file.seek(_tag_bytes(file.read(10)))
        data = file.read(1 << 16)
    at = _next_frame(data, 0, None)
    frame = frame_at(data, at) if at >= 0 else None
    if frame is None:
        return False
    mark = at + HEAD_BYTES + frame.side
    return data[mark : mark + 4] in (b"Xing", b"Info") or data[at + 36 : at + 40] == b"VBRI"


def whole_frames(path: Path) -> io.BufferedReader:
    """The file as it should be, to be read. Raises OSError, and ValueError where there are no frames in it."""
    return io.BufferedReader(_WholeFrames(path))


class _WholeFrames(io.RawIOBase):
    def __init__(self, path: Path) -> None:
        super().__init__()
        data = path.read_bytes()
        self._runs = _runs(data)
        if not self._runs:
            raise ValueError(f"{path}: no frames")
        self._pieces = [_counting(data, self._runs), *(data[run[0] : run[1]] for run in self._runs)]
        self._starts = [0]
        for piece in self._pieces:
            self._starts.append(self._starts[-1] + len(piece))
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._starts[-1]}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        number = bisect_right(self._starts, self._at) - 1
        if number >= len(self._pieces):
            return 0
        within = self._at - self._starts[number]
        taken = self._pieces[number][within : within + len(buffer)]
        buffer[: len(taken)] = taken
        self._at += len(taken)
        return len(taken)


def _tag_bytes(head: bytes) -> int:
    """Length of an ID3v2 tag at the beginning."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    a, b, c, d = head[6:10]
    return 10 + (a << 21 | b << 14 | c << 7 | d) + (10 if head[5] & 0x10 else 0)


def _next_frame(data: bytes, at: int, kind: tuple[int, int] | None) -> int:
    """Where the next frame begins that another one follows, or the end of the file; -1: nowhere."""
    while (at := data.find(b"\xff", at)) >= 0:
        frame = frame_at(data, at)
        if frame and kind in (None, frame.kind):
            then = at + frame.length
            after = frame_at(data, then)
            if then == len(data) or (after and after.kind == frame.kind):
                return at
        at += 1
    return -1


def _runs(data: bytes) -> list[tuple[int, int, int]]:
    """Begin, end and number of frames of what follows each other without a gap; frames that are cut off are left out. A
    header that counts is left out too."""
    runs: list[tuple[int, int, int]] = []
    at = _next_frame(data, _tag_bytes(data[:10]), None)
    first = frame_at(data, at) if at >= 0 else None
    if first is None:
        return runs
    if data[(mark := at + HEAD_BYTES + first.side) : mark + 4] in (b"Xing", b"Info") or data[at + 36 : at + 40] == b"VBRI":
        at += first.length
    while at >= 0:
        begin, count = at, 0
        while (frame := frame_at(data, at)) and frame.kind == first.kind and at + frame.length <= len(data):
            at += frame.length
            count += 1
        if count:
            runs.append((begin, at, count))
        at = _next_frame(data, max(at, begin + 1), first.kind)
    return runs


def _counting(data: bytes, runs: list[tuple[int, int, int]]) -> bytes:
    """A frame of silence that says how many come after it."""
    begin = runs[0][0]
    frame = frame_at(data, begin)
    assert frame is not None
    bits = 9 << 4
    head = bytes((data[begin], data[begin + 1] | 1, bits | (data[begin + 2] & 0x0C), data[begin + 3]))
    made = frame_at(head, 0)
    assert made is not None
    count = struct.pack(">4sII", b"Xing", 1, sum(run[2] for run in runs))
    return (head + bytes(made.side) + count).ljust(made.length, b"\0")
