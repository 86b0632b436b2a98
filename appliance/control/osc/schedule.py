# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done later: one timer and a heap, so what is due at the same time is done together and in its order."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable

from appliance.errors import BadValue, Unavailable

FARTHEST_S = 3600.0
MAX_WAITING = 4096

Work = Callable[[], None]


class Schedule:
    """Times are nanoseconds since 1970. Lives on control's loop."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Work]] = []
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, unix_ns: int, due_ns: int, work: Work, what: str) -> None:
        """``work`` at ``due_ns``, for something that is meant for ``unix_ns``. Raises BadValue when that is too far ahead,
        Unavailable when too much waits already."""
        ahead_s = (unix_ns - time.time_ns()) / 1e9
        if ahead_s > FARTHEST_S:
            raise BadValue(f"OSC: the time tag for {what} lies {ahead_s / 3600:.1f} hours ahead; one hour at most")
        if len(self._heap) >= MAX_WAITING:
            raise Unavailable(f"OSC: {MAX_WAITING} timed messages are waiting already")
        self._number += 1
        heapq.heappush(self._heap, (due_ns, self._number, work))
        self._wind()

    def stop(self) -> None:
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _wind(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._heap:
            delay_s = max((self._heap[0][0] - time.time_ns()) / 1e9, 0.0)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._ring)

    def _ring(self) -> None:
        """A clock that was set back in the meantime winds the timer again."""
        now_ns = time.time_ns() + 1_000_000
        try:
            while self._heap and self._heap[0][0] <= now_ns:
                heapq.heappop(self._heap)[2]()
        finally:
            self._wind()
