# SPDX-License-Identifier: GPL-3.0-or-later
"""Strips, crossfader, cue, master, limiter, panic, clock."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.engine.backends.offline import OfflineEngine
from appliance.engine.dsp.limiter import LOOK_AHEAD_FRAMES as DELAY
from tests.signals import RATE, roughness, sine


def playing(engine: OfflineEngine, audio: np.ndarray, deck: int = 1) -> None:
    engine.load_deck(deck, engine.load(audio, bpm=120))
    engine.do(f"/deck/{deck}/play")


def level(engine: OfflineEngine, seconds: float = 0.3) -> float:
    engine.run(round(0.3 * RATE))
    return float(np.abs(engine.run(round(seconds * RATE))[:, 0]).max())


def tones(seconds: float = 8.0) -> np.ndarray:
    return sine(seconds, 60, 0.1) + sine(seconds, 800, 0.1) + sine(seconds, 8000, 0.1)


def test_flat_strip_changes_no_bit(engine: OfflineEngine) -> None:
    audio = tones(2.0)
    playing(engine, audio)
    heard = engine.run(RATE)[:, :2]
    np.testing.assert_array_equal(heard[DELAY:], audio[: RATE - DELAY])


@pytest.mark.parametrize(("band", "hz"), [("low", 60), ("mid", 800), ("high", 8000)])
def test_a_killed_band_is_gone_and_the_others_stay(engine: OfflineEngine, band: str, hz: int) -> None:
    playing(engine, tones())
    engine.set(f"/channel/1/kill/{band}", True)
    engine.run(RATE)
    heard = engine.run(RATE)[:, 0]
    spectrum = np.abs(np.fft.rfft(heard)) / (RATE / 2)
    for other in (60, 800, 8000):
        assert spectrum[other] < 0.003 if other == hz else spectrum[other] == pytest.approx(0.1, rel=0.1)


def test_filter_knob(engine: OfflineEngine) -> None:
    playing(engine, tones())
    engine.set("/channel/1/filter", -0.5)
    engine.run(RATE)
    low_passed = np.abs(np.fft.rfft(engine.run(RATE)[:, 0])) / (RATE / 2)
    assert low_passed[60] > 0.08 and low_passed[8000] < 0.005
    engine.set("/channel/1/filter", 0.6)
    engine.run(RATE)
    high_passed = np.abs(np.fft.rfft(engine.run(RATE)[:, 0])) / (RATE / 2)
    assert high_passed[60] < 0.005 and high_passed[8000] > 0.08


def test_fader_taper_pan_mute_and_solo(engine: OfflineEngine) -> None:
    playing(engine, sine(30.0))
    engine.set("/channel/1/fader", 0.5)
    assert level(engine) == pytest.approx(0.075, rel=0.01)
    engine.set("/channel/1/fader", 1.0)
    engine.set("/channel/1/pan", 1.0)
    assert level(engine) == 0
    engine.set("/channel/1/pan", 0.0)
    engine.set("/channel/1/mute", True)
    assert level(engine) == 0
    engine.set("/channel/1/mute", False)
    engine.set("/channel/2/solo", True)
    assert level(engine) == 0
    engine.set("/channel/1/solo", True)
    assert level(engine) == pytest.approx(0.3, rel=0.01)


@pytest.mark.parametrize(("curve", "middle"), [("dipless", 1.0), ("power", 0.7071), ("cut", 1.0)])
def test_crossfader_curves(engine: OfflineEngine, curve: str, middle: float) -> None:
    playing(engine, sine(30.0))
    engine.set("/mixer/curve", curve)
    assert level(engine) == pytest.approx(0.3 * middle, rel=0.01)
    engine.set("/mixer/crossfader", 1.0)
    assert level(engine) == pytest.approx(0, abs=1e-4)
    engine.set("/mixer/crossfader", -1.0)
    assert level(engine) == pytest.approx(0.3, rel=0.01)


@pytest.mark.parametrize(("curve", "half"), [("taper", 0.25), ("linear", 0.5), ("slow", 0.0625), ("steep", 0.875)])
def test_fader_curves(engine: OfflineEngine, curve: str, half: float) -> None:
    """All open and close at the same ends; they differ half way."""
    playing(engine, sine(30.0))
    engine.set("/mixer/fader/curve", curve)
    for position, gain in ((1.0, 1.0), (0.5, half), (0.0, 0.0)):
        engine.set("/channel/1/fader", position)
        assert level(engine) == pytest.approx(0.3 * gain, rel=0.01), position


def test_a_reversed_crossfader_has_its_sides_changed(engine: OfflineEngine) -> None:
    playing(engine, sine(30.0))
    engine.set("/mixer/crossfader/reverse", True)
    engine.set("/mixer/crossfader", 1.0)
    assert level(engine) == pytest.approx(0.3, rel=0.01)
    engine.set("/mixer/crossfader", -1.0)
    assert level(engine) == pytest.approx(0, abs=1e-4)


def test_the_cut_opens_after_its_lag(engine: OfflineEngine) -> None:
    """Deck 1 is on side A, the other end is 1."""
    playing(engine, sine(30.0))
    engine.set("/mixer/curve", "cut")
    engine.set("/mixer/crossfader/lag", 0.1)
    for position, gain in ((1.0, 0.0), (0.91, 0.0), (0.875, 0.5), (0.84, 1.0), (-1.0, 1.0)):
        engine.set("/mixer/crossfader", position)
        assert level(engine) == pytest.approx(0.3 * gain, abs=2e-3), position
    engine.set("/mixer/curve", "dipless")
    engine.set("/mixer/crossfader", 0.95)
    assert level(engine) == pytest.approx(0.3 * 0.05, rel=0.01), "other curves know no lag"


def test_cue_hears_before_the_fader(engine: OfflineEngine) -> None:
    playing(engine, sine(4.0))
    engine.set("/channel/1/fader", 0.0)
    engine.set("/channel/1/cue", True)
    engine.run(RATE // 2)
    heard = engine.run(RATE)
    assert np.abs(heard[:, :2]).max() == 0
    assert np.abs(heard[:, 2]).max() == pytest.approx(0.3, rel=0.01)


def test_metronome_clicks_on_the_beat_on_the_cue_bus_only(engine: OfflineEngine) -> None:
    engine.set("/clock/metronome", True)
    heard = engine.run(4 * RATE)
    assert np.abs(heard[:, :2]).max() == 0
    loud = np.flatnonzero(np.abs(heard[:, 2]) > 0.05)
    starts = loud[np.flatnonzero(np.diff(loud, prepend=-RATE) > RATE // 4)]
    assert len(starts) == 8
    assert np.abs(starts - np.arange(8) * RATE / 2).max() < 100


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), loudness=st.floats(0.5, 8.0), shape=st.sampled_from(["noise", "bursts", "square"]))
def test_no_sample_goes_over_the_ceiling(seed: int, loudness: float, shape: str) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((12000, 2))
    if shape == "bursts":
        noise *= (rng.random((12000, 1)) < 0.002) * 10
    if shape == "square":
        noise = np.sign(np.sin(np.arange(12000)[:, None] * rng.uniform(0.01, 2)))
    engine = OfflineEngine()
    engine.set("/mixer/limiter/ceiling", -1.0)
    playing(engine, (loudness * noise).astype(np.float32))
    heard = engine.run(12000)[:, :2]
    assert np.abs(heard).max() <= 10 ** (-1 / 20) * 1.000001


def test_limiter_leaves_quiet_music_alone_and_lets_go_of_loud(engine: OfflineEngine) -> None:
    audio = sine(6.0)
    audio[RATE : RATE + 2000] *= 10
    playing(engine, audio)
    heard = engine.run(5 * RATE)[:, :2]
    np.testing.assert_array_equal(heard[DELAY : RATE - 100], audio[: RATE - 100 - DELAY])
    np.testing.assert_allclose(heard[4 * RATE :], audio[4 * RATE - DELAY : 5 * RATE - DELAY], rtol=1e-3, atol=1e-6)


def test_panic_mute_is_silent_in_10_ms_and_comes_back(engine: OfflineEngine) -> None:
    playing(engine, sine(10.0))
    engine.run(RATE)
    engine.set("/panic/mute", True)
    heard = engine.run(RATE)[:, :2]
    assert np.abs(heard[480 + DELAY + 64 :]).max() == 0
    assert roughness(heard) < 2 * roughness(sine(1.0))
    engine.set("/panic/mute", False)
    assert level(engine) == pytest.approx(0.3, rel=0.01)


def test_panic_tails_ends_held_notes_and_leaves_loops(engine: OfflineEngine) -> None:
    for pad, mode in ((1, "loop"), (2, "stutter"), (3, "gate"), (4, "oneshot")):
        engine.set(f"/pad/{pad}/mode", mode)
        engine.load_pad(pad, engine.load(sine(2.0), bpm=120, beats=4))
        engine.do(f"/pad/{pad}/trigger")
    engine.run(4800)
    assert list(engine.telemetry.snapshot()["pad"]["sounding"][:4]) == [1, 1, 1, 1]
    engine.do("/panic/tails")
    engine.run(4800)
    assert list(engine.telemetry.snapshot()["pad"]["sounding"][:4]) == [1, 0, 0, 0]


def test_tap_sets_the_tempo(engine: OfflineEngine) -> None:
    for _ in range(4):
        engine.do("/clock/tap")
        engine.run(RATE * 60 // 100)
    assert engine.values.get("/clock/bpm") == pytest.approx(100, rel=1e-6)


def test_a_new_metre_counts_from_the_next_bar_line(engine: OfflineEngine) -> None:
    engine.run(RATE)
    engine.set("/clock/metre", "3/4")
    engine.run(RATE // 2)
    assert engine.telemetry.snapshot()["clock"]["bar_length"] == 4
    engine.run(RATE // 2 + 128)
    told = engine.telemetry.snapshot()["clock"]
    assert (told["bar_length"], told["bar"], told["beat_in_bar"]) == (3, 2, 1)
    engine.run(RATE * 3 // 2)
    assert engine.telemetry.snapshot()["clock"]["bar"] == 3


def test_beats_do_not_drift_over_hours() -> None:
    engine = OfflineEngine()
    engine.set("/clock/bpm", 123.456)
    engine.run(128)
    engine.do("/clock/restart")
    engine.run(128)
    start = engine.frame - 128
    for _ in range(20):
        engine.run(8192 * 20, period=8192)
    expected = (engine.frame - start) * 123.456 / 60 / RATE
    assert float(engine.telemetry.snapshot()["clock"]["beat"]) == pytest.approx(expected, abs=1e-9)
