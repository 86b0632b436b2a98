# SPDX-License-Identifier: GPL-3.0-or-later
"""Another clock's MIDI, off line: followed through jitter, and what it does not know is held."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.engine.backends.offline import OfflineEngine
from tests.signals import RATE

TICK, START, CONTINUE, STOP, POSITION = 0xF8, 0xFA, 0xFB, 0xFC, 0xF2
PERIOD = 128


class Other:
    """A sequencer: its ticks fall where its tempo says, and reach us up to ``jitter_ms`` early or late."""

    def __init__(self, engine: OfflineEngine, bpm: float, jitter_ms: float = 0.0, seed: int = 1) -> None:
        self.engine, self.bpm, self.jitter = engine, bpm, jitter_ms * RATE / 1000
        self._random = np.random.default_rng(seed)
        self._now = 2000.0  # frames until the next tick's right time
        self._waiting: list[tuple[int, int, int, int]] = []
        self.phases: list[tuple[float, float, float]] = []  # seconds, our beat minus theirs, our tempo
        self.beat = 0.0
        self._base = 0.0

    def send(self, status: int, data: int = 0) -> None:
        self._waiting.append((self.engine.frame, status, data & 127, data >> 7))

    def play(self, seconds: float, *, silent: bool = False) -> None:
        end = self.engine.frame + round(seconds * RATE)
        while self.engine.frame < end:
            first = self.engine.frame
            while self._now < first + 4 * PERIOD:
                place = round(self._now + self._random.uniform(-1, 1) * self.jitter)
                if not silent:
                    self._waiting.append((max(place, first), TICK, 0, 0))
                self._now += 60 * RATE / self.bpm / 24
                self._base += 1 / 24
            now = sorted(m for m in self._waiting if m[0] < first + PERIOD)
            self._waiting = [m for m in self._waiting if m[0] >= first + PERIOD]
            self.engine.midi([(max(at - first, 0), 0, status, a, b) for at, status, a, b in now])
            self.engine.run(PERIOD, PERIOD)
            self.engine.midi([])
            told = self.engine.telemetry.snapshot()["clock"]
            theirs = self._base - (self._now - self.engine.frame) / (60 * RATE / self.bpm / 24) / 24
            self.phases.append((self.engine.frame / RATE, float(told["beat"]) - theirs, float(told["bpm"])))

    def phase_ms(self, since_s: float) -> np.ndarray:
        """Our beat against theirs, in ms, less whole beats."""
        apart = np.array([beats for at, beats, _ in self.phases if at >= since_s])
        return (apart - np.round(apart)) * 60000 / self.bpm


@pytest.fixture
def other(engine: OfflineEngine) -> Other:
    engine.set("/clock/source", "midi")
    return Other(engine, 127.3, jitter_ms=2.0)


def test_two_milliseconds_of_jitter_are_smoothed_away(other: Other) -> None:
    other.send(START)
    other.play(30)
    late = [bpm for at, _, bpm in other.phases if at > 2.0]
    assert np.abs(np.mean(late) / 127.3 - 1) < 0.0005
    assert np.abs(other.phase_ms(2.0)).max() < 1.0
    assert other.engine.values.get("/clock/bpm") == pytest.approx(127.3, rel=0.001)
    assert other.engine.telemetry.snapshot()["clock"]["following"] == 1


def test_a_lost_clock_holds_the_tempo(other: Other) -> None:
    other.send(START)
    other.play(5)
    other.play(5, silent=True)
    told = other.engine.telemetry.snapshot()["clock"]
    assert told["bpm"] == pytest.approx(127.3, rel=0.003) and told["running"] == 1
    assert told["following"] == 0
    other.play(5)
    assert np.abs(other.phase_ms(13.0)).max() < 1.5


def test_stop_continue_and_the_song_position(other: Other) -> None:
    engine = other.engine
    other.send(START)
    other.play(3)
    other.send(STOP)
    other.play(1)
    assert engine.values.get("/clock/play") is False
    other.send(POSITION, 64)  # beat 16
    other.send(CONTINUE)
    other.play(2)
    told = engine.telemetry.snapshot()["clock"]
    assert told["running"] == 1
    assert told["beat"] == pytest.approx(16 + 2 * 127.3 / 60, abs=0.15)


def test_a_change_of_tempo_is_followed_within_two_beats(other: Other) -> None:
    other.send(START)
    other.play(6)
    other.bpm = 140.0
    other.play(1.2)
    assert other.engine.telemetry.snapshot()["clock"]["bpm"] == pytest.approx(140, rel=0.02)
    other.play(4)
    assert other.engine.values.get("/clock/bpm") == pytest.approx(140, rel=0.001)


@pytest.mark.parametrize("bpm", [1.0, 999.0])
def test_a_clock_gone_mad_is_not_followed(engine: OfflineEngine, bpm: float) -> None:
    """Its start is a start; the tempo stays ours, and the box says that it follows nobody."""
    engine.set("/clock/source", "midi")
    engine.set("/clock/play", False)
    other = Other(engine, bpm)
    other.send(START)
    other.play(20)
    told = engine.telemetry.snapshot()["clock"]
    assert told["bpm"] == 120.0 and told["running"] == 1 and told["following"] == 0
    other.bpm = 128.0
    other.play(4)
    told = engine.telemetry.snapshot()["clock"]
    assert told["bpm"] == pytest.approx(128, rel=0.001) and told["following"] == 1, "back in its senses"
    other.bpm = bpm
    other.play(6)
    told = engine.telemetry.snapshot()["clock"]
    assert told["bpm"] == pytest.approx(128, rel=0.001) and told["following"] == 0, "the last good tempo holds"


def test_a_jump_while_it_runs_is_a_jump(other: Other) -> None:
    """A song position, then ticks that go on: the clock is there at once, and its tempo does not move."""
    other.send(START)
    other.play(4)
    other.send(POSITION, 400)  # beat 100
    begun = other.engine.frame
    other.play(2)
    told = other.engine.telemetry.snapshot()["clock"]
    passed = (other.engine.frame - begun) / RATE * 127.3 / 60
    assert told["beat"] == pytest.approx(100 + passed, abs=0.1)
    assert told["bpm"] == pytest.approx(127.3, rel=0.02) and told["running"] == 1


def test_a_stop_holds_beat_and_tempo_while_ticks_go_on(other: Other) -> None:
    other.send(START)
    other.play(4)
    other.send(STOP)
    other.play(0.1)
    beat = float(other.engine.telemetry.snapshot()["clock"]["beat"])
    other.bpm = 100.0
    other.play(4)
    told = other.engine.telemetry.snapshot()["clock"]
    assert told["beat"] == beat and told["running"] == 0
    assert told["bpm"] == pytest.approx(100, rel=0.001) and told["following"] == 1, "a tempo that moves meanwhile is known"


def test_with_its_own_clock_the_box_does_not_listen(engine: OfflineEngine) -> None:
    other = Other(engine, 90.0)
    other.send(START)
    other.play(3)
    assert engine.telemetry.snapshot()["clock"]["bpm"] == 120.0
    assert not [event for event in engine.read_events() if event.kind == 3], "and control is not bothered"
