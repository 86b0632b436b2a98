# SPDX-License-Identifier: GPL-3.0-or-later
"""The voice in the headphones: heard there, while all else there steps back; of master and booth not a sample changes."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.bus.clips import Clip
from appliance.bus.commands import Code
from appliance.bus.commit import clips_in, committed
from appliance.bus.events import Kind, Refusal
from appliance.engine.backends.offline import OfflineEngine
from tests.signals import RATE, roughness, sine

MASTER, CUE, BOOTH = slice(0, 2), slice(2, 4), slice(4, 6)
PERIODS = (64, 128, 1000)


def speak(engine: OfflineEngine, clip: Clip | None, frame: int = 0) -> None:
    engine.commands.send(Code.SPEAK, 0, float(clip.handle if clip else 0), frame=frame)


def speech(seconds: float = 1.0, hz: float = 700.0, level: float = 0.5) -> np.ndarray:
    """As loud on both sides, begun and ended at once: whatever comes, it must not click."""
    tone = level * np.cos(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)
    return np.repeat(tone[:, None], 2, axis=1).astype(np.float32)


def music(engine: OfflineEngine) -> None:
    """A deck on the master, and in the headphones as well; a pad; the metronome."""
    engine.load_deck(1, engine.load(sine(20.0, 220.0, 0.4), bpm=120))
    engine.do("/deck/1/play")
    engine.load_pad(1, engine.load(sine(4.0, 330.0, 0.2), bpm=120, beats=8))
    engine.do("/pad/1/trigger")
    engine.set("/channel/1/cue", True)
    engine.run(RATE // 2)


def test_master_and_booth_are_the_same_to_the_bit(engine: OfflineEngine) -> None:
    silent = OfflineEngine()
    silent.set("/clock/quantize", "off")
    heard = []
    for each in (engine, silent):
        music(each)
        settings = {"/mixer/cue/mix": 0.5, "/clock/metronome": True, "/voice/gain": 6.0, "/mixer/master": 5.0}
        for address, value in settings.items():
            each.set(address, value)
        clip = each.load(speech(1.5))
        each.run(RATE // 4)
        pieces = []
        for step in range(12):
            if each is engine and step in (1, 5, 6):
                speak(each, clip)
            if each is engine and step == 9:
                speak(each, None)
            pieces.append(each.run(RATE // 4))
        heard.append(np.concatenate(pieces))
    differing = (heard[0] != heard[1]).sum(0)
    assert list(differing[[0, 1, 4, 5]]) == [0, 0, 0, 0]
    assert (differing[[2, 3]] > RATE).all()


@pytest.mark.parametrize(("setting", "value"), [("/mixer/cue/mix", 1.0), ("/mixer/cue/split", True), ("/panic/mute", True)])
def test_it_is_heard_whatever_the_headphones_are_on(engine: OfflineEngine, setting: str, value: object) -> None:
    engine.set(setting, value)
    engine.run(RATE // 4)
    speak(engine, engine.load(speech(1.0, level=0.5)))
    cue = engine.run(RATE)[:, CUE]
    np.testing.assert_allclose(np.abs(cue[RATE // 4 : RATE // 2]).max(0), 0.5, rtol=1e-3)


def test_its_gain_and_the_level_of_the_headphones(engine: OfflineEngine) -> None:
    engine.set("/voice/gain", -6.0)
    engine.set("/mixer/cue/level", -4.0)
    engine.run(RATE // 4)
    speak(engine, engine.load(speech(1.0, level=0.5)))
    cue = engine.run(RATE)[:, CUE]
    assert np.abs(cue[RATE // 4 : RATE // 2]).max() == pytest.approx(0.5 * 10 ** (-10 / 20), rel=1e-3)


def test_the_headphones_step_back_by_12_db_and_come_again(engine: OfflineEngine) -> None:
    music(engine)
    level = [np.abs(engine.run(RATE // 4)[:, 2]).max()]
    speak(engine, engine.load(np.zeros((RATE, 2), np.float32)))
    engine.run(RATE // 4)
    level.append(np.abs(engine.run(RATE // 2)[:, 2]).max())
    engine.run(RATE // 2)
    level.append(np.abs(engine.run(RATE // 4)[:, 2]).max())
    ducked = 20 * np.log10(level[1] / level[0])
    assert ducked == pytest.approx(-12.0, abs=0.05)
    assert level[2] == pytest.approx(level[0], rel=1e-6)


def test_nothing_clicks(engine: OfflineEngine) -> None:
    """Begun and ended in the middle of a wave, cut off by another, stopped: no bend is twice as sharp as the tones' own."""
    music(engine)
    clip = engine.load(speech(0.4))
    steady = roughness(engine.run(RATE // 4)[:, CUE])
    speak(engine, clip)
    engine.run(RATE // 8)
    speaking = roughness(engine.run(RATE // 8)[:, CUE])
    pieces = [engine.run(RATE // 2)[:, CUE]]
    for wait_frames, what in ((3000, clip), (3000, clip), (500, clip), (300, clip), (4000, None), (2000, clip), (7, clip)):
        speak(engine, what)
        pieces.append(engine.run(wait_frames)[:, CUE])
    pieces.append(engine.run(RATE)[:, CUE])
    assert roughness(np.concatenate(pieces)) <= 2 * max(steady, speaking)


def test_it_does_not_depend_on_the_period() -> None:
    heard = []
    for period in PERIODS:
        engine = OfflineEngine()
        engine.set("/clock/quantize", "off")
        music(engine)
        clip, begun = engine.load(speech(0.3)), engine.frame
        for after in (1000, 5000, 5300, 40000):
            speak(engine, clip, begun + after)
        speak(engine, None, begun + 44321)
        heard.append(engine.run(RATE, period)[:, CUE])
    np.testing.assert_array_equal(heard[0], heard[1])
    np.testing.assert_array_equal(heard[0], heard[2])


def test_it_ends_and_lets_go_of_its_clip(engine: OfflineEngine) -> None:
    clip = engine.load(speech(0.5))
    speak(engine, clip)
    engine.run(1000)
    assert engine.telemetry.snapshot()["voice"]["speaking"] == 1
    assert clip.handle in clips_in(committed(engine.segment)[0])
    heard = engine.run(RATE)[:, CUE]
    assert np.flatnonzero(np.abs(heard).max(1))[-1] < 0.5 * RATE
    assert engine.telemetry.snapshot()["voice"]["speaking"] == 0
    assert clip.handle not in clips_in(committed(engine.segment)[0])


def test_frames_that_nobody_heard_count(engine: OfflineEngine) -> None:
    speak(engine, engine.load(speech(1.0)))
    engine.run(1000)
    engine.commands.send(Code.SKIP, 0, float(RATE // 2))
    heard = engine.run(RATE)[:, CUE]
    assert np.flatnonzero(np.abs(heard).max(1))[-1] == pytest.approx(RATE // 2 - 1000, abs=64), "it fades out in its last cells"
    speak(engine, engine.load(speech(0.5)))
    engine.run(1000)
    engine.commands.send(Code.SKIP, 0, float(RATE))
    assert np.abs(engine.run(RATE // 10)[:, CUE]).max() == 0.0


def test_a_clip_that_is_not_there_is_refused(engine: OfflineEngine) -> None:
    engine.read_events()
    engine.commands.send(Code.SPEAK, 0, float((77 << 16) | 5))
    assert np.abs(engine.run(1000)).max() == 0.0
    refused = [event for event in engine.read_events() if event.kind == Kind.REFUSED]
    assert [(event.code, event.a) for event in refused] == [(Code.SPEAK, Refusal.NO_CLIP)]


def test_a_clip_of_another_rate_is_said_in_its_own_time(engine: OfflineEngine) -> None:
    """After the audio server has changed its rate: what is said was made for the one before."""
    clip = engine.load(speech(1.0))
    engine.clips.table[clip.place]["rate"] = RATE / 2
    speak(engine, clip)
    heard = engine.run(3 * RATE)[:, CUE]
    assert np.flatnonzero(np.abs(heard).max(1))[-1] == pytest.approx(2 * RATE, abs=RATE // 50)
