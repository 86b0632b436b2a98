# SPDX-License-Identifier: GPL-3.0-or-later
"""Auto-balance: brings channels together slowly, never far, and keeps its hands off where a person's hand was."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.engine.backends.offline import OfflineEngine
from tests.signals import RATE, roughness, sine


def noise(seconds: float, level_db: float, seed: int) -> np.ndarray:
    wave = np.random.default_rng(seed).standard_normal((round(seconds * RATE), 2)) * 10 ** (level_db / 20)
    return wave.astype(np.float32)


def prepared(engine: OfflineEngine, *levels_db: float, seconds: float = 60.0) -> OfflineEngine:
    """Decks playing noises of these levels."""
    for number, level_db in enumerate(levels_db, 1):
        engine.load_deck(number, engine.load(noise(seconds, level_db, number)))
        engine.do(f"/deck/{number}/play")
    return engine


def corrections(engine: OfflineEngine, count: int = 2) -> list[float]:
    return [round(float(c), 2) for c in engine.telemetry.snapshot()["channel"]["correction"][:count]]


def run(engine: OfflineEngine, seconds: float) -> np.ndarray:
    return engine.run(round(seconds * RATE), 1024)


def test_off_it_does_nothing(engine: OfflineEngine) -> None:
    run(prepared(engine, -20, -26), 5)
    assert corrections(engine) == [0, 0]


def test_channels_meet_in_the_middle_slowly(engine: OfflineEngine) -> None:
    prepared(engine, -20, -26)
    engine.set("/mixer/balance/auto", True)
    run(engine, 3)
    assert -1.5 < corrections(engine)[0] < 0 < corrections(engine)[1] < 1.5
    heard = run(engine, 12)
    assert corrections(engine) == [pytest.approx(-3, abs=0.3), pytest.approx(3, abs=0.3)]
    assert roughness(heard) < 2 * roughness(noise(2, -20, 1) + noise(2, -26, 2))


def test_it_goes_no_further_than_6_db(engine: OfflineEngine) -> None:
    prepared(engine, -10, -40)
    engine.set("/mixer/balance/auto", True)
    run(engine, 16)
    assert corrections(engine) == [-6, 6]


def test_what_is_silent_stays_untouched_and_counts_for_nothing(engine: OfflineEngine) -> None:
    prepared(engine, -20, -26, -90)
    engine.set("/mixer/balance/auto", True)
    run(engine, 12)
    assert corrections(engine, 8)[2:] == [0] * 6
    assert corrections(engine) == [pytest.approx(-3, abs=0.3), pytest.approx(3, abs=0.3)]


def test_it_hears_loudness_and_not_level(engine: OfflineEngine) -> None:
    """A bass of 40 Hz is not as loud as a tone of 2 kHz of its size (BS.1770: by some 8 dB)."""
    for number, hz in ((1, 40.0), (2, 2000.0)):
        engine.load_deck(number, engine.load(sine(30.0, hz, 0.2)))
        engine.do(f"/deck/{number}/play")
    engine.set("/mixer/balance/auto", True)
    run(engine, 14)
    low, high = corrections(engine)
    assert low == pytest.approx(-high, abs=0.1)
    assert 3 < low < 6


def test_a_channel_that_waits_behind_its_fader_is_made_ready(engine: OfflineEngine) -> None:
    prepared(engine, -20, -16)
    engine.set("/channel/2/fader", 0.0)
    engine.set("/mixer/balance/auto", True)
    run(engine, 14)
    assert corrections(engine) == [0, pytest.approx(-4, abs=0.3)]
    engine.set("/channel/2/fader", 1.0)
    run(engine, 6)
    assert corrections(engine) == [pytest.approx(0, abs=0.3), pytest.approx(-4, abs=0.3)], "faded in, neither moves"


@pytest.mark.parametrize(("control", "value"), [("trim", 3.0), ("fader", 0.8)])
def test_a_hand_overrides_it_until_it_is_switched_on_again(engine: OfflineEngine, control: str, value: float) -> None:
    prepared(engine, -20, -26)
    engine.set("/mixer/balance/auto", True)
    run(engine, 14)
    before = corrections(engine)
    engine.set(f"/channel/2/{control}", value)
    run(engine, 6)
    held = engine.telemetry.snapshot()["channel"]["held"]
    assert list(held[:3]) == [0, 1, 0]
    assert corrections(engine)[1] == before[1]
    assert corrections(engine)[0] == pytest.approx(before[0], abs=0.3), "the other does not run after the hand"
    engine.set("/mixer/balance/auto", False)
    run(engine, 0.1)
    engine.set("/mixer/balance/auto", True)
    run(engine, 6)
    assert not engine.telemetry.snapshot()["channel"]["held"].any()
    if control == "trim":
        assert corrections(engine)[1] < before[1] - 0.5, "it takes part again, and it is louder by now"


def test_silence_takes_the_hand_away(engine: OfflineEngine) -> None:
    prepared(engine, -20, -26)
    engine.set("/mixer/balance/auto", True)
    run(engine, 3)
    engine.set("/channel/2/trim", 2.0)
    run(engine, 1)
    assert engine.telemetry.snapshot()["channel"]["held"][1] == 1
    engine.do("/deck/2/play", 0)
    run(engine, 2)
    assert engine.telemetry.snapshot()["channel"]["held"][1] == 1
    run(engine, 2)
    assert engine.telemetry.snapshot()["channel"]["held"][1] == 0


def test_switched_off_it_goes_back_as_slowly(engine: OfflineEngine) -> None:
    prepared(engine, -20, -26)
    engine.set("/mixer/balance/auto", True)
    run(engine, 14)
    engine.set("/mixer/balance/auto", False)
    run(engine, 2)
    assert -3 < corrections(engine)[0] < -1
    run(engine, 8)
    assert corrections(engine) == [0, 0]


def test_it_does_not_depend_on_the_period() -> None:
    heard = []
    for period in (128, 1024, 777):
        engine = OfflineEngine()
        engine.set("/clock/quantize", "off")
        engine.set("/mixer/balance/auto", True)
        prepared(engine, -20, -30, seconds=6)
        heard.append(engine.run(5 * RATE, period))
    np.testing.assert_array_equal(heard[0], heard[1])
    np.testing.assert_array_equal(heard[0], heard[2])
