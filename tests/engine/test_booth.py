# SPDX-License-Identifier: GPL-3.0-or-later
"""The booth: a level of its own, a limiter of its own, whatever is done with the master."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.engine.backends.offline import OfflineEngine
from appliance.engine.dsp.limiter import LOOK_AHEAD_FRAMES as DELAY
from tests.signals import RATE, roughness, sine


def playing(engine: OfflineEngine, audio: np.ndarray, deck: int = 1) -> None:
    engine.load_deck(deck, engine.load(audio, bpm=120))
    engine.do(f"/deck/{deck}/play")


def levels(engine: OfflineEngine) -> np.ndarray:
    """Peaks of master left and right, cue, booth once all has settled."""
    engine.run(round(0.3 * RATE))
    return np.abs(engine.run(round(0.2 * RATE))).max(0)


def test_it_has_what_the_master_has(engine: OfflineEngine) -> None:
    playing(engine, sine(1.0))
    heard = engine.run(RATE // 2)
    np.testing.assert_array_equal(heard[:, 4:6], heard[:, :2])
    np.testing.assert_array_equal(heard[DELAY:, 4], sine(1.0)[: RATE // 2 - DELAY, 0])


@pytest.mark.parametrize(("address", "value"), [("/mixer/master", -60.0), ("/mixer/master", 6.0), ("/mixer/balance", 1.0),
                                                ("/mixer/cue/level", -20.0)])
def test_the_masters_level_is_nothing_to_it(engine: OfflineEngine, address: str, value: float) -> None:
    alone = OfflineEngine()
    alone.set("/clock/quantize", "off")
    for each in (engine, alone):
        playing(each, sine(4.0, level=0.9))
    engine.set(address, value)
    np.testing.assert_array_equal(engine.run(2 * RATE)[:, 4:], alone.run(2 * RATE)[:, 4:])


def test_its_level_mute_and_mono_leave_the_master_alone(engine: OfflineEngine) -> None:
    playing(engine, sine(20.0))
    engine.set("/mixer/booth", -6.0)
    assert levels(engine)[[0, 1, 4, 5]] == pytest.approx([0.3, 0.15, 0.3 * 10 ** (-6 / 20), 0.15 * 10 ** (-6 / 20)], rel=1e-3)
    engine.set("/mixer/booth", 0.0)
    engine.set("/mixer/booth/mono", True)
    assert levels(engine)[[0, 1, 4, 5]] == pytest.approx([0.3, 0.15, 0.225, 0.225], rel=1e-3)
    engine.set("/mixer/booth/mute", True)
    assert list(levels(engine)[[0, 4, 5]]) == [pytest.approx(0.3, rel=1e-3), 0, 0]
    engine.set("/mixer/booth/mute", False)
    assert levels(engine)[4] == pytest.approx(0.225, rel=1e-3)


def test_off_and_on_again_it_begins_with_what_is_there(engine: OfflineEngine) -> None:
    """While it is off its limiter rests; nothing of before comes out of its line."""
    playing(engine, np.ones((20 * RATE, 2), np.float32) * 0.5)
    engine.run(RATE)
    engine.set("/mixer/booth", -60.0)
    engine.run(RATE)
    engine.set("/mixer/booth", 0.0)
    heard = engine.run(RATE)[:, 4]
    assert np.all(np.diff(heard) >= -1e-6), "it rises from silence"
    assert heard[-1] == pytest.approx(0.5)
    assert roughness(heard[:, None]) < 1e-3


def test_it_cannot_be_overloaded(engine: OfflineEngine) -> None:
    engine.set("/mixer/master", -60.0)
    engine.set("/mixer/booth", 6.0)
    engine.set("/mixer/limiter/ceiling", -2.0)
    for deck in range(1, 5):
        playing(engine, sine(2.0, 110.0 * deck, 1.0), deck)
    heard = engine.run(RATE)
    assert np.abs(heard[:, :2]).max() <= 10.0 ** (-60 / 20) * 4
    assert 0.9 < np.abs(heard[:, 4]).max() / 10 ** (-2 / 20) <= 1.000001


def test_panic_silences_it_too(engine: OfflineEngine) -> None:
    playing(engine, sine(4.0))
    engine.run(RATE)
    engine.set("/panic/mute", True)
    heard = engine.run(RATE)[:, 4:]
    assert np.abs(heard[480 + DELAY + 64 :]).max() == 0
    assert roughness(heard) < 2 * roughness(sine(1.0))


def test_it_does_not_depend_on_the_period() -> None:
    heard = []
    for period in (64, 128, 1000):
        engine = OfflineEngine()
        playing(engine, sine(4.0, level=0.9))
        engine.set("/mixer/booth", 6.0)
        engine.run(3000, 3000)
        engine.set("/mixer/booth/mute", True)
        engine.run(6000, 3000)
        engine.set("/mixer/booth/mute", False)
        heard.append(engine.run(9000, period)[:, 4:])
    np.testing.assert_array_equal(heard[0], heard[1])
    np.testing.assert_array_equal(heard[0], heard[2])
