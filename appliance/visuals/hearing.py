# SPDX-License-Identifier: GPL-3.0-or-later
"""From the engine's telemetry to what the analysis takes, also while the engine is away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from appliance.visuals.analysis import Floats, Listening

RING_FRAMES = 4096
STALE_S = 0.25
"""Without news for this long the engine is down: silence is shown, and the beat stands."""


class TelemetrySource(Protocol):
    """What is needed of `appliance.bus.telemetry.Telemetry`."""

    def snapshot(self) -> Any: ...

    def scope(self, frames: int = 2048) -> tuple[int, np.ndarray]: ...


class Ear:
    """Reads shared memory once a picture. `clock_ns` is the clock that the engine stamps its blocks with."""

    def __init__(
        self, telemetry: TelemetrySource, rate_hz: Callable[[], float], clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._telemetry = telemetry
        self._rate_hz = rate_hz
        self._clock_ns = clock_ns

    def listen(self) -> Listening:
        """The last 4096 frames of the master and where the beat is now."""
        end, ring = self._telemetry.scope(RING_FRAMES)
        clock = self._telemetry.snapshot()["clock"]
        rate = self._rate_hz()
        rate = rate if 8000 <= rate <= 192000 else 48000.0
        age_s = (self._clock_ns() - int(clock["monotonic_ns"])) * 1e-9 if clock["monotonic_ns"] else STALE_S
        age_s = max(0.0, age_s)
        bpm, beat, running = float(clock["bpm"]), float(clock["beat"]), bool(clock["running"])
        bar_length = float(clock["bar_length"]) or 4.0
        if age_s >= STALE_S:
            frame = end + int(age_s * rate)
            return Listening(np.zeros(RING_FRAMES, np.float32), frame, rate, beat, bar_length, bpm or 120.0, False)
        if running:
            # The telemetry is of a block's start; a long period would make the beat stutter.
            beat += age_s * bpm / 60.0
        return Listening(_clean(ring), end, rate, beat, bar_length, bpm or 120.0, running)


def _clean(ring: np.ndarray) -> Floats:
    return np.ascontiguousarray(ring, np.float32)
