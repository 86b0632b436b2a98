# SPDX-License-Identifier: GPL-3.0-or-later
"""What will be heard, frame by frame of the engine, as long as it has not been given out; and what was, for a while."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


class Timeline:
    """Sound is added anywhere from ``head`` on and given out in order; nothing is taken back after that."""

    def __init__(self, head: int) -> None:
        self.head = head
        self._sound = np.zeros((1 << 18, 2), np.float32)
        self._at = 0  # of ``head``, in frames of ``_sound``

    def add(self, at: int, audio: Samples, fade: int = 0) -> None:
        """Add (frames, 2) from frame ``at`` on. What lies before ``head`` is left out; what is cut by that comes in over
        ``fade`` frames."""
        late = max(self.head - at, 0)
        audio = audio[late:]
        if not len(audio):
            return
        start = self._at + max(at - self.head, 0)
        end = start + len(audio)
        if end > len(self._sound):
            rest = self._sound[self._at :]
            start, end, self._at = start - self._at, end - self._at, 0
            self._sound = np.zeros((max(2 * end, len(self._sound)), 2), np.float32)
            self._sound[: len(rest)] = rest
        if late and fade:
            count = min(fade, len(audio))
            audio = audio.copy()
            audio[:count] *= (np.arange(count, dtype=np.float32) / np.float32(fade))[:, None]
        self._sound[start:end] += audio

    def cut(self, at: int, fade: int) -> None:
        """Nothing of what was added until now is heard from frame ``at`` on; it goes within ``fade`` frames before."""
        start = self._at + max(at - self.head, 0)
        begin = max(start - fade, self._at)
        fall = (np.arange(start - begin, 0, -1, dtype=np.float32) / np.float32(max(start - begin, 1)))[:, None]
        self._sound[begin:start] *= fall
        self._sound[start:] = 0.0

    def take(self, until: int) -> Samples:
        """What is heard from ``head`` to ``until``; (frames, 2), a copy."""
        count = max(until - self.head, 0)
        out = np.zeros((count, 2), np.float32)
        there = min(count, max(len(self._sound) - self._at, 0))
        out[:there] = self._sound[self._at : self._at + there]
        self._at += count
        self.head += count
        return out


class History:
    """The last ``frames`` frames that were given out."""

    def __init__(self, frames: int, head: int) -> None:
        self._ring = np.zeros((frames, 2), np.float32)
        self._begin = self._head = head

    def keep(self, audio: Samples) -> None:
        """(frames, 2), what comes next."""
        places = (self._head + np.arange(len(audio))) % len(self._ring)
        self._ring[places] = audio
        self._head += len(audio)
        self._begin = max(self._begin, self._head - len(self._ring))

    def holds(self, begin: int, end: int) -> bool:
        return self._begin <= begin and end <= self._head

    def read(self, begin: int, end: int) -> Samples:
        """A copy, (frames, 2); only of what it :meth:`holds`."""
        return self._ring[np.arange(begin, end) % len(self._ring)]
