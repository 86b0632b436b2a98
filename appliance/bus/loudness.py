# SPDX-License-Identifier: GPL-3.0-or-later
"""Formulas of ITU-R BS.1770-4 and EBU R128 that the engine's meter, control and the analysis of tracks share.

Integrated loudness (Tech 3341): mean of blocks of 400 ms, one each 100 ms, gated at -70 LUFS and 10 LU below the mean. Range
(Tech 3342): between the 10th and the 95th percentile of the short-term loudness, gated at -70 LUFS and 20 LU below the mean.
"""

from __future__ import annotations

import math

import numpy as np

_BLOCK, _SHORT_TERM = 4, 30
_FLOOR = 10 ** ((-70 + 0.691) / 10)


def k_weighting(rate: float) -> np.ndarray:
    """The two filters as b0 b1 b2 a1 a2, shape (2, 5).

    BS.1770-4's as analogue prototypes under the bilinear transform, so that any rate can be used (parameters after B. De Man,
    "Evaluation of Implementations of the EBU R128 Loudness Measurement", AES 2018).
    """
    gain, band = 10 ** (3.999843853973347 / 20), 0.4996667741545416
    rows: list[list[float]] = []
    for hz, quality, high, middle in ((1681.974450955533, 0.7071752369554196, gain, gain**band),
                                      (38.13547087602444, 0.5003270373238773, 1.0, 0.0)):
        k = math.tan(math.pi * hz / rate)
        a0 = 1 + k / quality + k * k
        a1, a2 = 2 * (k * k - 1) / a0, (1 - k / quality + k * k) / a0
        if middle:
            slope = middle * k / quality
            b = [(high + slope + k * k) / a0, 2 * (k * k - high) / a0, (high - slope + k * k) / a0]
        else:
            b = [1.0, -2.0, 1.0]  # the standard leaves the high-pass unscaled
        rows.append([*b, a1, a2])
    return np.array(rows)


def _means(steps: np.ndarray, width: int) -> np.ndarray:
    total = np.concatenate((np.zeros(1), np.cumsum(steps)))
    return (total[width:] - total[:-width]) / width if len(steps) >= width else np.zeros(0)


def integrated_lufs(steps: np.ndarray) -> float:
    """Of the weighted mean squares (both sides added) of tenths of a second; -inf when nothing was heard."""
    blocks = _means(steps, _BLOCK)
    heard = blocks[blocks > _FLOOR]
    if not len(heard):
        return -math.inf
    heard = heard[heard > heard.mean() * 0.1]
    return -0.691 + 10 * math.log10(heard.mean())


def range_lu(steps: np.ndarray) -> float:
    """Loudness range of the same."""
    blocks = _means(steps, _SHORT_TERM)
    heard = blocks[blocks > _FLOOR]
    if len(heard) < 2:
        return 0.0
    heard = heard[heard > heard.mean() * 0.01]
    low, high = np.percentile(10 * np.log10(heard), (10, 95))
    return float(high - low)
