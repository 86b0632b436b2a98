# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a clip drives: its course over time, and one number for all of it."""

from __future__ import annotations

import numpy as np

from appliance.library.analysis.onsets import Onsets

STEP_S = 0.5
_TENTHS = 5
_CALM_LUFS, _LOUD_LUFS = -34.0, -8.0
_STILL, _BUSY = -2.0, 0.0
"""Mean rise of the bands' levels a frame, as a power of ten: of a drone, and of everything at once."""
_DARK, _BRIGHT = 0.0, 0.25
"""Share of the power above 1 kHz."""
_WEIGHTS = (0.3, 0.5, 0.2)


def energy_curve(tenths: np.ndarray) -> tuple[float, ...]:
    """From the K-weighted mean squares of tenths of a second: how loud each half second sounds against the loudest, 0 … 1.

    Ten decibels less sound half as loud (S. S. Stevens, "The Measurement of Loudness", JASA 1955). Empty for silence.
    """
    if not len(tenths) or float(tenths.max()) <= 0:
        return ()
    padded = np.pad(tenths, (0, -len(tenths) % _TENTHS), constant_values=np.nan).reshape(-1, _TENTHS)
    power = np.nanmean(padded, axis=1)
    loud = (power / power.max()) ** np.log10(2.0)
    return tuple(round(float(value), 3) for value in loud)


def energy(lufs: float | None, onsets: Onsets, balance: tuple[float, ...]) -> float:
    """0 (a quiet drone) … 10 (everything at once): loudness, how much begins, how bright it is. ``lufs`` None: silence."""
    if lufs is None:
        return 0.0
    rise = float((onsets.low + onsets.middle + onsets.high).mean()) if len(onsets.low) else 0.0
    bright = _share(sum(balance[-2:]), _DARK, _BRIGHT) ** 0.5
    parts = (_share(lufs, _CALM_LUFS, _LOUD_LUFS), _share(float(np.log10(rise + 1e-6)), _STILL, _BUSY), bright)
    return 10.0 * sum(weight * part for weight, part in zip(_WEIGHTS, parts, strict=True))


def _share(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0)
