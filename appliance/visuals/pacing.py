# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures at an even rate by the monotonic clock: sleeps between them, never spins, never tries to catch up."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable


class Pacer:
    """Waits for the next picture's time. `clock` and `sleep` are in seconds."""

    def __init__(
        self, fps: float, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self.fps = fps
        self._clock = clock
        self._sleep = sleep
        self._due_s = clock()
        self._shown: deque[float] = deque(maxlen=61)

    def wait(self) -> float:
        """Sleeps until the next picture is due and returns the time since the last one, in seconds (0 for the first)."""
        now = self._clock()
        if now < self._due_s:
            self._sleep(self._due_s - now)
            now = self._clock()
        # After a late picture the grid starts anew: two in quick succession would be seen as a stumble.
        self._due_s = max(self._due_s + 1 / self.fps, now)
        last = self._shown[-1] if self._shown else now
        self._shown.append(now)
        return now - last

    @property
    def measured_fps(self) -> float:
        """Pictures a second over about the last two seconds, 0 before the second one."""
        if len(self._shown) < 2 or self._shown[-1] <= self._shown[0]:
            return 0.0
        return (len(self._shown) - 1) / (self._shown[-1] - self._shown[0])
