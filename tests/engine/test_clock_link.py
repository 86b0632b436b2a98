# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's side of Ableton Link, off line: it follows what control says of the session, evenly, and holds at its end."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.bus.linkword import LinkWord
from appliance.engine.backends.offline import OfflineEngine
from appliance.engine.dsp.limiter import LOOK_AHEAD_FRAMES
from tests.signals import RATE

PERIOD = 128


class Session:
    """A session at ``bpm`` whose beats count from ``beat`` at time 0; its seconds last ``drift`` longer than the engine's."""

    def __init__(self, engine: OfflineEngine, bpm: float, beat: float = 0.0, drift: float = 0.0) -> None:
        self.engine, self.bpm, self.drift = engine, bpm, drift
        self._word = LinkWord(engine.segment)
        self._at_ns, self._beat = 0.0, beat
        self.peers = 1
        self.phases_ms: list[float] = []
        self.tempos: list[float] = []

    def beat(self, ns: float) -> float:
        return self._beat + (ns - self._at_ns) * (1 - self.drift) * self.bpm / 60e9

    def change(self, bpm: float) -> None:
        now = self.engine.frame * 1e9 / RATE
        self._at_ns, self._beat, self.bpm = now, self.beat(now), bpm

    def play(self, seconds: float, *, silent: bool = False) -> None:
        end = self.engine.frame + round(seconds * RATE)
        look = 0
        while self.engine.frame < end:
            now = self.engine.frame * 1e9 / RATE
            if not silent and self.engine.frame >= look:
                look = self.engine.frame + RATE // 50
                self._word.tell(int(now) + 1, self.beat(int(now) + 1), self.bpm, self.peers)
            self.engine.run(PERIOD, PERIOD)
            told = self.engine.telemetry.snapshot()["clock"]
            bar = float(told["bar_length"])
            apart = float(told["bar_phase"]) * bar - self.beat(float(told["heard_ns"]))
            apart -= np.round(apart / bar) * bar
            self.phases_ms.append(apart * 60e3 / self.bpm)
            self.tempos.append(float(told["bpm"]))

    @property
    def told(self) -> np.void:
        return self.engine.telemetry.snapshot()["clock"]


@pytest.fixture
def session(engine: OfflineEngine) -> Session:
    engine.set("/clock/source", "link")
    return Session(engine, 127.3, beat=1234.567)


def test_the_bar_is_the_sessions_within_two_seconds(session: Session) -> None:
    session.play(2)
    session.phases_ms.clear()
    session.play(20)
    assert np.abs(session.phases_ms).max() < 0.01
    assert session.engine.values.get("/clock/bpm") == pytest.approx(127.3)
    assert session.told["following"] == 1


@pytest.mark.parametrize("metre", ["3/4", "7/8"])
def test_bars_of_any_length_begin_together(engine: OfflineEngine, metre: str) -> None:
    engine.set("/clock/metre", metre)
    engine.set("/clock/source", "link")
    engine.run(RATE * 3, PERIOD)  # the metre waits for its bar line
    session = Session(engine, 101.0, beat=-17.3)
    session.play(8)
    assert float(session.told["bar_length"]) == {"3/4": 3.0, "7/8": 3.5}[metre]
    assert abs(session.phases_ms[-1]) < 0.02


def test_what_is_heard_is_on_the_beat_not_what_is_rendered(session: Session) -> None:
    """The look-ahead of the limiter and the latency of the sound card are part of the phase."""
    session.engine.context["playback_latency"] = 700
    session.play(4)
    told = session.told
    later_frames = (int(told["heard_ns"]) * 1e-9 - int(told["frame"]) / RATE) * RATE
    assert later_frames == pytest.approx(LOOK_AHEAD_FRAMES + 700, abs=0.01)
    assert abs(session.phases_ms[-1]) < 0.01


def test_a_sound_card_whose_seconds_are_others_is_steered_evenly(engine: OfflineEngine) -> None:
    engine.set("/clock/source", "link")
    session = Session(engine, 120.0, drift=1e-4)
    session.play(8)
    session.phases_ms.clear()
    session.tempos.clear()
    session.play(20)
    assert np.abs(session.phases_ms).max() < 0.2
    assert np.ptp(session.tempos) < 1e-3


def test_a_new_tempo_is_taken_without_a_jump_of_the_beat(session: Session) -> None:
    session.play(5)
    session.phases_ms.clear()
    session.change(100.0)
    session.play(3)
    assert np.abs(session.phases_ms).max() < 15
    assert abs(session.phases_ms[-1]) < 0.2
    assert session.engine.values.get("/clock/bpm") == 100.0


def test_the_tempo_holds_when_nothing_is_heard_any_more(session: Session) -> None:
    session.play(5)
    session.play(10, silent=True)
    assert session.told["following"] == 0 and session.told["running"] == 1
    assert float(session.told["bpm"]) == 127.3
    session.play(3)
    assert session.told["following"] == 1 and abs(session.phases_ms[-1]) < 0.01


def test_alone_in_a_session_nobody_is_followed(session: Session) -> None:
    session.peers = 0
    session.play(3)
    assert session.told["following"] == 0


@pytest.mark.parametrize("bpm", [19.0, 420.0])
def test_a_tempo_out_of_range_is_not_followed(engine: OfflineEngine, bpm: float) -> None:
    engine.set("/clock/source", "link")
    session = Session(engine, bpm)
    session.play(3)
    assert session.told["bpm"] == 120.0 and session.told["following"] == 0


def test_a_start_is_at_once_on_the_sessions_beat(session: Session) -> None:
    session.engine.set("/clock/play", False)
    session.play(3.21)
    session.engine.set("/clock/play", True)
    session.phases_ms.clear()
    session.play(1)
    assert np.abs(session.phases_ms[1:]).max() < 0.01


@pytest.mark.parametrize(("offset", "early_ms"), [(-200.0, -200.0), (35.0, 35.0), (200.0, 200.0)])
def test_an_offset_moves_what_is_heard(session: Session, offset: float, early_ms: float) -> None:
    session.engine.set("/clock/link/offset", offset)
    session.play(6)
    assert session.phases_ms[-1] == pytest.approx(early_ms, abs=0.05)


def test_a_hand_on_the_tempo_is_not_taken_back_before_the_session_has_it(session: Session) -> None:
    session.play(3)
    session.engine.set("/clock/bpm", 90.0)
    session.play(0.2)
    assert session.told["bpm"] == 90.0
    session.play(3)
    assert session.told["bpm"] == pytest.approx(127.3, rel=1e-3), "where Link does not take it, Link's counts"


def test_the_other_source_goes_on_with_the_tempo_that_was_followed(session: Session) -> None:
    session.play(3)
    session.engine.set("/clock/source", "internal")
    session.play(1)
    assert session.told["following"] == 0
    assert float(session.told["bpm"]) == 127.3


def test_the_period_makes_no_difference() -> None:
    beats = []
    for period in (64, 480, 1024):
        engine = OfflineEngine()
        engine.set("/clock/source", "link")
        LinkWord(engine.segment).tell(1, 7.3, 131.0, 1)
        engine.run(RATE, period)
        beats.append(float(engine.telemetry.snapshot()["clock"]["beat"]))
    assert np.ptp(beats) < 1e-6


def test_what_a_writer_left_half_written_is_not_taken(engine: OfflineEngine) -> None:
    engine.set("/clock/source", "link")
    word = LinkWord(engine.segment)
    word.tell(1, 0.0, 140.0, 1)
    engine.record["link"]["sequence"] += 1
    engine.run(RATE, PERIOD)
    assert engine.telemetry.snapshot()["clock"]["bpm"] == 120.0
    word.tell(1, 0.0, 140.0, 1)
    engine.run(RATE, PERIOD)
    assert engine.telemetry.snapshot()["clock"]["bpm"] == pytest.approx(140.0, rel=0.01)
