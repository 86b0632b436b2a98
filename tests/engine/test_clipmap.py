# SPDX-License-Identifier: GPL-3.0-or-later
"""Clips come to the engines and go from them, also when engines come and go meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.bus.commit import clips_in, committed
from benchmarks.boxes import EngineBox, wait_for


@pytest.fixture
def box(tmp_path: Path) -> Iterator[EngineBox]:
    made = EngineBox(tmp_path / "data")
    made.box.values.set("/clock/quantize", "off")
    made.start()
    yield made
    made.close()


def collect(engine: EngineBox) -> int:
    """As control does it."""
    return engine.box.clips.collect(engine.box.engines, clips_in(committed(engine.box.segment)))


def test_what_sounds_is_heard_from_the_next_engine_although_it_was_given_up(box: EngineBox) -> None:
    clip = box.clip(np.full((48_000, 2), 0.25, np.float32), bpm=120, beats=2)
    box.load_pad(1, clip)
    box.do("/pad/1/trigger")
    level = box.box.telemetry
    wait_for(lambda: np.abs(level.scope(256)[1]).min() > 0.05, 3, "it sounds")
    box.box.clips.retire(clip.handle)
    box.kill()
    assert collect(box) == 0, "no engine maps it, but one will have to"
    box.start()
    wait_for(lambda: np.abs(level.scope(256)[1]).min() > 0.05, 3, "it sounds again")
    box.load_pad(1, None)
    wait_for(lambda: collect(box) == 1, 3, "it is freed when nothing plays it")
