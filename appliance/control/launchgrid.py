# SPDX-License-Identifier: GPL-3.0-or-later
"""When a pad that plays changes its clip: now, on its launch grid, or on the bar line."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

from appliance.bus.box import Box
from appliance.errors import BadValue
from appliance.namespace import Address
from appliance.nodes import NAMESPACE
from appliance.nodes.clock import QUANTIZE_BEATS, QUANTIZES
from appliance.nodes.pad import LINES, PAD_STATES, PADS

LEAD_S = 0.15
"""The engine is told so long before the line. On a busy machine control wakes up late, and would wait for the line after it."""
_SOUNDS = (PAD_STATES.index("playing"), PAD_STATES.index("stopping"))
_A_BAR = -1.0


def parse_at(address: Address, args: list[Any]) -> tuple[list[Any], str]:
    """The arguments of a load without its option ``at``, and that (``now`` when it is not said). Raises :class:`BadValue`."""
    at, rest = "now", []
    for word in args:
        if isinstance(word, dict) and "at" in word:
            at = str(word["at"])
            word = {key: value for key, value in word.items() if key != "at"}
        elif isinstance(word, str) and word.startswith("at="):
            at = word[3:]
            continue
        rest.append(word)
    if at not in LINES:
        raise BadValue(f"{address}: at is {', '.join(LINES)}; not {at[:40]!r}")
    return rest, at


async def frame_of_line(box: Box, cell: int, at: str, wanted: Callable[[], bool]) -> int:
    """Wait until shortly before the line, while the pad plays and ``wanted``; its frame, or 0 for at once."""
    while wanted():
        told = box.telemetry.snapshot()
        clock = told["clock"]
        beats = beats_to_line(clock, grid_at(box, cell, at))
        if not clock["running"] or int(told["pad"][cell]["state"]) not in _SOUNDS or beats == 0.0:
            return 0
        seconds = beats * 60.0 / float(clock["bpm"])
        if seconds <= LEAD_S:
            return int(clock["frame"]) + round(seconds * box.rate)
        await asyncio.sleep(min(seconds - 0.9 * LEAD_S, 0.1))
    return 0


def grid_at(box: Box, cell: int, at: str) -> float:
    """The grid of a moment other than now, as in QUANTIZE_BEATS."""
    if at == "bar":
        return _A_BAR
    if at == "phrase":
        return _A_BAR * int(box.values.get("/clock/phrase"))
    bank, pad = divmod(cell, PADS)
    own = box.values.get(NAMESPACE.find(f"/bank/{bank + 1}/pad/{pad + 1}/quantize"))
    return QUANTIZE_BEATS[QUANTIZES.index(box.values.get("/clock/quantize") if own == "clock" else own)]


def beats_to_line(clock: Any, grid: float) -> float:
    """Quarter notes to the next line of a grid (as in QUANTIZE_BEATS; bars count from the first); 0 without a grid."""
    bar_length, phase = float(clock["bar_length"]), float(clock["bar_phase"])
    if grid >= 0.0:
        return grid - phase * bar_length % grid if grid else 0.0
    bars = int(clock["bar"]) - 1 + phase
    return ((math.floor(bars / -grid) + 1) * -grid - bars) * bar_length
