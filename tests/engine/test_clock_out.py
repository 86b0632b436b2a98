# SPDX-License-Identifier: GPL-3.0-or-later
"""MIDI clock out, off line: every tick at its frame, whatever the tempo and the period do."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.engine.backends.offline import OfflineEngine
from appliance.engine.dsp.limiter import LOOK_AHEAD_FRAMES
from tests.signals import RATE

TICK, START, CONTINUE, STOP, POSITION = 0xF8, 0xFA, 0xFB, 0xFC, 0xF2


def sent(engine: OfflineEngine, frames: int, period: int = 128) -> list[tuple[int, int, int]]:
    """``(frame, status, data)`` of all messages; frames count from the engine's first."""
    found: list[tuple[int, int, int]] = []
    end = engine.frame + frames
    while engine.frame < end:
        first, count = engine.frame, min(period, end - engine.frame)
        engine.run(count, count)
        rows = engine.context["clock_out"][0][: int(engine.context["clock_out_count"][0])]
        assert (np.diff(rows[:, 0]) >= 0).all(), "in the order of time"
        found += [(first + int(at), int(data) & 0xFF, int(data) >> 8) for at, _, data in rows]
    return found


def ticks(messages: list[tuple[int, int, int]]) -> np.ndarray:
    return np.array([frame for frame, status, _ in messages if status == TICK])


@pytest.mark.parametrize("period", [64, 128, 1000, 4096])
@pytest.mark.parametrize("bpm", [20.0, 123.4, 300.0])
def test_ten_minutes_without_jitter(engine: OfflineEngine, bpm: float, period: int) -> None:
    engine.set("/clock/bpm", bpm)
    at = ticks(sent(engine, RATE * (600 if period == 4096 else 20), period))
    ideal = np.ceil(np.arange(len(at)) * 60 * RATE / bpm / 24 - 1e-6) + LOOK_AHEAD_FRAMES
    assert len(at) > 100 and np.abs(at - ideal).max() == 0


def test_start_stop_and_continue_with_the_song_position(engine: OfflineEngine) -> None:
    messages = sent(engine, RATE)
    assert messages[0][1] == START and messages[1][1] == TICK
    engine.set("/clock/play", False)
    messages = sent(engine, RATE // 2)
    assert [status for _, status, _ in messages if status != TICK] == [STOP]
    assert len(ticks(messages)) < 3
    engine.set("/clock/play", True)
    messages = sent(engine, RATE)
    assert [status for _, status, _ in messages[:3]] == [POSITION, CONTINUE, TICK]
    beat = float(engine.telemetry.snapshot()["clock"]["beat"]) - 2
    place = (messages[0][2] & 127) | messages[0][2] >> 8 << 7
    assert place == pytest.approx(beat * 4, abs=1)
    assert len(ticks(messages)) == pytest.approx(48, abs=1)


def test_a_restart_is_a_start(engine: OfflineEngine) -> None:
    sent(engine, RATE * 3)
    engine.do("/clock/restart")
    messages = sent(engine, RATE)
    assert START in [status for _, status, _ in messages]
    after = next(frame for frame, status, _ in messages if status == START)
    assert len(ticks([m for m in messages if m[0] >= after])) == pytest.approx(48, abs=1)


def test_a_tempo_change_loses_and_adds_no_tick(engine: OfflineEngine) -> None:
    messages = sent(engine, RATE)
    for bpm in (90, 140, 175.5, 60):
        engine.set("/clock/bpm", bpm)
        messages += sent(engine, RATE * 2, 333)
    beats = float(engine.telemetry.snapshot()["clock"]["beat"])
    assert len(ticks(messages)) == pytest.approx(beats * 24, abs=1.1)
    assert [status for _, status, _ in messages if status != TICK] == [START]


@pytest.mark.parametrize("offset", [-200.0, -3.0, 150.0])
def test_an_offset_moves_the_ticks(engine: OfflineEngine, offset: float) -> None:
    engine.set("/clock/out/offset", offset)
    at = ticks(sent(engine, RATE * 5))
    ideal = np.arange(-500, 500) * RATE / 48 + LOOK_AHEAD_FRAMES + offset * RATE / 1000
    assert np.abs(at[30:, None] - ideal[None, :]).min(1).max() <= 1


def test_switched_off_it_is_silent(engine: OfflineEngine) -> None:
    engine.set("/clock/out/midi", False)
    assert sent(engine, RATE) == []
