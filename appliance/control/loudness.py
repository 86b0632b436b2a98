# SPDX-License-Identifier: GPL-3.0-or-later
"""Integrated loudness and loudness range of the set so far, from the tenths of a second that the engine has measured."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from appliance.bus import atomic, layout
from appliance.bus.loudness import integrated_lufs, range_lu
from appliance.bus.memory import PrivateSegment, Segment
from appliance.control.desk import Desk
from appliance.namespace import Address

EVERY_S = 1.0


def steps_since(segment: Segment | PrivateSegment, first: int) -> np.ndarray:
    """Mean squares of the tenths from number ``first`` on; the oldest that are still there when there are more."""
    head = int(atomic.read(segment.address + layout.offset("loudness_head")))
    ring = segment.view(np.float64, layout.LOUDNESS_STEPS, layout.offset("loudness"))
    first = max(first, head - layout.LOUDNESS_STEPS + 1, 0)
    return ring[np.arange(first, head) & (layout.LOUDNESS_STEPS - 1)]


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
