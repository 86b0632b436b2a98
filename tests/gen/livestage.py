# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine off line and the live stream on it, in step: every 20 ms of sound the stream does what is due."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np

from appliance.engine.backends.offline import OfflineEngine
from appliance.engine.dsp.limiter import LOOK_AHEAD_FRAMES
from appliance.gen.live.clock import Clock
from appliance.gen.live.player import Made, Maker, Player
from appliance.gen.live.steering import Texts, steering

RATE = 48000
STEP = 960
GAIN_DB = -20.0
GAIN = 10 ** (GAIN_DB / 20)
"""So that the limiter has nothing to do."""


class Now(Executor):
    """Makes a bar when it is asked for; with ``late_s``, it is there so much later by the engine's time."""

    def __init__(self) -> None:
        self.late_s = 0.0
        self.frame = 0
        self._waiting: list[tuple[int, Future[Any], Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        result: Made = fn(*args, **kwargs)
        result.took_s = self.late_s
        self._waiting.append((self.frame + round(self.late_s * RATE), future, result))
        self.go(self.frame)
        return future

    def go(self, frame: int) -> None:
        self.frame = frame
        for entry in [entry for entry in self._waiting if entry[0] <= frame]:
            self._waiting.remove(entry)
            entry[1].set_result(entry[2])


class Stage:
    """``heard``: the master from the start on, frames × 2, without the limiter's delay and at the stream's own level."""

    def __init__(self, bpm: float = 240.0, cloud: Maker | None = None) -> None:
        self.engine = OfflineEngine()
        self.values = self.engine.values
        self.texts = Texts()
        self.values.set("/clock/bpm", bpm)
        self.values.set("/live/gain", GAIN_DB)
        self.values.set("/gen/live/on", True)
        self.making = Now()
        self._pieces = [self.engine.run(STEP)[:, :2]]
        self.said: list[str] = []
        self.player = Player(self.engine.segment, self.values, RATE, self.making, cloud, say=self.said.append)
        self.before_step: Callable[[int], None] = lambda _frame: None

    @property
    def clock(self) -> Clock:
        return Clock.read(self.engine.segment, self.values, RATE)

    @property
    def stalls(self) -> int:
        return int(self.engine.telemetry.snapshot()["live"]["stalls"])

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * RATE / STEP)):
            frame = self.engine.frame
            self.making.go(frame)
            self.before_step(frame)
            cloud = self.values.get("/gen/live/backend") == "lyria"
            self.player.step(steering(self.values, self.texts), bool(self.values.get("/gen/live/on")), cloud)
            self._pieces.append(self.engine.run(STEP)[:, :2])

    def to_line(self, bar: int, seconds: float = 0.0) -> int:
        """Run until a bar line and ``seconds`` more; its frame, as it is before it has come."""
        while (line := self.clock.line(bar)) + seconds * RATE > self.engine.frame:
            self.run(STEP / RATE)
        return line

    def forget(self) -> None:
        """What was heard until now."""
        self._pieces.clear()

    @property
    def heard(self) -> np.ndarray:
        return np.concatenate(self._pieces)[LOOK_AHEAD_FRAMES:] / GAIN


def gaps(sound: np.ndarray, under: float = 1e-4, frames: int = 480) -> list[int]:
    """Where 10 ms of it are silent."""
    level = np.abs(sound).max(axis=1)
    level = level[: len(level) // frames * frames].reshape(-1, frames).max(axis=1)
    return [int(place) * frames for place in np.flatnonzero(level < under)]
