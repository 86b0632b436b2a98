# SPDX-License-Identifier: GPL-3.0-or-later
"""When a process is started in its safe form: after three crashes within a minute, until it has been well for ten."""

from __future__ import annotations

WITHIN_S = 60.0
HEALTHY_S = 600.0
DEEPEST = {"engine": 2}
"""How many safe forms a part has, where it is not one."""


class Safety:
    """The crashes of one part of the box. ``level`` 0: the normal form.

    Both engines are one part: they share their state and their clips, so what kills one kills the other.
    """

    def __init__(self, crashes: int, deepest: int = 1) -> None:
        """``crashes`` within ``WITHIN_S`` lead to the next form; 0: never."""
        self.level = 0
        self._crashes = crashes
        self._deepest = deepest
        self._times: list[float] = []
        self._last = 0.0

    def crashed(self, now: float) -> bool:
        """Count a crash at the monotonic time ``now``; True when the next start is in a safer form than the last."""
        self.recover(now)
        self._last = now
        self._times = [time for time in self._times if now - time < WITHIN_S] + [now]
        if not self._crashes or len(self._times) < self._crashes or self.level >= self._deepest:
            return False
        self.level += 1
        self._times = []
        return True

    def recover(self, now: float) -> bool:
        """Before a start: after ten minutes without a crash it is a normal one again. True when that changes something."""
        if not self.level or now - self._last < HEALTHY_S:
            return False
        self.level = 0
        self._times = []
        return True


def part_of(process: str) -> str:
    """``engine`` for both engines, else the process's own name."""
    return "engine" if process.startswith("engine-") else process
