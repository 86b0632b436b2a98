# SPDX-License-Identifier: GPL-3.0-or-later
"""New sound goes into a loop, and what is kept of the loop is kept sample by sample."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from appliance.gen.conform import CEILING_DB
from appliance.gen.maths import decibels

Samples = NDArray[np.float32]
FADE_S = 0.01
_MOST_GAIN = 2.0


def splice(kept: Samples, made: Samples, regions: Sequence[tuple[int, int]], rate: int) -> Samples:
    """``kept`` (frames, 2) with ``made`` (frames, 2) in ``regions`` (begin, end in frames), where the two cross in 10 ms.

    Outside the regions the samples are those of ``kept``, so a loop still closes. ``made`` is brought to the level of ``kept``
    by what both play outside, and under the ceiling of all clips.
    """
    loop = kept.copy()
    outside = np.ones(len(kept), np.bool_)
    for begin, end in regions:
        outside[begin:end] = False
    level = gain(kept[outside], made[outside])
    inside = made[~outside]
    peak = float(np.abs(inside).max()) if inside.size else 0.0
    level = min(level, decibels(CEILING_DB) / peak) if peak > 0 else level
    for begin, end in regions:
        fade = max(min(int(FADE_S * rate), (end - begin) // 2), 1)
        share = np.ones((end - begin, 1), np.float32)
        rise = (0.5 - 0.5 * np.cos(np.pi * np.arange(fade) / fade)).astype(np.float32)[:, None]
        share[:fade] = rise
        share[-fade:] = rise[::-1]
        loop[begin:end] = kept[begin:end] * (1 - share) + made[begin:end] * (np.float32(level) * share)
    return loop


def gain(wanted: Samples, there: Samples) -> float:
    """By which ``there`` is as loud as ``wanted`` (RMS), within 6 dB; 1 where either is silent."""
    if not len(wanted) or not len(there):
        return 1.0
    ours, theirs = (math.sqrt(float(np.mean(np.square(sound, dtype=np.float64)))) for sound in (wanted, there))
    return min(max(ours / theirs, 1 / _MOST_GAIN), _MOST_GAIN) if min(ours, theirs) > 1e-4 else 1.0


def prolonged(loop: Samples, frames: int, rate: int) -> Samples:
    """A loop followed by itself up to ``frames``, with its own end at the end, so that it closes."""
    whole = np.resize(loop, (frames, 2))
    tail = min(int(FADE_S * rate), len(loop))
    whole[frames - tail :] = loop[len(loop) - tail :]
    return np.ascontiguousarray(whole, np.float32)
