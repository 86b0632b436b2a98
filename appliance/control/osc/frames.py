# SPDX-License-Identifier: GPL-3.0-or-later
"""Which engine frame a time of day is: from the pairs (frame, monotonic time) that the engine tells once a block.

A block may be woken late but never early, so of the pairs of the last seconds the earliest one is the true one. That makes
two time tags a tenth of a second apart fall a tenth of a second's frames apart, whatever the scheduler does.
"""

from __future__ import annotations

import time
from collections import deque

from appliance.bus.box import Box

WINDOW_NS = 3_000_000_000
"""Long enough to meet a punctual block, short enough that two clocks 100 ppm apart part by a few frames only."""
JUMP_NS = 50_000_000


class FrameClock:
    """Call :meth:`sample` a few times a second; :meth:`frame_at` then answers."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._pairs: deque[tuple[int, float]] = deque()
        self._last_frame = 0

    def sample(self) -> None:
        clock = self._box.telemetry.snapshot()["clock"]
        self.take(int(clock["frame"]), int(clock["monotonic_ns"]), self._box.rate)

    def take(self, frame: int, monotonic_ns: int, rate: float) -> None:
        """One pair. A frame counter that jumps makes the older pairs void."""
        if rate <= 0 or frame <= 0 or frame == self._last_frame:
            return
        origin_ns = monotonic_ns - frame * 1e9 / rate
        if self._pairs and (frame < self._last_frame or abs(origin_ns - self._pairs[-1][1]) > JUMP_NS):
            self._pairs.clear()
        self._last_frame = frame
        self._pairs.append((monotonic_ns, origin_ns))
        while self._pairs[0][0] < monotonic_ns - WINDOW_NS:
            self._pairs.popleft()

    def frame_at(self, unix_ns: int) -> int:
        """The engine's frame at a time since 1970; 0 when the engine has not told any yet."""
        self.sample()
        if not self._pairs:
            return 0
        monotonic_ns = unix_ns - time.time_ns() + time.monotonic_ns()
        origin_ns = min(origin for _, origin in self._pairs)
        return max(round((monotonic_ns - origin_ns) * self._box.rate / 1e9), 1)
