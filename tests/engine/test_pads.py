# SPDX-License-Identifier: GPL-3.0-or-later
"""Pads and scenes, off line: what is heard, from which frame on."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.bus.commands import Code
from appliance.bus.commit import committed
from appliance.bus.events import Kind, Refusal
from appliance.engine.backends.offline import OfflineEngine
from appliance.engine.dsp.limiter import LOOK_AHEAD_FRAMES
from appliance.nodes import NAMESPACE
from tests.signals import RATE, onset, ramp, roughness, sine

BAR = 2 * RATE  # 4/4 at 120 BPM
DELAY = LOOK_AHEAD_FRAMES


def master(out: np.ndarray) -> np.ndarray:
    return out[:, :2]


def test_a_loop_is_the_clip_itself_from_the_frame_of_the_hit(engine: OfflineEngine) -> None:
    clip = ramp(BAR)
    engine.load_pad(1, engine.load(clip, bpm=120, beats=4))
    engine.do("/pad/1/trigger", frame=1000)
    heard = master(engine.run(1000 + DELAY + 2 * BAR))
    assert np.abs(heard[: 1000 + DELAY]).max() == 0
    np.testing.assert_allclose(heard[1000 + DELAY :], np.concatenate([clip, clip]), atol=1e-6)


def test_launch_waits_for_the_bar_line_and_hits_it_exactly(engine: OfflineEngine) -> None:
    engine.set("/clock/quantize", "1 bar")
    engine.load_pad(1, engine.load(ramp(BAR), bpm=120, beats=4))
    engine.run(5000)
    engine.do("/pad/1/trigger")
    heard = master(engine.run(2 * BAR))
    assert onset(heard) == BAR - 5000 + DELAY
    launched = [event for event in engine.read_events() if event.kind == Kind.LAUNCHED]
    assert [event.frame for event in launched] == [BAR]


@pytest.mark.parametrize(("grid", "line"), [("1/16", 6000), ("1/4", 24000), ("2 bars", 2 * BAR), ("4 bars", 4 * BAR)])
def test_every_grid(engine: OfflineEngine, grid: str, line: int) -> None:
    engine.set("/pad/1/quantize", grid)
    engine.load_pad(1, engine.load(ramp(BAR), bpm=120, beats=4))
    engine.run(128)
    engine.do("/pad/1/trigger")
    engine.run(line + 128)
    assert [e.frame for e in engine.read_events() if e.kind == Kind.LAUNCHED] == [line]


def test_a_loop_follows_the_tempo_and_stays_on_the_beat(engine: OfflineEngine) -> None:
    engine.load_pad(1, engine.load(sine(2.0), bpm=120, beats=4))
    engine.do("/pad/1/trigger")
    engine.run(3 * BAR)
    for bpm in (137.3, 93.0, 124.0):
        engine.set("/clock/bpm", bpm)
        engine.run(48000 * 3)
        told = engine.telemetry.snapshot()
        phase = float(told["clock"]["beat"]) / 4 % 1
        apart = (float(told["pad"][0]["progress"]) - phase + 0.5) % 1 - 0.5
        assert abs(apart) * BAR < 2, "the loop has drifted off the clock"


@pytest.mark.parametrize("reverse", [False, True])
def test_back_at_its_own_tempo_a_loop_is_the_clip_again_to_the_bit(engine: OfflineEngine, reverse: bool) -> None:
    noise = np.random.default_rng(3).uniform(-0.2, 0.2, (BAR, 2)).astype(np.float32)
    engine.load_pad(1, engine.load(noise, bpm=120, beats=4))
    engine.set("/pad/1/reverse", reverse)
    engine.do("/pad/1/trigger")
    engine.run(RATE)
    engine.set("/clock/bpm", 123.4)
    engine.run(RATE + 777)
    engine.set("/clock/bpm", 120.0)
    engine.run(RATE)  # the tempo arrives, and the loop at a frame
    heard = master(engine.run(3 * BAR))
    cycle = noise[::-1] if reverse else noise
    shift = int(np.argmax([np.dot(heard[:64, 0], np.roll(cycle[:, 0], -n)[:64]) for n in range(BAR)]))
    expected = np.tile(np.roll(cycle, -shift, axis=0), (3, 1))
    np.testing.assert_array_equal(heard, expected)


@pytest.mark.parametrize("bpm", [20.0, 119.0, 300.0])
def test_a_jump_of_the_tempo_bends_the_speed_and_costs_no_beat(engine: OfflineEngine, bpm: float) -> None:
    """The pad's speed has no corner; 30 ms later it stands where it would stand, to the frame."""
    engine.load_pad(1, engine.load(sine(2.0), bpm=120, beats=4))
    engine.do("/pad/1/trigger")
    engine.run(10_000)
    engine.set("/clock/bpm", bpm)
    speeds = []
    for _ in range(60):
        engine.run(64)
        speeds.append(float(committed(engine.segment)["pad"]["main"]["step"][0, 0]))
    assert speeds[-1] == pytest.approx(bpm / 120, rel=1e-6)
    assert max(speeds) <= max(1.0, bpm / 120) * 1.2
    told = engine.telemetry.snapshot()
    assert float(told["pad"]["progress"][0]) * BAR == pytest.approx(float(told["clock"]["beat"]) / 4 % 1 * BAR, abs=0.01)


def test_a_pad_changes_its_strip_while_it_plays(engine: OfflineEngine) -> None:
    engine.load_pad(1, engine.load(sine(2.0), bpm=120, beats=4))
    engine.set("/channel/6/cue", True)
    engine.do("/pad/1/trigger")
    engine.run(RATE)
    engine.set("/pad/1/group", 2)
    heard = engine.run(RATE)
    assert roughness(heard[:, :4]) <= 2 * roughness(sine(1.0))
    np.testing.assert_allclose(heard[RATE // 2 : RATE - DELAY, 2], heard[RATE // 2 + DELAY :, 0], atol=1e-6)


def test_a_second_hit_stops_a_loop_on_the_grid(engine: OfflineEngine) -> None:
    engine.set("/clock/quantize", "1/4")
    engine.load_pad(1, engine.load(sine(2.0), bpm=120, beats=4))
    engine.do("/pad/1/trigger")
    engine.run(30000)
    engine.do("/pad/1/trigger")
    heard = master(engine.run(30000))
    assert np.abs(heard[48000 - 30000 + DELAY + 300 :]).max() == 0
    assert np.abs(heard[: 48000 - 30000]).max() > 0.1


def test_one_shot_gate_and_stutter(engine: OfflineEngine) -> None:
    clip = engine.load(sine(0.5), bpm=0)
    for pad, mode in ((1, "oneshot"), (2, "gate"), (3, "stutter")):
        engine.load_pad(pad, clip)
        engine.set(f"/pad/{pad}/mode", mode)
    engine.do("/pad/1/trigger")
    heard = master(engine.run(48000))
    assert np.abs(heard[DELAY + 100 : DELAY + 24000]).max() > 0.2
    assert np.abs(heard[DELAY + 24300 :]).max() == 0

    engine.do("/pad/2/trigger")
    engine.run(9600)
    engine.do("/pad/2/trigger", 0.0)
    heard = master(engine.run(4800))
    assert np.abs(heard[DELAY + 300 :]).max() == 0

    engine.do("/pad/3/trigger")
    heard = master(engine.run(48000))
    assert np.abs(heard[40000:]).max() > 0.2, "a stutter repeats for as long as it is held"
    engine.do("/pad/3/release")
    assert np.abs(master(engine.run(4800))[DELAY + 300 :]).max() == 0


def test_velocity_scales_a_one_shot(engine: OfflineEngine) -> None:
    engine.set("/pad/1/mode", "oneshot")
    engine.load_pad(1, engine.load(sine(0.2)))
    engine.do("/pad/1/trigger", 0.5)
    assert np.abs(master(engine.run(9600))).max() == pytest.approx(0.15, rel=1e-3)


def test_choke_groups_stop_each_other(engine: OfflineEngine) -> None:
    for pad in (1, 2):
        engine.load_pad(pad, engine.load(sine(2.0), bpm=120, beats=4))
        engine.set(f"/pad/{pad}/choke", 3)
    engine.do("/pad/1/trigger")
    engine.run(9600)
    engine.do("/pad/2/trigger")
    engine.run(9600)
    told = engine.telemetry.snapshot()["pad"]["sounding"]
    assert (told[0], told[1]) == (0, 1)


def test_an_empty_pad_refuses(engine: OfflineEngine) -> None:
    engine.do("/pad/7/trigger")
    engine.run(128)
    refused = [event for event in engine.read_events() if event.kind == Kind.REFUSED]
    assert [(event.index, event.a) for event in refused] == [(6, float(Refusal.EMPTY))]


def test_a_scene_starts_its_pads_together_with_their_settings_and_stops_the_others(engine: OfflineEngine) -> None:
    engine.set("/clock/quantize", "1 bar")
    for pad in (1, 2, 5):
        engine.load_pad(pad, engine.load(sine(2.0), bpm=120, beats=4))
    scene = engine.record["scene"][0]
    for name in ("gain", "pan", "filter", "pitch"):
        scene[name][:] = np.nan
    scene["launch"][0, [0, 1]] = 1
    scene["launch"][0, 4] = -1
    scene["gain"][0, 1] = -6.0
    engine.do("/pad/5/trigger")
    engine.run(BAR // 2)
    engine.do("/scene/1/launch")
    engine.run(BAR)
    events = engine.read_events()
    assert {e.index: e.frame for e in events if e.kind == Kind.LAUNCHED and e.index < 4} == {0: BAR, 1: BAR}
    assert list(engine.telemetry.snapshot()["pad"]["sounding"][:5]) == [1, 1, 0, 0, 0]
    assert engine.values.get("/pad/2/gain") == -6.0
    assert any(e.kind == Kind.VALUE and e.index == NAMESPACE.find("/pad/2/gain").slot for e in events)


def test_loading_over_a_playing_loop_goes_on_at_the_same_beat_without_a_click(engine: OfflineEngine) -> None:
    first, second = sine(2.0, 220), sine(2.0, 330)
    engine.load_pad(1, engine.load(first, bpm=120, beats=4))
    other = engine.load(second, bpm=120, beats=4)
    engine.do("/pad/1/trigger")
    engine.run(30000)
    engine.load_pad(1, other)
    heard = master(engine.run(30000))
    np.testing.assert_allclose(heard[DELAY + 512 : 20000], second[30512 : 50000 - DELAY], atol=2e-4)
    assert roughness(heard) < 2 * max(roughness(first), roughness(second))


def test_a_hit_on_a_standing_clock_starts_it(engine: OfflineEngine) -> None:
    engine.set("/clock/play", False)
    engine.set("/clock/quantize", "1 bar")
    engine.load_pad(1, engine.load(sine(2.0), bpm=120, beats=4))
    engine.run(4800)
    engine.do("/pad/1/trigger")
    heard = master(engine.run(4800))
    assert onset(heard) in (DELAY, DELAY + 1)
    assert engine.values.get("/clock/play") is True


def test_commands_wait_for_their_frame_in_the_order_they_came(engine: OfflineEngine) -> None:
    slot = NAMESPACE.find("/mixer/crossfader").slot
    for value in (0.1, 0.2, 0.3):
        engine.commands.send(Code.SET, slot, value, frame=777)
    engine.commands.send(Code.SET, slot, -1.0, frame=500)
    engine.run(2000, period=512)
    changes = [(e.frame, e.a) for e in engine.read_events() if e.kind == Kind.VALUE and e.index == slot]
    assert changes == [(500, -1.0), (777, 0.1), (777, 0.2), (777, 0.3)]
