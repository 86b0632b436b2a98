# SPDX-License-Identifier: GPL-3.0-or-later
"""Nudge, brake, soft start, censor, slip in reverse, jog and scratch; off line."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.engine.backends.offline import OfflineEngine
from tests.signals import RATE, roughness, sine

SMOOTH = 2 * roughness(sine(1.0)[:, 0])


def told(engine: OfflineEngine) -> np.void:
    return engine.telemetry.snapshot()["deck"][0]


def position(engine: OfflineEngine) -> float:
    return float(told(engine)["position_s"]) * RATE


@pytest.fixture
def deck(engine: OfflineEngine) -> OfflineEngine:
    engine.load_deck(1, engine.load(sine(16.0), bpm=120))
    engine.do("/deck/1/play")
    engine.run(RATE)
    return engine


def test_a_nudge_lasts_as_long_as_it_is_held(deck: OfflineEngine) -> None:
    deck.set("/deck/1/nudge", -0.04)
    heard = deck.run(RATE)
    deck.set("/deck/1/nudge", 0.0)
    deck.run(RATE)
    assert position(deck) == pytest.approx(3 * RATE - 0.04 * RATE, abs=64)
    assert told(deck)["speed"] == 1.0
    assert roughness(heard[:, 0]) < SMOOTH


def test_the_brake_runs_down_and_up_again(deck: OfflineEngine) -> None:
    deck.set("/deck/1/brake/seconds", 0.5)
    deck.do("/deck/1/brake", 1.0)
    heard = deck.run(RATE // 4)
    assert told(deck)["speed"] == pytest.approx(0.5, abs=0.01)
    heard = np.concatenate([heard, deck.run(RATE)])
    assert told(deck)["playing"] == 0
    assert position(deck) == pytest.approx(RATE * 1.25, abs=200)
    assert roughness(heard[:, 0]) < SMOOTH
    deck.do("/deck/1/brake", 0.0)
    heard = deck.run(RATE // 2 + 6400)
    assert told(deck)["speed"] == 1.0 and told(deck)["playing"] == 1
    assert position(deck) == pytest.approx(RATE * 1.5 + 6400, abs=400)
    assert roughness(heard[:, 0]) < SMOOTH


def test_censor_plays_backwards_and_returns(deck: OfflineEngine) -> None:
    deck.do("/deck/1/censor", 1.0)
    heard = deck.run(RATE // 2)
    assert position(deck) == pytest.approx(RATE / 2, abs=2500)
    deck.do("/deck/1/censor", 0.0)
    heard = np.concatenate([heard, deck.run(RATE // 2)])
    assert position(deck) == pytest.approx(2 * RATE, abs=1)
    assert roughness(heard[:, 0]) < SMOOTH


def test_reverse_with_slip_returns(deck: OfflineEngine) -> None:
    deck.set("/deck/1/slip", True)
    deck.set("/deck/1/reverse", True)
    deck.run(RATE // 2)
    assert told(deck)["away"] == 1
    deck.set("/deck/1/reverse", False)
    heard = deck.run(RATE // 2)
    assert position(deck) == pytest.approx(2 * RATE, abs=1)
    assert roughness(heard[:, 0]) < SMOOTH


def test_slip_switched_off_brings_it_back_at_once(deck: OfflineEngine) -> None:
    deck.set("/deck/1/slip", True)
    deck.set("/deck/1/reverse", True)
    deck.run(RATE // 2)
    deck.set("/deck/1/slip", False)
    deck.run(640)
    assert position(deck) == pytest.approx(1.5 * RATE, abs=1400)
    assert told(deck)["away"] == 0


def test_backwards_it_ends_at_the_beginning(deck: OfflineEngine) -> None:
    deck.set("/deck/1/reverse", True)
    deck.run(RATE * 2)
    assert (told(deck)["playing"], position(deck)) == (0, 0)


def hand(engine: OfflineEngine, turns: np.ndarray, every: int = 240) -> np.ndarray:
    """A hand that moves the jog by these turns, one every ``every`` frames."""
    out = []
    for turn in turns:
        engine.do("/deck/1/jog/turn", float(turn))
        out.append(engine.run(every))
    return np.concatenate(out)


def test_the_record_follows_the_hand(deck: OfflineEngine) -> None:
    start = position(deck)
    deck.do("/deck/1/jog/touch", 1.0)
    deck.run(4800)
    held = position(deck)
    assert held == pytest.approx(start, abs=1000), "a hand stops the record"
    assert np.abs(deck.run(4800)[2400:, 0]).max() < 1e-3, "and it is silent"
    heard = hand(deck, np.full(100, 0.5 / 100))
    deck.run(4800)
    assert position(deck) == pytest.approx(held + 0.5 * 1.8 * RATE, abs=64)
    assert roughness(heard[:, 0]) < 3 * SMOOTH  # it is played faster than it was recorded
    hand(deck, np.full(100, -0.25 / 100))
    deck.run(4800)
    assert position(deck) == pytest.approx(held + 0.25 * 1.8 * RATE, abs=64)


def test_let_go_the_motor_takes_it_back(deck: OfflineEngine) -> None:
    deck.do("/deck/1/jog/touch", 1.0)
    hand(deck, np.full(50, -0.002))
    deck.do("/deck/1/jog/touch", 0.0)
    heard = deck.run(RATE // 2)
    assert told(deck)["speed"] == 1.0
    assert roughness(heard[:, 0]) < 3 * SMOOTH


def test_with_slip_a_scratch_leaves_the_set_where_it_was(deck: OfflineEngine) -> None:
    deck.set("/deck/1/slip", True)
    deck.do("/deck/1/jog/touch", 1.0)
    hand(deck, np.sin(np.arange(200) / 5) * 0.02)
    deck.do("/deck/1/jog/touch", 0.0)
    deck.run(RATE - 200 * 240 % RATE)
    assert position(deck) == pytest.approx(RATE + 200 * 240 + RATE - 200 * 240 % RATE, abs=1)


def test_a_deck_that_stands_is_heard_under_the_hand_and_stays(deck: OfflineEngine) -> None:
    deck.do("/deck/1/play", 0.0)
    deck.run(4800)
    deck.do("/deck/1/jog/touch", 1.0)
    heard = hand(deck, np.full(50, 0.01))
    assert np.abs(heard[:, 0]).max() > 0.05
    deck.do("/deck/1/jog/touch", 0.0)
    deck.run(RATE)
    there = position(deck)
    assert np.abs(deck.run(4800)).max() == 0 and position(deck) == there
    assert told(deck)["playing"] == 0


def test_the_record_has_ends(deck: OfflineEngine) -> None:
    deck.do("/deck/1/jog/touch", 1.0)
    heard = hand(deck, np.full(100, -0.2))
    assert position(deck) == pytest.approx(0, abs=RATE / 20)
    heard = np.concatenate([heard, hand(deck, np.full(100, 0.02))])
    deck.run(4800)
    assert position(deck) == pytest.approx(2.0 * 1.8 * RATE, abs=RATE / 10)
    assert np.isfinite(heard).all()


def test_an_untouched_jog_pushes_the_deck_along(deck: OfflineEngine) -> None:
    heard = hand(deck, np.full(20, 0.01))
    deck.run(RATE - 20 * 240)
    assert position(deck) == pytest.approx(2 * RATE + 0.2 * 0.3 * RATE, abs=64)
    assert roughness(heard[:, 0]) < 1.6 * SMOOTH  # 1.6 times as fast
