# SPDX-License-Identifier: GPL-3.0-or-later
"""Loops of a deck: auto, halved, doubled, moved, rolled, and with slip; off line."""

from __future__ import annotations

import pytest

from appliance.engine.backends.offline import OfflineEngine
from tests.signals import RATE, roughness, sine

BEAT = 24000


def position(engine: OfflineEngine) -> float:
    return float(engine.telemetry.snapshot()["deck"]["position_s"][0]) * RATE


def loop(engine: OfflineEngine) -> tuple[float, float]:
    return engine.values.get("/deck/1/loop/begin") * RATE, engine.values.get("/deck/1/loop/end") * RATE


@pytest.fixture
def deck(engine: OfflineEngine) -> OfflineEngine:
    """A deck that plays 16 seconds at 120 BPM."""
    engine.load_deck(1, engine.load(sine(16.0, 220), bpm=120))
    engine.do("/deck/1/play")
    engine.run(128)
    return engine


@pytest.mark.parametrize("beats", [1 / 32, 1 / 8, 1, 4, 16])
def test_an_auto_loop_of_any_length_begins_on_the_grid_and_keeps_the_beat(deck: OfflineEngine, beats: float) -> None:
    deck.set("/deck/1/loop/beats", beats)
    deck.run(BEAT * 3 + 5000)
    deck.do("/deck/1/loop/auto", 1.0)
    deck.run(RATE * 8)
    begin, end = loop(deck)
    assert (end - begin) == pytest.approx(beats * BEAT)
    assert begin / (min(beats, 1) * BEAT) == pytest.approx(round(begin / (min(beats, 1) * BEAT)), abs=1e-6)
    played = 128 + BEAT * 3 + 5000 + RATE * 8
    assert (position(deck) - played) % (beats * BEAT) == pytest.approx(0, abs=1e-3) or \
        (position(deck) - played) % (beats * BEAT) == pytest.approx(beats * BEAT, abs=1e-3)


def test_halved_doubled_and_moved_without_a_click(deck: OfflineEngine) -> None:
    deck.set("/deck/1/loop/beats", 4)
    deck.do("/deck/1/loop/auto", 1.0)
    deck.run(BEAT * 3)
    lengths = []
    for action, value in (("halve", 1.0), ("halve", 1.0), ("double", 1.0), ("move", 2.0), ("move", -1.0)):
        deck.do(f"/deck/1/loop/{action}", value)
        heard = deck.run(BEAT - 700)  # two jumps within 5 ms would be heard
        begin, end = loop(deck)
        lengths.append((begin / BEAT, (end - begin) / BEAT))
        assert begin - 64 <= position(deck) <= end
        assert roughness(heard[:, 0]) < 2 * roughness(sine(1.0)[:, 0])
    assert lengths == [(0, 2), (0, 1), (0, 2), (2, 2), (1, 2)]
    assert deck.values.get("/deck/1/loop/beats") == 2


def test_a_roll_repeats_and_goes_on_where_the_deck_would_be(deck: OfflineEngine) -> None:
    deck.run(BEAT * 4 - 128)
    deck.do("/deck/1/loop/roll", 0.5)
    deck.run(BEAT * 2)
    assert BEAT * 4 - 64 <= position(deck) <= BEAT * 4.5
    deck.do("/deck/1/loop/roll", 0.125)
    deck.run(BEAT)
    assert BEAT * 4 - 64 <= position(deck) <= BEAT * 4.125
    deck.do("/deck/1/loop/roll", 0.0)
    deck.run(BEAT)
    assert position(deck) == pytest.approx(BEAT * 8, abs=1)
    assert loop(deck) == (0, 0), "a roll takes no loop away"


def test_slip_comes_back_from_a_loop(deck: OfflineEngine) -> None:
    deck.set("/deck/1/slip", True)
    deck.set("/deck/1/loop/beats", 1)
    deck.do("/deck/1/loop/auto", 1.0)
    deck.run(BEAT * 7)
    assert position(deck) < BEAT + 64
    deck.do("/deck/1/loop/exit")
    deck.run(BEAT)
    assert position(deck) == pytest.approx(BEAT * 8 + 128, abs=1)


def test_a_jump_takes_the_loop_along(deck: OfflineEngine) -> None:
    deck.set("/deck/1/loop/beats", 1)
    deck.do("/deck/1/loop/auto", 1.0)
    deck.do("/deck/1/jump", 8.0)
    deck.run(BEAT * 5)
    assert BEAT * 8 - 64 <= position(deck) <= BEAT * 9


def test_a_loop_without_length_is_refused(deck: OfflineEngine) -> None:
    deck.do("/deck/1/loop/in")
    deck.do("/deck/1/loop/out")
    deck.run(BEAT * 2)
    assert position(deck) > BEAT
    assert any(e.kind == 7 for e in deck.read_events())


def test_the_loop_of_a_session_is_taken_over(deck: OfflineEngine) -> None:
    """Its ends are values: what sets them sets the loop."""
    deck.set("/deck/1/loop/begin", 2.0)
    deck.set("/deck/1/loop/end", 3.0)
    deck.do("/deck/1/loop/reloop")
    deck.run(RATE * 5)
    assert 2 * RATE - 64 <= position(deck) <= 3 * RATE
