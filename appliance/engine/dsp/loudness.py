# SPDX-License-Identifier: GPL-3.0-or-later
"""Loudness of the master by ITU-R BS.1770-4 and EBU R128: each tenth of a second, momentary and short-term; and the true peak.

The energies of the tenths stand in shared memory by their number since frame 0, for as long as a night lasts; whoever wants the
integrated loudness gates them (control does). The filters are :mod:`appliance.bus.loudness`'s.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import carray

from appliance.bus import layout
from appliance.bus.atomic import pointer, store_release
from appliance.bus.layout import LOUDNESS_STEPS
from appliance.engine.dsp.sinc import PHASES, TAPS
from appliance.engine.dsp.vector import fused
from appliance.engine.jit import kernel

_RING, _HEAD = layout.offset("loudness"), layout.offset("loudness_head")
MOMENTARY_STEPS, SHORT_TERM_STEPS = 4, 30
LOWEST_LUFS = -70.0
_MOST_OVER = 1.5
"""The curve of music goes over its samples by 3.5 dB at most."""
_LISTEN_FROM = 0.25
"""Blocks whose samples stay below have no true peak that matters; it is told as the sample peak."""


@kernel
def weighted_energy(ctx: Any, state: np.ndarray, left: np.ndarray, right: np.ndarray) -> float:
    """Sum of squares of the weighted audio; ``state`` (2, 4) is the filters'. Both sides in one loop: each waits for itself,
    not for the other."""
    total = other = 0.0
    s, h = ctx.k_weighting[0], ctx.k_weighting[1]
    s0, s1, s2, s3, s4, h0, h1, h2, h3, h4 = s[0], s[1], s[2], s[3], s[4], h[0], h[1], h[2], h[3], h[4]
    z, q = state[0], state[1]
    a, b, c, d = z[0], z[1], z[2], z[3]
    e, f, g, k = q[0], q[1], q[2], q[3]
    for i in range(len(left)):
        x, p = np.float64(left[i]), np.float64(right[i])
        y, r = fused(s0, x, a), fused(s0, p, e)
        a, e = fused(s1, x, fused(-s3, y, b)), fused(s1, p, fused(-s3, r, f))
        b, f = fused(s2, x, -s4 * y), fused(s2, p, -s4 * r)
        w, v = fused(h0, y, c), fused(h0, r, g)
        c, g = fused(h1, y, fused(-h3, w, d)), fused(h1, r, fused(-h3, v, k))
        d, k = fused(h2, y, -h4 * w), fused(h2, r, -h4 * v)
        total = fused(w, w, total)
        other = fused(v, v, other)
    z[0], z[1], z[2], z[3] = a, b, c, d
    q[0], q[1], q[2], q[3] = e, f, g, k
    return total + other


@kernel
def run_loudness(ctx: Any, mixer: Any, frame: int, left: np.ndarray, right: np.ndarray) -> None:
    """Hear a span of the master whose first frame is ``frame``."""
    step = int(ctx.rate / 10.0)
    at = 0
    while at < len(left):
        count = min(len(left) - at, step - (frame + at) % step)
        mixer.k_sum += weighted_energy(ctx, mixer.k_z, left[at : at + count], right[at : at + count])
        at += count
        if (frame + at) % step == 0:
            _end_step(ctx, mixer, (frame + at) // step, step)


@kernel
def _end_step(ctx: Any, mixer: Any, number: int, frames: int) -> None:
    """A tenth of a second is over; ``number`` of them since frame 0."""
    ring = carray(pointer(ctx.base + _RING), (LOUDNESS_STEPS,), np.float64)
    ring[(number - 1) & (LOUDNESS_STEPS - 1)] = mixer.k_sum / frames
    store_release(ctx.base + _HEAD, number)
    mixer.k_sum = 0.0
    mixer.momentary = _lufs(ring, number, MOMENTARY_STEPS)
    mixer.short_term = _lufs(ring, number, SHORT_TERM_STEPS)


@kernel
def _lufs(ring: np.ndarray, number: int, steps: int) -> float:
    total = 0.0
    for i in range(min(steps, number)):
        total += ring[(number - 1 - i) & (LOUDNESS_STEPS - 1)]
    mean = total / steps
    return max(-0.691 + 10.0 * math.log10(mean), LOWEST_LUFS) if mean > 1e-8 else LOWEST_LUFS


@kernel
def true_peak(ctx: Any, history: np.ndarray, audio: np.ndarray, held: float) -> float:
    """The highest point of the curve through the samples, at four times the rate, or ``held`` when that is higher.
    ``history``: the last samples of before. Where no sample is near ``held``, no point between them is above it."""
    count, line, curve = len(audio), ctx.peak_line, ctx.peak_curve
    for i in range(TAPS - 1):
        line[i] = np.float32(history[i])
    for i in range(count):
        line[TAPS - 1 + i] = audio[i]
    for i in range(TAPS - 1):
        history[i] = np.float64(line[count + i])
    peak = np.float32(0.0)
    for i in range(TAPS - 1 + count):
        peak = max(peak, abs(line[i]))
    highest = max(held, np.float64(peak))
    if peak < _LISTEN_FROM or peak * _MOST_OVER < held:
        return highest
    for phase in range(3):
        weights = ctx.sinc[0, (phase + 1) * (PHASES // 4)]
        for i in range(count):
            curve[i] = np.float32(0.0)
        for tap in range(TAPS):
            weight, span = weights[2 * tap], line[tap : tap + count]
            for i in range(count):
                curve[i] = fused(weight, span[i], curve[i])
        for i in range(count):
            highest = max(highest, abs(np.float64(curve[i])))
    return highest
