# SPDX-License-Identifier: GPL-3.0-or-later
"""The one-knob filter. In the middle position it is out of the way, bit for bit."""

from __future__ import annotations

import math
from typing import Any

from appliance.engine.dsp.glide import glide, settle
from appliance.engine.dsp.vector import fused
from appliance.engine.jit import kernel, leaf

DEAD_ZONE = 0.01
DAMPING = 1.1
LOWEST_HZ = 20.0
SPAN = 1000.0
HIGHEST_SHARE = 0.45
UNHEARD = 1e-9
"""Share of a filter that runs, and is not heard yet."""


@kernel
def filter_coefficient(knob: float, rate: float) -> float:
    """tan(π f / rate) of the knob's cutoff: -1…0 low-pass 20 Hz…20 kHz, 0…1 high-pass 20 Hz…20 kHz, exponential."""
    hz = LOWEST_HZ * SPAN ** (1.0 + knob) if knob < 0.0 else LOWEST_HZ * SPAN**knob
    return math.tan(math.pi * min(hz, HIGHEST_SHARE * rate) / rate)


@kernel
def control_filter(svf: Any, knob: float, rate: float) -> None:
    """Once a cell: move an SVF record towards the knob. It fades out before it changes between low- and high-pass: to the dry
    sound when the knob is turned through the middle, to silence when it jumps over it, where both ends may be silent."""
    wanted = abs(knob) > DEAD_ZONE
    high = 1 if knob > 0.0 else 0
    if svf.crossing == 1 and svf.mix.end == 1.0:
        svf.crossing = 0
    elif wanted and svf.mix.end == 1.0 and svf.high != high:
        svf.crossing = 1
    if svf.crossing == 1 and not wanted:
        high = svf.high  # what has begun is ended first
        knob = (2.0 * DEAD_ZONE) if high == 1 else (-2.0 * DEAD_ZONE)
        wanted = True
    if wanted and svf.mix.end == 0.0:
        svf.high = high
        settle(svf.cutoff, filter_coefficient(knob, rate))
        settle(svf.mix, UNHEARD)  # for a cell: what an empty filter makes of the first frames is no sound
        for i in range(4):
            svf.z[i] = 0.0
        return
    if wanted and svf.high == high:
        if svf.cutoff.source != knob:
            svf.cutoff.source = knob
            svf.cutoff.goal = filter_coefficient(knob, rate)
        glide(svf.cutoff, svf.cutoff.goal)
        glide(svf.mix, 1.0)
    else:
        glide(svf.cutoff, svf.cutoff.end)
        glide(svf.mix, 0.0)


@kernel
def settle_filter(svf: Any, knob: float, rate: float) -> None:
    """Put the filter where the knob is, with a clean state: for a pad that starts."""
    svf.crossing = 0
    svf.high = 1 if knob > 0.0 else 0
    settle(svf.cutoff, filter_coefficient(knob, rate))
    settle(svf.mix, 1.0 if abs(knob) > DEAD_ZONE else 0.0)
    for i in range(4):
        svf.z[i] = 0.0


@leaf
def integrate(x: float, a1: float, a2: float, a3: float, a: float, b: float) -> tuple[float, float, float, float]:
    """High-, low-pass and the new integrators of one frame; few steps from one frame's state to the next one's.

    State-variable filter with trapezoidal integrators (V. Zavalishin, The Art of VA Filter Design, ch. 4).
    """
    rest = x - b
    bp = fused(a1, a, a2 * rest)
    up = fused(a2, a, a3 * rest)
    lp = b + up
    return fused(-DAMPING, bp, x - lp), lp, fused(2.0, bp, -a), lp + up


@leaf
def coefficients(g: float) -> tuple[float, float, float]:
    """The three factors of the filter whose cutoff is ``g``, tan(π f / rate)."""
    a1 = 1.0 / (1.0 + g * (g + DAMPING))
    return a1, g * a1, g * (g * a1)
