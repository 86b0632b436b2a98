# SPDX-License-Identifier: GPL-3.0-or-later
"""Clips too long for memory: windows of a file on the disk, locked round the playheads by the helper thread.

A window is published to the callback (:mod:`appliance.engine.dsp.windows`) after its pages are locked. One that is no longer
wanted is withdrawn first and unlocked ``GRACE_S`` later, when no block that could have read it still runs. Both engines follow
the committed state, so the standby holds what the playing one holds.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import mmap
import os
import time
from collections.abc import Iterator

import numpy as np

from appliance.bus import atomic
from appliance.bus.memory import FOLDER
from appliance.bus.streamfile import BLOCK_BYTES, BLOCK_FRAMES
from appliance.engine.dsp.windows import WINDOWS
from appliance.nodes.deck import HOT_CUES

log = logging.getLogger(__name__)

AROUND_S = 30
"""Held back and ahead of a playhead."""
PIECE_S = 3
"""Locked at a time, outward from the playhead: a jump elsewhere need not wait for more."""
MARK_S = 2
"""Held from the cue point, a loop's start and the file's first frame on."""
BEFORE_S = 0.2
GRACE_S = 0.5
STEP_S = 0.006
"""Time for one look, when much has to be locked; the rest comes with the next."""
RETRY_S = 1.0
_POPULATE_READ = 22
_LIBC = ctypes.CDLL(None, use_errno=True)

Span = tuple[int, int]
"""First block and the one past the last."""
Seconds = tuple[int, ...]
Places = tuple[Seconds, Seconds, Seconds]


class Stream:
    """A clip that streams, as this process has it. ``row``: its ``WINDOWS`` words; ``address``: of its first frame."""

    def __init__(self, name: str, handle: int, rate: float, row: np.ndarray) -> None:
        """Map it. Raises OSError."""
        self.name = name
        self.handle = handle
        self._rate = rate
        self._row = row
        descriptor = os.open(FOLDER / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            self._map = mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ)
        finally:
            os.close(descriptor)
        self.address = int(np.frombuffer(self._map, np.uint8).ctypes.data)
        self._system("munlock", 0, size // BLOCK_BYTES)  # a process that locks all it maps need not lock all of this
        self._locked = np.zeros(size // BLOCK_BYTES, bool)
        self._leaving = np.zeros_like(self._locked)
        self._leave_at = self._retry_at = 0.0
        self._at: Places = ((), (), ())
        self._complete = False
        self._warned = False

    def close(self) -> None:
        """No voice reads it any more."""
        for place in range(WINDOWS):
            self._put(place, 0)
        try:
            self._map.close()
        except BufferError:
            log.debug("%s is still looked at", self.name)

    def follow(self, state: np.ndarray, patience_s: float = STEP_S) -> None:
        """Lock what the committed ``state`` wants and let go of what it does not want any more."""
        now = time.monotonic()
        places = self._places(state[0])
        if places == self._at and self._complete and not self._leave_at:
            return
        self._at = places
        wants = list(self._wanted(*places))
        wanted = np.zeros_like(self._locked)
        for first, last in wants:
            wanted[first:last] = True
        self._lock(wants, now + patience_s)
        self._complete = bool(self._locked[wanted].all())
        self._publish(self._locked & wanted)
        self._leaving &= ~wanted
        if self._leave_at and now >= self._leave_at:
            self._unlock(self._leaving)
            self._leave_at = 0.0
        if not self._leave_at and (unwanted := self._locked & ~wanted).any():
            self._leaving, self._leave_at = unwanted, now + GRACE_S

    # -- what should be there

    def _places(self, state: np.void) -> Places:
        """Where it plays, where it rings out and where a deck may jump to, in whole seconds: the windows move once a second."""
        heads: list[int] = []
        tails: list[int] = []
        marks: list[int] = []
        for number, deck in enumerate(state["deck"]):
            if int(deck["clip"]) == self.handle:
                heads.append(self._second(deck["main"]["position"]))
                marks += [int(second) for second in _marks_s(state["values"], number)]
                if deck["away"]:
                    marks.append(self._second(deck["ghost"]))
            tails += [self._second(tail["position"]) for tail in deck["tail"] if int(tail["clip"]) == self.handle]
        return tuple(heads), tuple(tails), tuple(marks)

    def _second(self, frame: float) -> int:
        return int(max(frame, 0.0) / self._rate)

    def _wanted(self, heads: Seconds, tails: Seconds, marks: Seconds) -> Iterator[Span]:
        """Spans in the order in which they are needed: what is heard next, the places that are jumped to, the rest."""
        for head in heads:
            yield self._span(head, PIECE_S)
            yield self._span(head - PIECE_S, PIECE_S)
        for tail in tails:
            yield self._span(tail - 1, 2)
        for mark in (0, *marks):
            yield self._span(mark - BEFORE_S, MARK_S + BEFORE_S)
        for away in range(PIECE_S, AROUND_S, PIECE_S):
            for head in heads:
                yield self._span(head + away, PIECE_S)
                yield self._span(head - away - PIECE_S, PIECE_S)

    def _span(self, begin_s: float, length_s: float) -> Span:
        """Blocks of a length from anywhere in a second on."""
        first = int(begin_s * self._rate) // BLOCK_FRAMES
        last = int((begin_s + length_s + 1.0) * self._rate) // BLOCK_FRAMES + 1
        return max(first, 0), max(min(last, len(self._locked)), 0)

    # -- memory

    def _lock(self, wants: list[Span], until: float) -> None:
        now = time.monotonic()
        if now < self._retry_at:
            return
        for wanted_first, wanted_last in wants:
            for first, last in _runs(~self._locked[wanted_first:wanted_last]):
                if not self._hold(wanted_first + first, wanted_first + last):
                    self._retry_at = now + RETRY_S
                    return
                self._locked[wanted_first + first : wanted_first + last] = True
                if time.monotonic() > until:
                    return

    def _hold(self, first: int, last: int) -> bool:
        """Bring blocks into memory and keep them there; False when the disk does not give them."""
        if self._system("mlock", first, last):
            return True
        if self._madvise(first, last, _POPULATE_READ):  # the limit on locked memory: at least it is there now
            self._warn("cannot be locked in memory (limit reached); raise LimitMEMLOCK, see `appliance doctor`")
            return True
        if ctypes.get_errno() == errno.EINVAL:  # a kernel before 5.14
            np.frombuffer(self._map, np.uint8)[first * BLOCK_BYTES : last * BLOCK_BYTES : mmap.PAGESIZE].sum()
            return True
        self._warn("cannot be read from the disk in parts; they are silent")
        return False

    def _unlock(self, blocks: np.ndarray) -> None:
        for first, last in _runs(blocks):
            self._system("munlock", first, last)
            self._madvise(first, last, mmap.MADV_DONTNEED)
        self._locked &= ~blocks

    def _system(self, call: str, first: int, last: int) -> bool:
        address = ctypes.c_void_p(self.address + first * BLOCK_BYTES)
        return getattr(_LIBC, call)(address, ctypes.c_size_t((last - first) * BLOCK_BYTES)) == 0

    def _madvise(self, first: int, last: int, advice: int) -> bool:
        address = ctypes.c_void_p(self.address + first * BLOCK_BYTES)
        return _LIBC.madvise(address, ctypes.c_size_t((last - first) * BLOCK_BYTES), ctypes.c_int(advice)) == 0

    def _warn(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("%s: %s", self.name, what)

    # -- telling the callback

    def _publish(self, blocks: np.ndarray) -> None:
        """Make the windows be these blocks: new ones first, then those that move, last those that go, so that what stays is
        covered at every moment."""
        spans = _runs(blocks)
        if len(spans) > WINDOWS:
            spans = sorted(spans, key=lambda span: span[0] - span[1])[:WINDOWS]
        now = [_unpacked(int(word)) for word in self._row]
        places: dict[int, Span] = {}
        fresh: list[Span] = []
        for span in spans:
            near = [p for p in range(WINDOWS) if p not in places and now[p][0] < span[1] and span[0] < now[p][1]]
            if near:
                places[max(near, key=lambda p: min(now[p][1], span[1]) - max(now[p][0], span[0]))] = span
            else:
                fresh.append(span)
        empty = [p for p in range(WINDOWS) if now[p] == (0, 0)]
        later = [p for p in range(WINDOWS) if p not in places and p not in empty]
        for span in fresh:
            place = (empty or later).pop()
            self._put(place, _packed(span))
        moved = {place: span for place, span in places.items() if now[place] != span}
        for place, span in moved.items():  # they overlap, and both are locked
            self._put(place, _packed((min(now[place][0], span[0]), max(now[place][1], span[1]))))
        for place, span in moved.items():
            self._put(place, _packed(span))
        for place in later:
            self._put(place, 0)

    def _put(self, place: int, word: int) -> None:
        atomic.write(int(self._row.ctypes.data) + 8 * place, word)


def _marks_s(values: np.void, deck: int) -> list[float]:
    """Places that a deck may jump to, in seconds: cue point, loop, hot cues."""
    mine = values["deck"][deck]
    loop = [mine["loop_begin"], mine["loop_end"]] if mine["loop_end"] > 0.0 else []
    hot = [at for at in values["hotcue"]["at"][deck * HOT_CUES : (deck + 1) * HOT_CUES] if at >= 0.0]
    return [mine["cue_at"], *loop, *hot]


def _packed(span: Span) -> int:
    return span[0] << 32 | span[1]


def _unpacked(word: int) -> Span:
    return word >> 32, word & 0xFFFFFFFF


def _runs(blocks: np.ndarray) -> list[Span]:
    """The stretches of a mask that are set."""
    edges = np.flatnonzero(np.diff(blocks, prepend=False, append=False))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
