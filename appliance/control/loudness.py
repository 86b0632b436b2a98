# SPDX-License-Identifier: GPL-3.0-or-later
"""Integrated loudness and loudness range of the set so far, from the tenths of a second that the engine has measured.

EBU R128 (Tech 3341): mean of blocks of 400 ms, one each 100 ms, gated at -70 LUFS and 10 LU below the mean. Range (Tech 3342):
between the 10th and the 95th percentile of the short-term loudness, gated at -70 LUFS and 20 LU below the mean.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np

from appliance.bus import atomic, layout
from appliance.bus.memory import PrivateSegment, Segment
from appliance.control.desk import Desk
from appliance.namespace import Address

EVERY_S = 1.0
_BLOCK, _SHORT_TERM = 4, 30
_FLOOR = 10 ** ((-70 + 0.691) / 10)


def steps_since(segment: Segment | PrivateSegment, first: int) -> np.ndarray:
    """Mean squares of the tenths from number ``first`` on; the oldest that are still there when there are more."""
    head = int(atomic.read(segment.address + layout.offset("loudness_head")))
    ring = segment.view(np.float64, layout.LOUDNESS_STEPS, layout.offset("loudness"))
    first = max(first, head - layout.LOUDNESS_STEPS + 1, 0)
    return ring[np.arange(first, head) & (layout.LOUDNESS_STEPS - 1)]


def _means(steps: np.ndarray, width: int) -> np.ndarray:
    total = np.concatenate((np.zeros(1), np.cumsum(steps)))
    return (total[width:] - total[:-width]) / width if len(steps) >= width else np.zeros(0)


def integrated_lufs(steps: np.ndarray) -> float:
    """-inf when nothing was heard."""
    blocks = _means(steps, _BLOCK)
    heard = blocks[blocks > _FLOOR]
    if not len(heard):
        return -math.inf
    heard = heard[heard > heard.mean() * 0.1]
    return -0.691 + 10 * math.log10(heard.mean())


def range_lu(steps: np.ndarray) -> float:
    blocks = _means(steps, _SHORT_TERM)
    heard = blocks[blocks > _FLOOR]
    if len(heard) < 2:
        return 0.0
    heard = heard[heard > heard.mean() * 0.01]
    low, high = np.percentile(10 * np.log10(heard), (10, 95))
    return float(high - low)


class Loudness:
    """Publishes once a second; ``/mixer/loudness/reset`` begins anew."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._first = 0
        desk.register("/mixer/loudness/reset", self._reset)

    async def run(self) -> None:
        while True:
            steps = steps_since(self._desk.box.segment, self._first)
            lufs = await asyncio.to_thread(integrated_lufs, steps)
            self._desk.publish("/mixer/loudness/integrated", round(max(lufs, -70.0), 1))
            self._desk.publish("/mixer/loudness/range", round(range_lu(steps), 1))
            await asyncio.sleep(EVERY_S)

    async def _reset(self, _address: Address, args: list[Any]) -> None:
        if not args or not isinstance(args[0], int | float) or args[0] >= 0.5:
            self._first = int(atomic.read(self._desk.box.segment.address + layout.offset("loudness_head")))
