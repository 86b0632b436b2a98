# SPDX-License-Identifier: GPL-3.0-or-later
"""The master clock off line: tempo ramps, and what a person does meanwhile."""

from __future__ import annotations

import pytest

from appliance.engine.backends.offline import OfflineEngine
from tests.signals import RATE


def clock(engine: OfflineEngine) -> tuple[float, float]:
    """Beat and tempo."""
    told = engine.telemetry.snapshot()["clock"]
    return float(told["beat"]), float(told["bpm"])


def test_a_ramp_reaches_its_tempo_after_its_bars(engine: OfflineEngine) -> None:
    engine.set("/clock/ramp/bars", 8)
    engine.run(RATE)
    begun = clock(engine)[0]
    engine.do("/clock/ramp", 140.0)
    middle = round(32 / (130 / 60) * RATE)
    engine.run(middle // 2)
    assert clock(engine)[1] == pytest.approx(130, abs=0.1)
    assert engine.values.get("/clock/bpm") == pytest.approx(130, abs=0.2), "the value goes along"
    assert engine.telemetry.snapshot()["clock"]["ramping"] == 1
    engine.run(middle - middle // 2)
    assert clock(engine)[0] - begun == pytest.approx(32, abs=0.001)
    engine.run(RATE)
    assert clock(engine)[1] == 140.0 and engine.values.get("/clock/bpm") == 140.0
    assert engine.telemetry.snapshot()["clock"]["ramping"] == 0


def test_a_hand_on_the_tempo_ends_the_ramp(engine: OfflineEngine) -> None:
    engine.do("/clock/ramp", 180.0)
    engine.run(RATE * 2)
    engine.set("/clock/bpm", 100.0)
    engine.run(RATE * 4)
    assert clock(engine)[1] == 100.0


def test_the_period_makes_no_difference_to_a_ramp() -> None:
    beats = set()
    for period in (64, 1000, 2048):
        engine = OfflineEngine()
        engine.do("/clock/ramp", 97.0, frame=4000)
        engine.run(RATE * 20, period)
        beats.add(clock(engine)[0])
    assert len(beats) == 1
