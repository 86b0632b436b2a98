# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop's grid: where a sixteenth lies in frames, and how a sound is laid there so that it wraps around the end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from appliance.gen.maths import sin_turns

Samples = NDArray[np.float32]
STEPS_PER_BEAT = 4


@dataclass(frozen=True, slots=True)
class Grid:
    """Length and groove of a loop. ``swing`` is the share of two sixteenths that the first one takes (0.5 is straight)."""

    frames: int
    sample_rate: int
    bars: int
    beats_per_bar: float
    swing: float = 0.5

    @property
    def beats(self) -> float:
        return self.bars * self.beats_per_bar

    @property
    def steps_per_bar(self) -> int:
        return round(self.beats_per_bar * STEPS_PER_BEAT)

    @property
    def steps(self) -> int:
        return round(self.beats * STEPS_PER_BEAT)

    @property
    def step_s(self) -> float:
        return self.frames / self.steps / self.sample_rate

    def frame(self, step: float) -> int:
        """The frame of a sixteenth counted from the start of the loop; the odd ones are moved by the swing."""
        if step == int(step) and int(step) % 2 == 1:
            step += 2 * self.swing - 1
        return round(step * self.frames / self.steps)

    def silence(self) -> Samples:
        return np.zeros((2, self.frames), np.float32)

    def beat_curve(self, curve: Samples) -> Samples:
        """``curve`` (one beat or a little longer) repeated on every beat; (frames,). Its last 4 ms close every beat."""
        result = np.empty(self.frames, np.float32)
        starts = [round(beat * self.frames / self.beats) for beat in range(math.ceil(self.beats))] + [self.frames]
        glide = int(0.004 * self.sample_rate)
        for start, end in zip(starts[:-1], starts[1:], strict=True):
            result[start:end] = curve[: end - start]
            if end - start > 2 * glide > 0:
                result[end - glide : end] = curve[len(curve) - glide :]
        return result

    @property
    def beat_frames(self) -> int:
        """Frames of one beat, rounded up: enough for any beat of the loop."""
        return math.ceil(self.frames / self.beats)


def lay(target: Samples, at_frame: int, sound: Samples, gain: float = 1.0, pan: float = 0.0) -> None:
    """Add ``sound`` ((n,) or (2, n)) to a loop at a frame, wrapped around its end. ``pan`` -1 … 1, equal power."""
    left, right = pan_gains(pan)
    gains = (np.float32(left * gain), np.float32(right * gain))
    frames = target.shape[1]
    at_frame %= frames
    stereo = sound.ndim == 2
    length = sound.shape[-1]
    done = 0
    while done < length:
        count = min(length - done, frames - at_frame)
        for side in (0, 1):
            piece = sound[side, done : done + count] if stereo else sound[done : done + count]
            target[side, at_frame : at_frame + count] += piece * gains[side]
        done += count
        at_frame = 0


@lru_cache(maxsize=1024)
def pan_gains(pan: float) -> tuple[float, float]:
    """Equal-power gains of the two sides, 1 and 1 in the middle."""
    angle = np.array([(1.0 - pan) / 8.0, (1.0 + pan) / 8.0])
    left, right = sin_turns(angle)
    return float(left) * 1.4142135623730951, float(right) * 1.4142135623730951


def euclid(hits: int, steps: int, turn: int = 0) -> list[int]:
    """Steps of ``hits`` spread as evenly as they go over ``steps`` (Euclidean rhythm, Toussaint 2005), rotated."""
    return sorted({(position * steps // max(hits, 1) + turn) % steps for position in range(hits)})
