# SPDX-License-Identifier: GPL-3.0-or-later
"""Decks, off line."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.bus.events import Kind
from appliance.engine.backends.offline import OfflineEngine
from appliance.engine.dsp.limiter import LOOK_AHEAD_FRAMES as DELAY
from tests.signals import RATE, ramp, roughness, sine


def position(engine: OfflineEngine, deck: int = 1) -> float:
    """Playhead in frames."""
    return float(engine.telemetry.snapshot()["deck"]["position_s"][deck - 1]) * RATE


def test_play_pause_and_on_from_there(engine: OfflineEngine) -> None:
    clip = ramp(RATE)
    engine.load_deck(1, engine.load(clip))
    engine.do("/deck/1/play")
    heard = engine.run(10000)[:, :2]
    np.testing.assert_allclose(heard[DELAY:], clip[: 10000 - DELAY], atol=1e-6)
    engine.do("/deck/1/play", 0.0)
    engine.run(5000)
    assert position(engine) == pytest.approx(10000)
    engine.do("/deck/1/play", -1.0)
    heard = engine.run(5000)[:, :2]
    np.testing.assert_allclose(heard[DELAY + 300 :], clip[10300 : 15000 - DELAY], atol=1e-6)


@pytest.mark.parametrize("rate", [0.5, 1.25, 1.5])
def test_varispeed_moves_pitch_and_playhead(engine: OfflineEngine, rate: float) -> None:
    engine.load_deck(1, engine.load(sine(4.0, 500)))
    engine.set("/deck/1/rate", rate)
    engine.do("/deck/1/play")
    heard = engine.run(RATE)[:, 0]
    assert position(engine) == pytest.approx(RATE * rate, abs=1)
    spectrum = np.abs(np.fft.rfft(heard[4800:] * np.hanning(len(heard) - 4800)))
    assert np.argmax(spectrum) * RATE / (len(heard) - 4800) == pytest.approx(500 * rate, rel=0.005)


def test_reverse(engine: OfflineEngine) -> None:
    clip = ramp(RATE)
    engine.load_deck(1, engine.load(clip))
    engine.do("/deck/1/seek", 0.5)
    engine.set("/deck/1/reverse", True)
    engine.do("/deck/1/play")
    heard = engine.run(5000)[:, :2]
    np.testing.assert_allclose(heard[DELAY + 1000 : 4000], clip[24000 - 1000 : 24000 - 4000 + DELAY : -1], atol=1e-6)


def test_auto_loop_repeats_without_drift_or_click(engine: OfflineEngine) -> None:
    clip = sine(4.0, 220)
    engine.load_deck(1, engine.load(clip, bpm=120))
    engine.set("/deck/1/loop/beats", 0.5)
    engine.do("/deck/1/seek", 0.25)
    engine.do("/deck/1/play")
    engine.do("/deck/1/loop/auto")
    heard = engine.run(12000 * 20)
    assert roughness(heard[DELAY + 300 :, 0]) < 2 * roughness(clip[:, 0])
    assert position(engine) == pytest.approx(RATE, abs=64)
    engine.do("/deck/1/loop/auto", -1.0)
    engine.run(RATE)
    assert position(engine) == pytest.approx(2 * RATE, abs=64)


def test_loop_in_out_exit_reloop(engine: OfflineEngine) -> None:
    engine.load_deck(1, engine.load(sine(8.0), bpm=120))
    engine.set("/deck/1/quantize", False)
    engine.do("/deck/1/play")
    engine.run(4800)
    engine.do("/deck/1/loop/in")
    engine.run(9600)
    engine.do("/deck/1/loop/out")
    engine.run(96000)
    assert 4700 <= position(engine) <= 14400
    engine.do("/deck/1/loop/exit")
    engine.run(48000)
    assert position(engine) > 40000
    engine.do("/deck/1/loop/reloop")
    engine.run(128)
    assert 4700 <= position(engine) <= 14400


def test_the_end_stops_the_deck_and_is_told(engine: OfflineEngine) -> None:
    engine.load_deck(2, engine.load(sine(0.1)))
    engine.do("/deck/2/play")
    engine.run(9600)
    assert [(e.kind, e.index) for e in engine.read_events() if e.kind == Kind.ENDED] == [(Kind.ENDED, 1)]
    assert engine.telemetry.snapshot()["deck"]["playing"][1] == 0


def test_jump_by_beats(engine: OfflineEngine) -> None:
    engine.load_deck(1, engine.load(sine(8.0), bpm=120))
    engine.do("/deck/1/play")
    engine.do("/deck/1/jump", 4.0)
    engine.run(480)
    assert position(engine) == pytest.approx(96000 + 480)


def test_what_is_not_decoded_yet_is_silence_not_noise(engine: OfflineEngine) -> None:
    clip = engine.load(sine(2.0))
    engine.clips.table[clip.place]["readable"] = 4800
    engine.load_deck(1, clip)
    engine.do("/deck/1/play")
    heard = engine.run(20000)[:, :2]
    assert np.abs(heard[6000:]).max() == 0
