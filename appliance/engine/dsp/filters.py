# SPDX-License-Identifier: GPL-3.0-or-later
"""The one-knob filter and the three-band isolator of a strip. In the middle position both are out of the way, bit for bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from appliance.engine.dsp.glide import glide, is_off, settle
from appliance.engine.jit import kernel, leaf

DEAD_ZONE = 0.01
DAMPING = 1.1
LOWEST_HZ = 20.0
SPAN = 1000.0
HIGHEST_SHARE = 0.45


@kernel
def filter_coefficient(knob: float, rate: float) -> float:
    """tan(π f / rate) of the knob's cutoff: -1…0 low-pass 20 Hz…20 kHz, 0…1 high-pass 20 Hz…20 kHz, exponential."""
    hz = LOWEST_HZ * SPAN ** (1.0 + knob) if knob < 0.0 else LOWEST_HZ * SPAN**knob
    return math.tan(math.pi * min(hz, HIGHEST_SHARE * rate) / rate)


@kernel
def control_filter(svf: Any, knob: float, rate: float) -> None:
    """Once a cell: move an SVF record towards the knob. It fades out before it changes between low- and high-pass."""
    wanted = abs(knob) > DEAD_ZONE
    high = 1 if knob > 0.0 else 0
    if wanted and is_off(svf.mix):
        svf.high = high
        settle(svf.cutoff, filter_coefficient(knob, rate))
        for i in range(4):
            svf.z[i] = 0.0
    if wanted and svf.high == high:
        glide(svf.cutoff, filter_coefficient(knob, rate))
        glide(svf.mix, 1.0)
    else:
        glide(svf.cutoff, svf.cutoff.end)
        glide(svf.mix, 0.0)


@kernel
def settle_filter(svf: Any, knob: float, rate: float) -> None:
    """Put the filter where the knob is, with a clean state: for a pad that starts."""
    svf.high = 1 if knob > 0.0 else 0
    settle(svf.cutoff, filter_coefficient(knob, rate))
    settle(svf.mix, 1.0 if abs(knob) > DEAD_ZONE else 0.0)
    for i in range(4):
        svf.z[i] = 0.0


@kernel
def run_filter(svf: Any, left: np.ndarray, right: np.ndarray, start: int, count: int) -> None:
    """Filter ``count`` frames from ``start`` in place.

    State-variable filter with trapezoidal integrators (V. Zavalishin, The Art of VA Filter Design, ch. 4).
    """
    if is_off(svf.mix):
        return
    g, g_step = svf.cutoff.now, svf.cutoff.step
    mix, mix_step = svf.mix.now, svf.mix.step
    a, b, c, d = svf.z[0], svf.z[1], svf.z[2], svf.z[3]
    high = svf.high == 1
    for i in range(start, start + count):
        g += g_step
        mix += mix_step
        scale = 1.0 / (1.0 + g * (g + DAMPING))
        x = np.float64(left[i])
        hp = (x - (DAMPING + g) * a - b) * scale
        bp = g * hp + a
        lp = g * bp + b
        a = g * hp + bp
        b = g * bp + lp
        left[i] = np.float32(x + mix * ((hp if high else lp) - x))
        x = np.float64(right[i])
        hp = (x - (DAMPING + g) * c - d) * scale
        bp = g * hp + c
        lp = g * bp + d
        c = g * hp + bp
        d = g * bp + lp
        right[i] = np.float32(x + mix * ((hp if high else lp) - x))
    svf.cutoff.now, svf.mix.now = g, mix
    svf.z[0], svf.z[1], svf.z[2], svf.z[3] = a, b, c, d


@leaf
def _section(x: float, k0: float, k1: float, k2: float, k3: float, k4: float, z: np.ndarray, at: int) -> float:
    """One second-order section, transposed direct form II, state in ``z[at]``, ``z[at + 1]``."""
    y = k0 * x + z[at]
    z[at] = k1 * x - k3 * y + z[at + 1]
    z[at + 1] = k2 * x - k4 * y
    return y


@kernel
def _isolate_side(
    strip: Any, k: np.ndarray, side: np.ndarray, start: int, count: int, at: int, keep: bool
) -> None:
    z = strip.z
    a0, a1, a2, a3, a4 = k[0, 0], k[0, 1], k[0, 2], k[0, 3], k[0, 4]
    b0, b1, b2, b3, b4 = k[1, 0], k[1, 1], k[1, 2], k[1, 3], k[1, 4]
    c0, c1, c2, c3, c4 = k[2, 0], k[2, 1], k[2, 2], k[2, 3], k[2, 4]
    d0, d1, d2, d3, d4 = k[3, 0], k[3, 1], k[3, 2], k[3, 3], k[3, 4]
    low, mid, high, mix = strip.low.now, strip.mid.now, strip.high.now, strip.eq_mix.now
    low_step, mid_step, high_step, mix_step = strip.low.step, strip.mid.step, strip.high.step, strip.eq_mix.step
    for i in range(start, start + count):
        low += low_step
        mid += mid_step
        high += high_step
        mix += mix_step
        x = np.float64(side[i])
        bass = _section(_section(x, a0, a1, a2, a3, a4, z, at), a0, a1, a2, a3, a4, z, at + 2)
        rest = _section(_section(x, b0, b1, b2, b3, b4, z, at + 4), b0, b1, b2, b3, b4, z, at + 6)
        body = _section(_section(rest, c0, c1, c2, c3, c4, z, at + 8), c0, c1, c2, c3, c4, z, at + 10)
        air = _section(_section(rest, d0, d1, d2, d3, d4, z, at + 12), d0, d1, d2, d3, d4, z, at + 14)
        side[i] = np.float32(x + mix * (bass * low + body * mid + air * high - x))
    if keep:
        strip.low.now, strip.mid.now, strip.high.now, strip.eq_mix.now = low, mid, high, mix


@kernel
def run_isolator(strip: Any, coefficients: np.ndarray, left: np.ndarray, right: np.ndarray, start: int, count: int) -> None:
    """Weigh the three bands of a CHANNEL_STATE in place; out of the way while all bands are at 0 dB."""
    if is_off(strip.eq_mix):
        return
    _isolate_side(strip, coefficients, left, start, count, 0, False)
    _isolate_side(strip, coefficients, right, start, count, 16, True)
