# SPDX-License-Identifier: GPL-3.0-or-later
"""A deck in sync is where the clock says, whatever happens; off line."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.bus.grids import Grid
from appliance.engine.backends.offline import OfflineEngine
from tests.signals import RATE, roughness, sine


def told(engine: OfflineEngine, deck: int = 1) -> np.void:
    return engine.telemetry.snapshot()["deck"][deck - 1]


def phase(engine: OfflineEngine, deck: int = 1) -> float:
    """Beats by which the deck is off the clock's nearest beat."""
    apart = float(told(engine, deck)["beat"]) - float(engine.telemetry.snapshot()["clock"]["beat"])
    return apart - round(apart)


def locked(engine: OfflineEngine, deck: int = 1, bpm: float = 126.0, grid: Grid | None = None, seconds: float = 60.0) -> None:
    engine.load_deck(deck, engine.load(sine(seconds, 220), bpm=bpm), grid or Grid.straight(bpm, 0.1))
    engine.set(f"/deck/{deck}/sync", True)
    engine.do(f"/deck/{deck}/play")
    engine.run(12800)


def test_tempo_and_beat_are_the_clocks(engine: OfflineEngine) -> None:
    locked(engine)
    assert told(engine)["bpm"] == pytest.approx(120, abs=1e-6)
    assert phase(engine) == pytest.approx(0, abs=1e-9)
    assert told(engine)["locked"] == 1


def test_switched_on_while_playing_it_falls_in_without_a_click(engine: OfflineEngine) -> None:
    engine.load_deck(1, engine.load(sine(60, 220), bpm=126), Grid.straight(126, 0.1))
    engine.do("/deck/1/play")
    engine.run(RATE * 3 + 777)
    assert abs(phase(engine)) > 0.01
    engine.set("/deck/1/sync", True)
    heard = engine.run(RATE)
    assert phase(engine) == pytest.approx(0, abs=1e-9)
    assert roughness(heard[:, 0]) < 2 * roughness(sine(1.0)[:, 0])


@pytest.mark.parametrize(("bpm", "speed"), [(62.0, 120 / 124), (236.0, 240 / 236), (118.0, 120 / 118)])
def test_half_and_double_tempo(engine: OfflineEngine, bpm: float, speed: float) -> None:
    locked(engine, bpm=bpm)
    assert told(engine)["speed"] == pytest.approx(speed, rel=1e-9)


def test_loops_jumps_and_cues_keep_the_beat(engine: OfflineEngine) -> None:
    locked(engine)
    engine.set("/deck/1/hotcue/1/at", 3.21)
    for action, value in (("loop/auto", 1.0), ("jump", 3.0), ("loop/halve", 1.0), ("loop/exit", 1.0), ("jump", -1.0),
                          ("seek", 0.4), ("hotcue/1/press", 1.0), ("hotcue/1/press", 0.0), ("loop/roll", 0.25),
                          ("loop/roll", 0.0), ("censor", 1.0), ("censor", 0.0)):
        engine.do(f"/deck/1/{action}", value)
        engine.run(33333)
        if action in ("censor", "loop/roll") and value:
            continue
        assert phase(engine) == pytest.approx(0, abs=1e-6), action


def test_a_nudge_moves_the_beat_and_it_stays_moved(engine: OfflineEngine) -> None:
    locked(engine)
    engine.set("/deck/1/nudge", 0.05)
    engine.run(RATE)
    engine.set("/deck/1/nudge", 0.0)
    engine.run(RATE)
    assert phase(engine) == pytest.approx(0.05 * 126 / 60, rel=0.01)
    assert told(engine)["bpm"] == pytest.approx(120, abs=1e-6)


def test_switched_off_the_tempo_stays(engine: OfflineEngine) -> None:
    locked(engine)
    engine.set("/deck/1/sync", False)
    engine.run(RATE)
    assert told(engine)["speed"] == pytest.approx(120 / 126, rel=1e-6)
    assert engine.values.get("/deck/1/rate") == pytest.approx(120 / 126, rel=1e-6)


def test_the_clock_starts_anew_and_the_deck_stays_where_it_is(engine: OfflineEngine) -> None:
    locked(engine)
    engine.run(RATE * 7 + 100)
    before = float(told(engine)["position_s"])
    engine.do("/clock/restart")
    heard = engine.run(4800)
    assert float(told(engine)["position_s"]) == pytest.approx(before + 0.1, abs=0.25)
    assert phase(engine) == pytest.approx(0, abs=1e-6)
    assert roughness(heard[:, 0]) < 2 * roughness(sine(1.0)[:, 0])


def test_a_live_drummers_grid_is_followed(engine: OfflineEngine) -> None:
    """Anchors that wander: the deck runs unevenly, so that its beats fall evenly."""
    random = np.random.default_rng(3)
    seconds = np.cumsum(60 / 120 * 4 * random.uniform(0.97, 1.03, 30))
    grid = Grid(bpm=120, anchors=tuple((float(s), 4.0 * i) for i, s in enumerate(seconds)))
    locked(engine, grid=grid, seconds=70)
    for _ in range(40):
        engine.run(RATE)
        assert phase(engine) == pytest.approx(0, abs=1e-6)


def test_a_grid_that_is_moved_while_it_plays_moves_the_deck(engine: OfflineEngine) -> None:
    locked(engine)
    engine.run(RATE)
    engine.set_grid(1, Grid.straight(126, 0.15))
    heard = engine.run(RATE)
    assert phase(engine) == pytest.approx(0, abs=1e-9)
    assert roughness(heard[:, 0]) < 2 * roughness(sine(1.0)[:, 0])


def test_half_an_hour_with_tempo_changes_leaves_no_frame_between_two_decks(engine: OfflineEngine) -> None:
    """Varispeed; loops of different tempo, so that both go on. Compared at every tempo change."""
    for deck, bpm in ((1, 126.0), (2, 117.0)):
        clip = sine(round(60 / bpm * 64 * RATE) / RATE, 220)
        engine.load_deck(deck, engine.load(clip, bpm=bpm), Grid.straight(bpm))
        engine.set(f"/deck/{deck}/sync", True)
        engine.set(f"/deck/{deck}/loop/beats", 32)
        engine.do(f"/deck/{deck}/loop/auto", 1.0)
        engine.do(f"/deck/{deck}/play")
    random = np.random.default_rng(7)
    worst = 0.0
    for _ in range(20):
        engine.set("/clock/bpm", float(random.uniform(100, 140)))
        engine.run(RATE * 90, 1024)
        for deck, bpm in ((1, 126.0), (2, 117.0)):
            worst = max(worst, abs(phase(engine, deck)) * 60 / bpm * RATE)
    assert worst < 1.0, "frames"


def test_the_clock_takes_a_decks_tempo_and_beat(engine: OfflineEngine) -> None:
    engine.load_deck(1, engine.load(sine(60, 220), bpm=126), Grid.straight(126, 0.1))
    engine.set("/deck/1/rate", 1.02)
    engine.do("/deck/1/play")
    engine.run(RATE * 3 + 777)
    engine.do("/deck/1/lead")
    engine.run(RATE)
    assert engine.telemetry.snapshot()["clock"]["bpm"] == pytest.approx(126 * 1.02)
    assert phase(engine) == pytest.approx(0, abs=1e-4)
    engine.set("/deck/1/sync", True)
    engine.run(RATE)
    assert phase(engine) == pytest.approx(0, abs=1e-9)


def test_the_period_makes_no_difference(engine: OfflineEngine) -> None:
    outs = []
    for period in (64, 333, 1024):
        one = OfflineEngine()
        one.set("/clock/bpm", 123.4)
        locked(one)
        one.do("/deck/1/loop/roll", 0.5, frame=one.frame + 1000)
        one.do("/deck/1/loop/roll", 0.0, frame=one.frame + 20000)
        one.do("/deck/1/jog/turn", 0.1, frame=one.frame + 30000)
        outs.append(one.run(RATE, period))
    assert np.array_equal(outs[0], outs[1]) and np.array_equal(outs[0], outs[2])
