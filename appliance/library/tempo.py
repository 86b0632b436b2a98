# SPDX-License-Identifier: GPL-3.0-or-later
"""The tempo of a loop from its length: the number of bars of four that gives the most plausible tempo."""

from __future__ import annotations

import math

LOWEST_BPM, HIGHEST_BPM = 70.0, 180.0
USUAL_BPM = 120.0
LONGEST_LOOP_S = 60.0
BEATS_IN_BAR = 4


def loop_tempo(frames: int, rate: float) -> tuple[float, float]:
    """``(bpm, beats)`` of a loop of ``frames`` at ``rate`` Hz; ``(0, 0)`` when its length speaks of no tempo.

    Loops are taken to be a power of two of bars. Of the tempos from 70 to 180 BPM the one nearest to 120 wins, measured
    as a ratio: 6.486 s are four bars at 148 rather than two at 74. What is shorter than a bar at 180 BPM is a hit, what is
    longer than a minute is a track; neither has a tempo here.
    """
    duration_s = frames / rate if rate > 0 else 0.0
    if not 0 < duration_s <= LONGEST_LOOP_S:
        return 0.0, 0.0
    bars = (2**power for power in range(8))
    tempos = ((bar * BEATS_IN_BAR * 60.0 / duration_s, float(bar * BEATS_IN_BAR)) for bar in bars)
    plausible = [(bpm, beats) for bpm, beats in tempos if LOWEST_BPM <= bpm <= HIGHEST_BPM]
    return min(plausible, key=lambda pair: abs(math.log(pair[0] / USUAL_BPM)), default=(0.0, 0.0))
