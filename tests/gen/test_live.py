# SPDX-License-Identifier: GPL-3.0-or-later
"""The live stream of the embedded generator on the engine's clock: bars, knobs, drops, captures, tempo."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.gen.backends.procedural import MAKERS
from appliance.gen.backends.procedural.song import compose
from appliance.gen.live import bars
from appliance.gen.live.bars import Place
from appliance.gen.live.player import Capture
from appliance.gen.live.steering import Steering, Texts, heard, steering
from appliance.gen.request import parse_request
from tests.gen.livestage import RATE, STEP, Stage, gaps

RHYTHM = heard(bass=True, drums=True, others=False)
FRAMES = RATE  # a bar of 4/4 at 240 BPM


def place(bar: int = 0, **more: object) -> Place:
    return replace(Place(FRAMES, 4.0, bar), **more)


@pytest.fixture
def stage() -> Stage:
    """At 240 BPM: a bar is a second. Rhythm alone, which costs least."""
    made = Stage()
    made.values.set("/gen/live/only_bass_and_drums", True)
    return made


def test_the_bars_of_a_loop_with_their_tails_are_the_loop() -> None:
    """But for what is played before its beat: that has no bar before it, and is on the line."""
    fields = {"style": "deep_house", "bars": 4, "bpm": 120, "seed": 5, "effects": ["delay"], "humanize": 0.0}
    whole = compose(parse_request(fields).resolved())
    for part in ("percussion", "bass", "chords"):
        loop = MAKERS[part](whole)
        laid = np.zeros_like(loop)
        for number in range(4):
            piece = MAKERS[part](replace(whole, bar=number, tail_bars=3))
            laid += np.roll(piece, number * loop.shape[1] // 4, axis=1)
        assert np.abs(loop).max() > 0.05
        np.testing.assert_allclose(laid, loop, atol=1e-5)


def test_the_same_state_is_the_same_bytes_and_every_knob_another() -> None:
    state = Steering(prompts=(("deep house, warm rhodes", 1.0),), seed=4)
    first = bars.bar(state, place(2), RATE)
    bars._gains.cache_clear()
    bars._bed.cache_clear()
    assert np.array_equal(first, bars.bar(state, place(2), RATE))
    assert 0.05 < np.sqrt(np.mean(first[:FRAMES] ** 2)) < 0.35
    for other in ({"density": 0.9}, {"brightness": 0.9}, {"key": "C minor"}, {"seed": 5}, {"prompts": (("dub", 1.0),)},
                  {"parts": RHYTHM}):
        assert np.abs(bars.bar(replace(state, **other), place(2), RATE) - first).max() > 0.01, other
    assert np.abs(bars.bar(state, place(2, phrase=5), RATE) - first).max() > 0.01, "it never varies"


def test_brightness_is_heard_above_and_mutes_leave_the_rest_alone() -> None:
    def above(sound: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(sound[:, 0])) ** 2
        return float(power[len(power) // 5 :].sum() / power.sum())

    state = Steering(seed=2)
    dark, bright = (bars.bar(replace(state, brightness=value), place(), RATE) for value in (0.0, 1.0))
    assert above(bright) > 4 * above(dark)
    whole = bars.bar(state, place(1), RATE)
    rhythm, rest = RHYTHM, tuple(part for part in state.parts if part not in RHYTHM)
    parts = [bars.bar(replace(state, parts=some), place(1), RATE) for some in (rhythm, rest)]
    np.testing.assert_allclose(parts[0] + parts[1], whole, atol=1e-4)
    assert not bars.bar(replace(state, parts=()), place(), RATE).any()


def test_two_styles_are_heard_by_weight_and_in_one_harmony() -> None:
    state = Steering(prompts=(("techno", 0.75), ("dub", 0.25), ("dusty", 0.1)))
    one, two = bars.voices(state)
    assert (one.request.style, two.request.style) == ("techno_minimal", "dub")
    assert one.gain**2 == pytest.approx(0.75) and two.gain**2 == pytest.approx(0.25)
    assert one.request.texture == two.request.texture == "vinyl", "words without a style are for all"
    assert len(bars.voices(replace(state, prompts=(("techno", 1.0), ("dub", 0.01))))) == 1


def test_it_begins_on_a_line_and_stands_on_the_grid(stage: Stage) -> None:
    line = stage.to_line(4, 0.05) - FRAMES
    first = stage.player.since
    assert first is not None and 1 <= first <= 3
    start = line - (3 - first) * FRAMES
    sound = stage.heard
    assert not np.abs(sound[:start]).max() > 1e-6
    expected = bars.bar(stage_state(stage), place(first, bars=8), RATE)
    np.testing.assert_allclose(sound[start : start + FRAMES], expected[:FRAMES], atol=2e-4)
    second = bars.bar(stage_state(stage), place(first + 1, bars=8), RATE)
    both = expected[FRAMES : 2 * FRAMES] + second[:FRAMES]
    np.testing.assert_allclose(sound[start + FRAMES : start + 2 * FRAMES], both, atol=2e-4)
    assert not gaps(sound[start : line + FRAMES // 2]) and stage.stalls == 0


def stage_state(stage: Stage) -> Steering:
    return steering(stage.values, stage.texts)


def test_a_knob_is_heard_from_the_next_bar_and_too_late_from_the_one_after(stage: Stage) -> None:
    stage.making.late_s = 0.2
    stage.to_line(3, 0.05)
    before = stage_state(stage)
    stage.values.set("/gen/live/density", 1.0)
    stage.to_line(4, 0.9)  # so late that the next bar is on its way
    stage.values.set("/gen/live/density", 0.0)
    end = stage.to_line(6, 0.55)
    sound = stage.heard
    busy, sparse = replace(before, density=1.0), replace(before, density=0.0)
    for bar, state, previous in ((4, busy, before), (5, busy, busy), (6, sparse, busy)):
        here = end - (6 - bar) * FRAMES
        now = bars.bar(state, place(bar % 8), RATE)[: FRAMES // 2]
        rest = sum(bars.bar(some, place((bar - back) % 8), RATE)[back * FRAMES :][: FRAMES // 2]
                   for back, some in ((1, previous), (2, before if bar == 4 else busy if bar == 6 else before)))
        np.testing.assert_allclose(sound[here : here + FRAMES // 2], now + rest, atol=0.02, err_msg=f"bar {bar}")


def test_a_part_that_is_muted_rings_out(stage: Stage) -> None:
    stage.to_line(3, 0.05)
    stage.values.set("/gen/live/mute_drums", True)
    stage.values.set("/gen/live/mute_bass", True)
    line = stage.to_line(4, 0.5)
    sound = stage.heard
    after = np.abs(sound[line : line + FRAMES // 4]).max()
    assert 1e-4 < after < 0.2, "it is cut off, or goes on"
    assert np.abs(np.diff(sound[line - 200 : line + 200, 0])).max() < 0.05


@pytest.mark.parametrize("bpm", [200.0, 280.0])
def test_it_follows_another_tempo_without_a_gap(stage: Stage, bpm: float) -> None:
    stage.to_line(3, 0.3)
    stage.values.set("/clock/bpm", bpm)
    stage.to_line(4)
    frames = 4 * 60 / bpm * RATE
    line = stage.to_line(6, 0.5 * frames / RATE)
    sound = stage.heard
    begun = int(np.flatnonzero(np.abs(sound).max(axis=1) > 1e-3)[0])
    assert not gaps(sound[begun : line + 1000]) and stage.stalls == 0
    expected = bars.bar(stage_state(stage), Place(frames, 4.0, 6), RATE)[:4000]
    near = sound[line : line + 4000]
    assert np.corrcoef(near[:, 0], expected[:, 0])[0, 1] > 0.9, "the bar is not on its line"


def test_a_ramp_is_followed_bar_by_bar(stage: Stage) -> None:
    stage.values.set("/clock/ramp/bars", 2)
    stage.to_line(3, 0.1)
    stage.engine.do("/clock/ramp", 200.0)
    stage.run(0.1)
    assert stage.clock.ramp is not None
    foretold = stage.clock.line(5)
    stage.to_line(5, 0.01)
    assert abs(stage.clock.line(5) - foretold) < 0.001 * RATE, "the line is not where the ramp brings it"
    stage.run(1.0)
    sound = stage.heard
    begun = int(np.flatnonzero(np.abs(sound).max(axis=1) > 1e-3)[0])
    assert not gaps(sound[begun:-2000]) and stage.stalls == 0


def test_a_drop_falls_on_the_phrase_after_a_silence(stage: Stage) -> None:
    stage.values.set("/clock/phrase", 4)
    stage.to_line(5, 0.1)
    stage.player.drop()
    stage.run(0.1)
    assert stage.player.dropping == 3
    line = stage.to_line(8, 0.5)
    sound = stage.heard
    silence = sound[line - FRAMES // 4 + 1200 : line]
    assert np.abs(silence).max() < 1e-4
    assert np.abs(sound[line : line + 2000]).max() > 0.3, "no drop"
    high = [np.abs(np.fft.rfft(sound[line - back * FRAMES // 4 :][: FRAMES // 4, 0]))[1000:].mean() for back in (12, 8, 4, 2)]
    assert high[-1] > 1.5 * high[0], f"nothing rises: {high}"
    stage.to_line(9, 0.1)
    assert stage.player.dropping == 0 and stage.stalls == 0


def test_reset_calls_a_drop_off_and_begins_afresh(stage: Stage) -> None:
    stage.to_line(2, 0.1)
    stage.player.drop()
    stage.run(0.1)
    stage.player.reset()
    stage.to_line(4, 0.3)
    assert stage.player.dropping == 0 and stage.player.since == 3


def test_bars_that_were_heard_become_an_exact_loop(stage: Stage) -> None:
    caught: list[tuple[np.ndarray, int, float]] = []
    stage.run(1.0)
    stage.player.capture(Capture(2, lambda audio, begin, bpm, first: caught.append((audio, begin, bpm)), lambda: None))
    line = stage.to_line(5, 0.1)
    audio, begin, bpm = caught[0]
    assert len(audio) - begin == 2 * FRAMES and bpm == pytest.approx(240.0)
    sound = stage.heard
    offsets = [line - back * FRAMES for back in range(2, 5)]
    assert any(np.allclose(sound[at : at + 2 * FRAMES], audio[begin:], atol=2e-4) for at in offsets)


def test_switched_off_it_plays_the_bar_out_and_the_clock_stops_it_at_once(stage: Stage) -> None:
    stage.to_line(3, 0.2)
    stage.values.set("/gen/live/on", False)
    stage.run(5.5)
    sound = stage.heard
    assert stage.player.idle and stage.player.source == "none" and stage.stalls == 0
    assert not np.abs(sound[-RATE // 2 :]).max() > 1e-6
    stage.values.set("/gen/live/on", True)
    stage.run(2.5)
    assert np.abs(stage.heard[-STEP * 20 :]).max() > 0.01, "it does not come again"
    stage.values.set("/clock/play", False)
    stage.run(1.0)
    assert not np.abs(stage.heard[-STEP * 5 :]).max() > 1e-6 and stage.stalls == 0
    stage.values.set("/clock/play", True)
    stage.run(3.0)
    assert np.abs(stage.heard[-STEP * 20 :]).max() > 0.01


def test_prompts_that_cannot_be_read_are_left_out_and_that_is_said_once(stage: Stage) -> None:
    stage.texts = Texts(("techno", "x" * 4096, "y" * 4096, "z" * 4096, "\x07", "", "", ""))
    stage.run(4.0)
    assert len(stage.said) == 1 and "left out: prompt" in stage.said[0]
    assert stage.player.source == "embedded" and np.abs(stage.heard).max() > 0.1 and not stage.stalls


def test_a_machine_that_is_too_slow_hears_a_bar_twice_rather_than_none(stage: Stage) -> None:
    stage.to_line(4, 0.1)
    stage.making.late_s = 1.4
    stage.run(3.0)
    assert stage.player.repeated > 0 and stage.stalls == 0
    assert not gaps(stage.heard[-2 * RATE :])
