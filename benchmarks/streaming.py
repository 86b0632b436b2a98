# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance bench streaming``: an hour on the decks that is played from the disk: how soon it is heard after a jump, from the
page cache and from the disk itself, and what a block costs against the same audio in memory."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from appliance.bus.clips import Clip
from appliance.config import Config
from benchmarks.boxes import EngineBox, wait_for
from benchmarks.engine import PERIOD, RATE, block_shares
from benchmarks.report import Row

HOUR_S = 3600
MEMORY_S = 60
JUMPS = 60
COLD_JUMPS = 20
MEASURE_S = 6.0


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="appliance-bench-") as folder, _engine(Path(folder)) as engine:
        engine.start()
        stream = _hour(engine)
        _play(engine, stream)
        jumps = np.random.default_rng(1).permutation(np.linspace(0.03, 0.97, JUMPS))
        unheard_ms = [_jump(engine, float(place)) for place in jumps]
        yield Row("stream_jump_median_ms", float(np.median(unheard_ms)), "ms of silence after a jump, page cache", 20.0)
        yield Row("stream_jump_worst_ms", max(unheard_ms), "ms of silence, the longest", 50.0)
        cold_ms: list[float] = []
        for place in jumps[:COLD_JUMPS]:
            _forget(engine)
            cold_ms.append(_jump(engine, float(place)))
        yield Row("stream_jump_cold_median_ms", float(np.median(cold_ms)), "ms of silence, from the disk")
        streamed = _cost(engine, stream)
        whole = engine.clip(_noise(0, MEMORY_S))
        in_memory = _cost(engine, whole)
        yield Row("stream_block_median_pct", float(np.median(streamed)), "% of period, 4 decks", None,
                  float(np.median(in_memory)))
        yield Row("stream_block_p99_pct", float(np.percentile(streamed, 99)), "% of period, 4 decks", None,
                  float(np.percentile(in_memory, 99)))


@contextlib.contextmanager
def _engine(data: Path) -> Iterator[EngineBox]:
    engine = EngineBox(data, Config.model_validate({"audio": {"period": PERIOD, "backend": "clock"}}))
    try:
        yield engine
    finally:
        engine.close()


def _noise(seed: int, seconds: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal((seconds * RATE, 2))).astype(np.float32)


def _hour(engine: EngineBox) -> Clip:
    minute = _noise(0, 60)
    clip = engine.box.clips.place(HOUR_S * RATE, RATE, stream_in=engine.data / "streams")
    engine.box.clips.fill(clip, (minute for _ in range(HOUR_S // 60)))
    wait_for(lambda: engine.box.clips.mapped(clip), 5, "the engine maps the clip")
    return clip


def _play(engine: EngineBox, clip: Clip) -> None:
    engine.load_deck(1, clip)
    engine.do("/deck/1/play")
    wait_for(lambda: _newest(engine, 256).any(), 5, "the deck is heard")


def _newest(engine: EngineBox, frames: int) -> np.ndarray:
    return engine.box.telemetry.scope(frames)[1]


def _jump(engine: EngineBox, place: float) -> float:
    """Milliseconds of silence that a jump leaves in the sound."""
    engine.do("/deck/1/seek", place)
    time.sleep(0.04)
    wait_for(lambda: _newest(engine, 64).all(), 5, "sound after a jump")
    quiet = _newest(engine, 4096) == 0.0
    edges = np.flatnonzero(np.diff(quiet, prepend=False, append=False))
    time.sleep(0.1)
    return 1000.0 * max((int(b - a) for a, b in edges.reshape(-1, 2)), default=0) / RATE


def _forget(engine: EngineBox) -> None:
    """What is not locked leaves the page cache."""
    for path in (engine.data / "streams").iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _cost(engine: EngineBox, clip: Clip) -> np.ndarray:
    """Share of the period (%) of the blocks in which four decks play the clip at odd speeds."""
    for deck in range(1, 5):
        engine.box.values.set(f"/deck/{deck}/rate", 0.94 + deck * 0.03)
        engine.load_deck(deck, clip)
        engine.do(f"/deck/{deck}/play")
    time.sleep(MEASURE_S)
    assert engine.box.telemetry.snapshot()["deck"]["playing"].sum() == 4, "not all decks play"
    return block_shares(engine, MEASURE_S - 1.0)
