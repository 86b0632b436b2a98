# SPDX-License-Identifier: GPL-3.0-or-later
"""The writing end of the live channel: a ring of sound that the engine plays on a strip (engine/feed.py).

One process writes. What it has written may be played at any time, so it is never taken back; what has not been played is never
overwritten.
"""

from __future__ import annotations

import numpy as np

from appliance.bus import atomic, layout
from appliance.bus.commit import committed
from appliance.bus.layout import FEED_FRAMES
from appliance.bus.memory import PrivateSegment, Segment

KEPT_FRAMES = 8192 + 4096
"""Of what was played: a block may be rendered again."""


class Feed:
    """Whoever makes one takes over the ring as it is."""

    def __init__(self, segment: Segment | PrivateSegment) -> None:
        self._segment = segment
        self._ring = segment.view(np.float32, 2 * FEED_FRAMES, layout.offset("feed")).reshape(FEED_FRAMES, 2)

    def _address(self, word: str) -> int:
        return self._segment.address + layout.offset(f"feed_{word}")

    def _put(self, word: str, value: int) -> None:
        atomic.write(self._address(word), value)

    @property
    def head(self) -> int:
        """Frames written, of all streams."""
        return int(atomic.read(self._address("head")))

    @property
    def position(self) -> int:
        """Frames that the engine has done with."""
        return int(committed(self._segment)["feed"]["position"][0])

    @property
    def ahead(self) -> int:
        """Frames that were written and not played."""
        return max(self.head - self.position, 0)

    @property
    def room(self) -> int:
        """Frames that can be written now."""
        return max(FEED_FRAMES - KEPT_FRAMES - self.ahead, 0)

    def begin(self, origin: int = -1) -> None:
        """What is written from now on is another stream: the one before fades out. ``origin``: engine's frame that its first
        frame belongs to; without it the stream begins when enough has come."""
        self._put("begin", self.head)
        self._put("origin", origin)
        self._put("ended", 0)
        self._put("stream", int(atomic.read(self._address("stream"))) + 1)

    def write(self, audio: np.ndarray) -> int:
        """Append float32 audio at the engine's rate, frames × 2; returns how many frames there was room for."""
        head, count = self.head, min(len(audio), self.room)
        first = head % FEED_FRAMES
        part = min(count, FEED_FRAMES - first)
        self._ring[first : first + part] = audio[:part]
        self._ring[: count - part] = audio[part:count]
        self._put("head", head + count)
        return count

    def end(self) -> None:
        """No more comes: what is there is played to its end."""
        self._put("ended", 1)
