# SPDX-License-Identifier: GPL-3.0-or-later
"""Talkover: the music steps back for a voice on a channel of its own, and comes back on the beat."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.engine.backends.offline import OfflineEngine
from appliance.engine.dsp.limiter import LOOK_AHEAD_FRAMES as DELAY
from tests.signals import RATE, roughness, sine

BEAT = RATE // 2
MUSIC_HZ, VOICE_HZ = 400, 3000


@pytest.fixture
def stage(engine: OfflineEngine) -> OfflineEngine:
    """A tone on deck 1; on pad 1, channel 8, another of 0.8 beats, which talks over it."""
    engine.load_deck(1, engine.load(sine(20.0, MUSIC_HZ, 0.3), bpm=120))
    engine.do("/deck/1/play")
    engine.load_pad(1, engine.load(sine(0.4, VOICE_HZ, 0.3)))
    engine.set("/pad/1/mode", "oneshot")
    engine.set("/pad/1/sync", False)
    engine.set("/pad/1/group", 4)
    engine.set("/pad/1/quantize", "1 bar")
    engine.set("/channel/8/talkover", True)
    engine.run(RATE)
    return engine


def levels(heard: np.ndarray, hz: float, frames: int = 1200) -> np.ndarray:
    """Of a tone, every ``frames``, in whole periods."""
    pieces = heard[: len(heard) // frames * frames, 0].reshape(-1, frames)
    wave = np.exp(-2j * np.pi * hz / RATE * np.arange(frames))
    return 2 * np.abs(pieces @ wave) / frames


def test_the_music_steps_back_at_once_and_comes_back_on_the_beat(stage: OfflineEngine) -> None:
    stage.do("/pad/1/trigger")
    heard = stage.run(4 * RATE)[DELAY:]
    music, voice = levels(heard, MUSIC_HZ), levels(heard, VOICE_HZ)
    begins = np.flatnonzero(voice > 0.15)[0] * 1200
    assert begins == pytest.approx(RATE, abs=1200)  # bar 2 of a clock that ran for one second before
    back = 10 ** (-12 / 20)
    quiet = np.flatnonzero(music < 1.1 * 0.3 * back)
    assert quiet[0] * 1200 - begins <= 0.06 * RATE
    assert music[quiet].min() == pytest.approx(0.3 * back, rel=0.01)
    # the voice ends after 0.8 beats, its meter a third of a second later: the beat after that is the second
    returns = (quiet[-1] + 1) * 1200
    assert returns == pytest.approx(begins + 2 * BEAT, abs=2400)
    assert music[quiet[-1] + 4 :].min() == pytest.approx(0.3, rel=0.01)
    after = heard[begins + RATE // 2 :, 0]  # the voice is over
    assert roughness(after) <= 2 * roughness(after[-RATE:])


@pytest.mark.parametrize(("grid", "beats"), [("1 bar", 4.0), ("off", 1.5)])
def test_where_it_comes_back(stage: OfflineEngine, grid: str, beats: float) -> None:
    stage.set("/mixer/talkover/back", grid)
    stage.do("/pad/1/trigger")
    music = levels(stage.run(5 * RATE)[DELAY:], MUSIC_HZ)
    quiet = np.flatnonzero(music < 0.15)
    assert (quiet[-1] + 1) * 1200 - RATE == pytest.approx(beats * BEAT, abs=0.15 * BEAT)


def test_depth_and_a_clock_that_stands(stage: OfflineEngine) -> None:
    stage.set("/mixer/talkover/depth", -60.0)
    stage.set("/pad/1/quantize", "off")
    stage.do("/pad/1/trigger")
    assert levels(stage.run(RATE // 2)[RATE // 4 : RATE // 4 + 6000], MUSIC_HZ).max() < 0.001, "-60 dB is silence"
    stage.set("/clock/play", False)
    assert levels(stage.run(RATE)[RATE // 2 :], MUSIC_HZ).min() == pytest.approx(0.3, rel=0.01)


def test_a_channel_that_does_not_talk_over_changes_nothing(stage: OfflineEngine) -> None:
    stage.set("/channel/8/talkover", False)
    stage.do("/pad/1/trigger")
    assert levels(stage.run(3 * RATE)[DELAY:], MUSIC_HZ).min() == pytest.approx(0.3, rel=0.01)
