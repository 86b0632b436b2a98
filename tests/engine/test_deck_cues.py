# SPDX-License-Identifier: GPL-3.0-or-later
"""Club cue and hot cues, off line."""

from __future__ import annotations

import pytest

from appliance.engine.backends.offline import OfflineEngine
from tests.signals import RATE, roughness, sine


def position(engine: OfflineEngine, deck: int = 1) -> float:
    return float(engine.telemetry.snapshot()["deck"]["position_s"][deck - 1]) * RATE


def plays(engine: OfflineEngine, deck: int = 1) -> bool:
    return bool(engine.telemetry.snapshot()["deck"]["playing"][deck - 1])


@pytest.fixture
def deck(engine: OfflineEngine) -> OfflineEngine:
    """Eight seconds at 120 BPM on deck 1: a beat is 24,000 frames."""
    engine.load_deck(1, engine.load(sine(8.0), bpm=120))
    engine.run(128)
    return engine


def test_stopped_elsewhere_the_cue_is_set_and_nothing_plays(deck: OfflineEngine) -> None:
    deck.do("/deck/1/seek", 0.26)
    deck.do("/deck/1/cue", 1.0)
    deck.run(4800)
    assert not plays(deck)
    assert deck.values.get("/deck/1/cue/at") == 2.0, "on the nearest beat"
    assert position(deck) == 2 * RATE, "the deck stands on it"


def test_stopped_on_the_cue_it_plays_while_held(deck: OfflineEngine) -> None:
    deck.set("/deck/1/cue/at", 2.0)
    deck.do("/deck/1/seek", 0.25)
    deck.do("/deck/1/cue", 1.0)
    deck.run(4800)
    assert plays(deck) and position(deck) == pytest.approx(2 * RATE + 4800)
    deck.do("/deck/1/cue", 0.0)
    deck.run(4800)
    assert not plays(deck) and position(deck) == 2 * RATE


def test_playing_it_returns_to_the_cue_and_stops(deck: OfflineEngine) -> None:
    deck.set("/deck/1/cue/at", 1.0)
    deck.do("/deck/1/play")
    deck.run(RATE * 3)
    deck.do("/deck/1/cue", 1.0)
    heard = deck.run(4800)
    assert not plays(deck) and position(deck) == RATE
    assert roughness(heard[:, 0]) < 2 * roughness(sine(1.0)[:, 0])


def test_play_pressed_while_the_cue_is_held_plays_on(deck: OfflineEngine) -> None:
    for address, value in (("/deck/1/cue", 1.0), ("/deck/1/play", -1.0), ("/deck/1/cue", 0.0)):
        deck.do(address, value)
        deck.run(2400)
    assert plays(deck)


def test_a_hot_cue_is_set_on_the_beat_and_jumped_to_in_phase(deck: OfflineEngine) -> None:
    deck.do("/deck/1/play")
    deck.run(RATE - 960)
    deck.do("/deck/1/hotcue/3/press", 1.0)
    deck.do("/deck/1/hotcue/3/press", 0.0)
    deck.run(128)
    assert deck.values.get("/deck/1/hotcue/3/at") == 1.0
    deck.run(RATE * 3 + 5000)
    before = position(deck)
    deck.do("/deck/1/hotcue/3/press", 1.0)
    heard = deck.run(1280)
    after = position(deck) - 1280
    assert after == pytest.approx(RATE, abs=12000), "the nearest place in phase"
    assert (before - after) / 24000 == pytest.approx(round((before - after) / 24000), abs=1e-6), "whole beats away"
    assert roughness(heard[:, 0]) < 2 * roughness(sine(1.0)[:, 0])


def test_without_quantise_a_hot_cue_is_exact(deck: OfflineEngine) -> None:
    deck.set("/deck/1/quantize", False)
    deck.do("/deck/1/play")
    deck.run(12345)
    deck.do("/deck/1/hotcue/1/set")
    deck.run(30000)
    deck.do("/deck/1/hotcue/1/press", 1.0)
    deck.run(1000, 1000)
    assert position(deck) == pytest.approx(12345 + 1000, abs=1e-3)


def test_stopped_a_hot_cue_plays_while_held_and_goes_back(deck: OfflineEngine) -> None:
    deck.set("/deck/1/hotcue/8/at", 3.0)
    deck.do("/deck/1/hotcue/8/press", 1.0)
    deck.run(4800)
    assert plays(deck) and position(deck) == pytest.approx(3 * RATE + 4800)
    deck.do("/deck/1/hotcue/8/press", 0.0)
    deck.run(480)
    assert not plays(deck) and position(deck) == 3 * RATE


def test_a_cleared_hot_cue_can_be_set_again(deck: OfflineEngine) -> None:
    deck.set("/deck/1/hotcue/2/at", 3.0)
    deck.do("/deck/1/hotcue/2/clear")
    deck.run(128)
    assert deck.values.get("/deck/1/hotcue/2/at") == -1.0
    deck.do("/deck/1/hotcue/2/press", 1.0)
    deck.run(128)
    assert deck.values.get("/deck/1/hotcue/2/at") == 0.0 and not plays(deck)


def test_in_slip_a_held_hot_cue_comes_back(deck: OfflineEngine) -> None:
    deck.set("/deck/1/slip", True)
    deck.set("/deck/1/hotcue/1/at", 0.0)
    deck.do("/deck/1/play")
    deck.run(RATE * 2)
    deck.do("/deck/1/hotcue/1/press", 1.0)
    deck.run(RATE // 2)
    assert position(deck) < RATE
    deck.do("/deck/1/hotcue/1/press", 0.0)
    deck.run(RATE // 2)
    assert position(deck) == pytest.approx(3 * RATE, abs=1)
