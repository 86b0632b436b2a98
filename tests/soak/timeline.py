# SPDX-License-Identifier: GPL-3.0-or-later
"""Which moment of the server's time a recorded cycle holds.

JACK's loopback driver hands over in a cycle what was played in the cycle before. So the sound of cycle k belongs to the
frame time of cycle k - 1, also where the server lost cycles between the two. Where the recorder itself missed a cycle that
the server had, it belongs to the frames just before cycle k: a gap in the frame time leaves two possibilities, and the
sound tells which.

The server wakes its clients before the loopback driver copies. A client that is quicker than the copy is heard a cycle
early, and the block before that is never copied: that happens once in some thousand cycles on a busy machine, and says
nothing of the client. So a cycle, or a part of one, that is exactly what belongs to cycle k itself counts as overtaken, not
as wrong, unless it goes on so. """

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOST_OVERTAKEN = 3
"""More cycles in a row that are early are an error of the grid."""
LOOPBACK_CYCLES = 1
"""By how many cycles the loopback driver is late."""
_WRAP = 1 << 32


@dataclass(frozen=True)
class Timeline:
    """One entry a cycle. ``frames``: its length; ``at``: where its sound begins in the recording; ``starts`` and
    ``others``: the two frame times at which its sound may have been played (equal where there was no gap); ``gaps``: frames
    that were lost before it (negative: the time went back)."""

    frames: np.ndarray
    at: np.ndarray
    times: np.ndarray
    starts: np.ndarray
    others: np.ndarray
    gaps: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)


def unwrapped(times: np.ndarray) -> np.ndarray:
    """Frame times (uint32 that wraps) as numbers that go on."""
    times = np.asarray(times, np.int64)
    steps = (np.diff(times) + _WRAP // 2) % _WRAP - _WRAP // 2
    return np.concatenate([times[:1], times[:1] + np.cumsum(steps)])


def timeline(times: np.ndarray, late_cycles: int = LOOPBACK_CYCLES) -> Timeline:
    """``times``: a row a cycle, its frame time and its length in frames first; ``late_cycles`` 0 for a plain client's
    recording."""
    frames = np.asarray(times[:, 1], np.int64)
    when = unwrapped(times[:, 0])
    gaps = np.zeros(len(when), np.int64)
    gaps[1:] = when[1:] - (when[:-1] + frames[:-1])
    starts = when - late_cycles * frames
    others = starts.copy()
    if late_cycles:
        starts[late_cycles:] = when[:-late_cycles]
    return Timeline(frames, np.concatenate([[0], np.cumsum(frames)[:-1]]).astype(np.int64), when, starts, others, gaps)


def overtaken(bad_cycles: np.ndarray, early_cycles: np.ndarray) -> np.ndarray:
    """Which of the cycles were only overtaken: ``bad_cycles`` have something wrong, of which all is right for a cycle later
    (``early_cycles``); and the run of them is short."""
    early = bad_cycles & early_cycles
    found = np.zeros_like(early)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], early, [False]]).astype(np.int8)))
    for begin, end in edges.reshape(-1, 2):
        if end - begin <= MOST_OVERTAKEN:
            found[begin:end] = True
    return found
