# SPDX-License-Identifier: GPL-3.0-or-later
"""The last twenty seconds of the master, by frame: what the recorder reads, however late it comes.

The playing engine writes each block after its commit and then moves the head; so what an engine that died had not committed is
not on it. Frames that nobody rendered, because the audio server lost them, are a gap.
"""

from __future__ import annotations

import numpy as np

from appliance.bus import atomic, layout
from appliance.bus.memory import PrivateSegment, Segment

MARGIN_FRAMES = 2 * layout.MAX_BLOCK_FRAMES
"""What lies so near behind the ring's length may be overwritten while it is read."""


class Tape:
    def __init__(self, segment: Segment | PrivateSegment) -> None:
        self._ring = segment.view(np.float32, 2 * layout.TAPE_FRAMES, layout.offset("tape")).reshape(-1, 2)
        self._head, self._gap_begin, self._gap_end = (
            segment.address + layout.offset(name) for name in ("tape_head", "tape_gap_begin", "tape_gap_end"))

    @property
    def head(self) -> int:
        """The frame after the last one."""
        return int(atomic.read(self._head))

    @property
    def oldest(self) -> int:
        """The first frame that can still be read."""
        return max(self.head - layout.TAPE_FRAMES + MARGIN_FRAMES, 0)

    def read(self, first: int, frames: int) -> np.ndarray:
        """Float32, frames × 2, a copy; gaps are silent. The caller sees to it that they are there: ``oldest`` … ``head``."""
        places = np.arange(first, first + frames) & (layout.TAPE_FRAMES - 1)
        audio = self._ring[places]
        begin, end = int(atomic.read(self._gap_begin)), int(atomic.read(self._gap_end))
        audio[min(max(begin - first, 0), frames) : min(max(end - first, 0), frames)] = 0.0
        return audio
