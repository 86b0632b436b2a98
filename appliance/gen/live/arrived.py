# SPDX-License-Identifier: GPL-3.0-or-later
"""What a maker elsewhere has sent and was not played yet, and bars cut out of it.

Its beats are found once, when it is let in, and laid on the clock's; from then on bar follows bar without a gap. It is let in
when a bar and the reserve are there, and is out when a bar is not: so jitter within the reserve is never heard.
"""

from __future__ import annotations

import math
import threading

import numpy as np
from numpy.typing import NDArray

from appliance.gen.conform import find_downbeat
from appliance.gen.live.bars import Place, faded

Samples = NDArray[np.float32]
RATE = 48_000
MOST_STRETCH = 0.03
"""By so much its tempo may differ from the clock's: it is played so much faster or slower, pitch and all."""
_MARGIN = 256


class Arrived:
    """Filled by one thread, emptied by another. ``tempo`` is what it is played in, BPM; ``rate`` that of the bars."""

    def __init__(self, rate: int, reserve_s: float) -> None:
        self._rate = rate
        self._reserve = round(reserve_s * RATE)
        self._lock = threading.Lock()
        self._sound = np.zeros((0, 2), np.float32)
        self._place = 0.0  # of the next bar, in frames of ``_sound``
        self._inside = False
        self.tempo = 0.0
        self.needed_s = 4.0
        """What has to be there for it to be let in."""

    @property
    def seconds(self) -> float:
        """What is there."""
        with self._lock:
            return max(len(self._sound) - self._place, 0.0) / RATE

    def add(self, audio: Samples) -> None:
        """(frames, 2) at 48 kHz."""
        with self._lock:
            self._sound = np.concatenate((self._sound, audio))

    def flush(self, tempo: float) -> None:
        """What is there is of no use any more; what comes is in this tempo."""
        with self._lock:
            self._sound, self._place, self._inside = np.zeros((0, 2), np.float32), 0.0, False
            self.tempo = tempo

    def has(self, place: Place, bpm: float) -> bool:
        """Whether :meth:`bar` would give one."""
        with self._lock:
            return self._has(self._length(place, bpm), place)

    def bar(self, place: Place, bpm: float, fade: int) -> Samples | None:
        """The next bar and ``fade`` frames more, (frames, 2), faded at both ends; None when it is not all there."""
        with self._lock:
            length = self._length(place, bpm)
            if not self._has(length, place):
                self._inside = False
                return None
            if not self._inside:
                self._let_in(length, place)
                if not self._inside:
                    return None
            out = self._cut(length, place.frames, fade)
            self._place += length
            done = max(int(self._place) - _MARGIN, 0)
            self._sound, self._place = self._sound[done:].copy(), self._place - done
            return np.ascontiguousarray(faded(np.ascontiguousarray(out.T), fade).T)

    def _length(self, place: Place, bpm: float) -> float:
        """Frames at 48 kHz that a bar takes of it; 0 when its tempo is too far away."""
        if not self.tempo:
            return 0.0
        beats = place.beats * folded(bpm)[1]
        length = beats * 60.0 / self.tempo * RATE
        apart = (length / RATE) / (place.frames / self._rate) - 1.0
        return length if abs(apart) <= MOST_STRETCH else 0.0

    def _has(self, length: float, place: Place) -> bool:
        there = len(self._sound) - self._place
        need = length + 2 * _MARGIN + 0.05 * RATE
        to_begin = need + self._reserve + length / place.beats
        self.needed_s = to_begin / RATE
        return length > 0 and there >= (need if self._inside else to_begin)

    def _let_in(self, length: float, place: Place) -> None:
        """From its first beat on; what is more than the reserve asks for is old, and left out."""
        keep = length + self._reserve + length / place.beats + 2 * _MARGIN + 0.05 * RATE
        first = int(max(len(self._sound) - keep, 0))
        beat = find_downbeat(self._sound[first:], RATE, self.tempo, math.ceil(place.beats), whole=False)
        self._place = float(first + beat)
        self._inside = True
        self._inside = self._has(length, place)

    def _cut(self, length: float, frames: float, fade: int) -> Samples:
        first, wanted = round(self._place), round(frames) + fade
        ratio = frames / length
        if abs(ratio - 1.0) < 1e-6:
            return self._sound[first : first + wanted].copy()
        import soxr

        before = min(first, _MARGIN)
        piece = self._sound[first - before : first + math.ceil(wanted / ratio) + _MARGIN]
        out = np.asarray(soxr.resample(piece, RATE, RATE * ratio, quality="HQ"), np.float32)
        skip = round(before * ratio)
        out = out[skip : skip + wanted]
        return np.concatenate((out, np.zeros((wanted - len(out), 2), np.float32)))


LOWEST_BPM, HIGHEST_BPM = 60.0, 200.0


def folded(bpm: float) -> tuple[float, float]:
    """The tempo, doubled or halved into what Lyria plays, and by which factor."""
    factor = 1.0
    while bpm * factor < LOWEST_BPM:
        factor *= 2
    while bpm * factor > HIGHEST_BPM:
        factor /= 2
    return bpm * factor, factor
