# SPDX-License-Identifier: GPL-3.0-or-later
"""Which parts of a clip that streams are in memory: what the helper thread tells the callback.

A clip has a row of ``WINDOWS`` words, each ``first block << 32 | block past the last`` (0: none). Each of them alone is the
truth at any moment: its pages are locked before the word is written, and unlocked long after it is another one.
"""

from __future__ import annotations

from typing import Any

from appliance.bus.atomic import load_acquire
from appliance.bus.clips import PLACE_BITS
from appliance.bus.streamfile import BLOCK_FRAMES
from appliance.engine.dsp.sinc import TAPS
from appliance.engine.jit import kernel

WINDOWS = 32
ROW_BYTES = 8 * WINDOWS
STREAMS = 1
"""Set in the address of a clip that streams: its audio lies at the even address below."""
_PLACE_MASK = (1 << PLACE_BITS) - 1
_REACH_FRAMES = 2 + TAPS
"""More than interpolation looks around."""


@kernel
def covers(ctx: Any, handle: int, first: int, last: int) -> bool:
    """Whether frames ``first`` … ``last`` - 1 are in memory, in one window."""
    row = ctx.windows + (handle & _PLACE_MASK) * ROW_BYTES
    for i in range(WINDOWS):
        word = load_acquire(row + 8 * i)
        if (word >> 32) * BLOCK_FRAMES <= first and last <= (word & 0xFFFFFFFF) * BLOCK_FRAMES:
            return True
    return False


@kernel
def can_run(ctx: Any, voice: Any, lowest: float, highest: float, total: int) -> bool:
    """Whether all is in memory that a voice reads on its way between two positions, round the loop too."""
    first, last = max(int(lowest) - _REACH_FRAMES, 0), min(int(highest) + _REACH_FRAMES, total)
    if last <= first:
        return True
    if not covers(ctx, voice.clip, first, last):
        return False
    if voice.loop == 0:
        return True
    low, high, span = int(voice.begin), min(int(voice.end), total), last - first
    if last + _REACH_FRAMES >= high and not covers(ctx, voice.clip, max(low - _REACH_FRAMES, 0), min(low + span, total)):
        return False
    if voice.step < 0.0 and first <= low + _REACH_FRAMES and not covers(ctx, voice.clip, max(high - span, 0), high):
        return False
    return first > 0 or covers(ctx, voice.clip, max(high - low - _REACH_FRAMES, 0), high - low)  # before 0 lies the loop's end
