# SPDX-License-Identifier: GPL-3.0-or-later
"""The LED language: what a lamp does for each state, and that a device is told no more than it must be."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.control.desk import Desk
from appliance.control.mapping.check import load_profile
from appliance.control.mapping.compile import Compiled
from appliance.control.mapping.library import shipped_folder
from appliance.control.midi.leds import Lamps, encode
from appliance.control.midi.rhythm import BRIGHT, DIM, DIP, LIT, Look, Moment, light, nearest, quickening, refused
from appliance.control.midi.view import View
from appliance.nodes.pad import ROLES

STEPS = np.arange(0, 8, 0.01)


def levels(look: Look) -> Any:
    return np.array([light(look, "blue", Moment(beat, beat % 4))[0] for beat in STEPS])


def edges(look: Look) -> int:
    """How often a lamp that can only be lit or dark lights up in two bars."""
    lit = levels(look) >= LIT
    return int(np.sum(lit[1:] & ~lit[:-1])) + int(lit[0])


def test_rhythm_alone_tells_the_states_apart() -> None:
    seen = {look: tuple(levels(look) >= LIT) for look in Look}
    same = {(a, b) for a in seen for b in seen if a < b and seen[a] == seen[b]}
    # a lamp of one colour without a dim level shows what is loaded as what records, and red tells the rest
    assert same == {("loaded", "recording"), ("overdub", "playing"), ("armed", "stopping")}
    counted = [edges(look) for look in (Look.QUEUED, Look.PLAYING, Look.STOPPING, Look.CANDIDATE, Look.FAILED)]
    assert counted == [16, 8, 4, 4, 4]
    assert set(levels(Look.LOADED)) == {DIM}
    assert set(levels(Look.PLAYING)) == {DIP, BRIGHT}
    assert levels(Look.PLAYING)[0] == DIP  # on the beat itself
    assert not levels(Look.EMPTY).any()


def test_colours() -> None:
    on_beat = Moment(0.2, 0.2)
    assert light(Look.RECORDING, "blue", on_beat)[1] == "red"
    assert light(Look.CANDIDATE, "blue", on_beat)[1] == "cyan"
    assert [light(Look.FAILED, "blue", Moment(0, at))[1] for at in (0.1, 0.6)] == ["blue", "red"]
    assert light(Look.GENERATING, "blue", Moment(1.0, 1.0), 1.0) == (pytest.approx(1.0), "white")
    assert light(Look.GENERATING, "blue", Moment(1.0, 1.0), 0.0)[0] < 0.5
    assert [nearest(c) for c in ("#ff0000", "#000080", "#102010", "#ffffff")] == ["red", "blue", "green", "white"]
    assert refused(0.5) is None
    flashes = [refused(t)[0] > 0 for t in np.arange(0.01, 0.4, 0.066)]  # type: ignore[index]
    assert flashes == [True, False] * 3


@pytest.fixture
def apc() -> Compiled:
    return load_profile(shipped_folder() / "akai-apc-mini-mk2.yaml")


class Rig:
    """The lamps of an APC on a desk whose telemetry the test writes, on a clock of its own."""

    def __init__(self, desk: Desk, compiled: Compiled) -> None:
        self.desk = desk
        self.telemetry = desk.box.record["telemetry"]
        self.view = View(desk)
        self.heard: list[bytes] = []
        self.lamps = Lamps(compiled, self.view, self.take)
        self.room = 10_000
        self.set_beat(0.5)

    def take(self, data: bytes) -> bool:
        if len(self.heard) >= self.room:
            return False
        self.heard.append(data)
        return True

    def set_beat(self, beat: float) -> None:
        clock = self.telemetry["clock"]
        clock["running"], clock["bpm"], clock["bar_length"] = 1, 120, 4
        clock["beat"], clock["bar_phase"], clock["monotonic_ns"] = beat, beat % 4 / 4, time.monotonic_ns()

    async def tick(self, beat: float, times: int = 1) -> list[bytes]:
        """What is sent at a beat."""
        before = len(self.heard)
        for _ in range(times):
            await asyncio.sleep(0.021)
            self.set_beat(beat)
            self.view.refresh()
            self.lamps.tick()
        return self.heard[before:]


@pytest.mark.asyncio
async def test_pads_show_their_state_in_their_roles_colour(desk: Desk, apc: Compiled) -> None:
    rig = Rig(desk, apc)
    rig.lamps.resync()
    first = await rig.tick(0.5, 6)
    assert len(first) == len({one.message for one in apc.lights})
    assert await rig.tick(0.6, 3) == []
    rig.telemetry["pad"]["state"][0, 0] = 1
    assert await rig.tick(0.5) == [bytes((0x91, 24, 3))]  # loaded: white, at the second of seven levels
    await desk.set("/pad/1/role", "bass")
    assert await rig.tick(0.5) == [bytes((0x91, 24, 45))]
    await desk.set("/pad/1/colour", "#ff2020")
    assert await rig.tick(0.5) == [bytes((0x91, 24, 5))]
    rig.telemetry["pad"]["state"][0, 0] = 3
    assert (await rig.tick(0.5))[0] == bytes((0x96, 24, 5))  # bright
    assert bytes((0x90, 24, 5)) in await rig.tick(1.02)  # the dip on the beat, at the lowest level
    desk.set_now("/pads/bank", 2)
    assert bytes((0x90, 24, 0)) in await rig.tick(1.5)
    assert sorted(ROLES) == sorted({"none", "drums", "percussion", "bass", "chords", "lead", "texture", "voice", "recorded"})


@pytest.mark.asyncio
async def test_a_ready_candidate_blinks_on_empty_pads_and_on_all_while_shift_is_held(desk: Desk, apc: Compiled) -> None:
    rig = Rig(desk, apc)
    layers = {"shift": 0, "make": 0}
    rig.lamps = Lamps(apc, rig.view, rig.take, layers)
    rig.telemetry["pad"]["state"][0, 1] = 3
    await rig.tick(1.5, 6)
    for pad in (1, 2):
        desk.publish(f"/bank/1/pad/{pad}/candidates", 1)
    assert await rig.tick(4.05) == [bytes((0x96, 24, 37)), bytes((0x90, 25, 3))], "cyan on beat 1; what plays dips on the beat"
    assert bytes((0x90, 24, 0)) in await rig.tick(4.2) and bytes((0x96, 24, 37)) in await rig.tick(4.35), "twice"
    await rig.tick(5.5)
    layers["shift"] = 1
    assert await rig.tick(8.05) == [bytes((0x96, 24, 37)), bytes((0x96, 25, 37))], "that is what a press would take"
    desk.publish("/bank/1/pad/1/candidates", 0)
    assert bytes((0x90, 24, 0)) in await rig.tick(8.06)


@pytest.mark.asyncio
async def test_generation_and_its_failure_are_seen(desk: Desk, apc: Compiled) -> None:
    rig = Rig(desk, apc)
    await rig.tick(0.5, 6)
    desk.publish("/gen/job", {"id": 1, "state": "running", "progress": 0.9, "target": "/bank/1/pad/2"})
    assert bytes((0x96, 25, 3)) in await rig.tick(1.0)
    desk.publish("/gen/job", {"id": 1, "state": "failed", "progress": 0.9, "target": "/bank/1/pad/2"})
    assert bytes((0x96, 25, 5)) in await rig.tick(4.6)
    desk.publish("/gen/job", {"id": 1, "state": "done", "progress": 1, "target": "/bank/1/pad/2"})
    assert bytes((0x90, 25, 0)) in await rig.tick(5.5)


@pytest.mark.asyncio
async def test_a_scene_lamp_follows_its_pads(desk: Desk, apc: Compiled) -> None:
    desk.box.record["scene"][0]["launch"][0, :4] = 1
    rig = Rig(desk, apc)
    await rig.tick(0.5, 6)
    states = rig.telemetry["pad"]["state"]
    states[0, :3] = 1
    assert bytes((0x90, 112, 1)) in await rig.tick(0.5)
    states[0, :3] = 3
    assert bytes((0x90, 112, 0)) in await rig.tick(1.02)  # all play: it dips on the beat with them


@pytest.mark.asyncio
async def test_a_full_cable_loses_nothing(desk: Desk, apc: Compiled) -> None:
    rig = Rig(desk, apc)
    rig.room = 30
    rig.lamps.resync()
    await rig.tick(0.5, 8)
    assert len(rig.heard) == 30
    rig.room = 10_000
    await rig.tick(0.5, 8)
    assert {data[1] for data in rig.heard} == {one.message[1] for one in apc.lights}
    assert len(rig.heard) == len({one.message for one in apc.lights})


@pytest.mark.asyncio
async def test_no_lamp_is_told_faster_than_it_can_take(desk: Desk, apc: Compiled) -> None:
    rig = Rig(desk, apc)
    await rig.tick(0.5, 6)
    before = len(rig.heard)
    end = time.monotonic() + 0.2
    turn = 0
    while time.monotonic() < end:
        turn += 1
        rig.telemetry["pad"]["state"][0, 0] = turn % 2
        rig.view.refresh()
        rig.lamps.tick()
    assert turn > 50
    assert len(rig.heard) - before <= 11


def test_greeting_and_farewell(tmp_path: Path, desk: Desk) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("""\
profile: 1
name: X
device: {match: [my box]}
init: ["F0 47 7F 29 60 00 04 41 08 02 01 F7"]
exit: ["F0 47 7F 29 60 00 04 40 08 02 01 F7"]
surface: {key: {note: 1..2}, ring: {cc: 9}}
lamps: {plain: {kind: one-colour, lit: 127, dim: 40}}
feedback: {key: /pad/N, ring: {shows: /channel/1/mute}}
""", encoding="utf-8")
    compiled = load_profile(path)
    heard: list[bytes] = []
    lamps = Lamps(compiled, View(desk), lambda data: not heard.append(data))
    lamps.resync()
    lamps._view.refresh()
    lamps.tick()
    assert heard[0][:2] == b"\xf0\x47"
    assert heard[1:] == [bytes((0x90, 1, 0)), bytes((0x90, 2, 0)), bytes((0xB0, 9, 0))]
    assert encode(compiled.lights[0], DIM, "white") == bytes((0x90, 1, 40))
    lamps.leave()
    assert heard[-1][8 - 1] == 0x40


@pytest.mark.asyncio
async def test_lamps_follow_layers_keys_and_levels(tmp_path: Path, desk: Desk) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("""\
profile: 1
name: X
device: {match: [my box]}
surface: {shift: {note: 1}, deck: {note: 2..3}, key: {note: 4}, bar: {note: 5..6}, mute: {note: 7}}
layers: {shift: shift, deck: {choose: deck}}
lamps: {plain: {kind: one-colour, lit: 127}}
feedback:
  shift: "{shift}"
  deck: {shows: "{deck}", equals: N}
  key: pressed
  bar 1: {shows: /channel/1/trim, above: -6}
  bar 2: {shows: /channel/1/trim, above: 0}
  mute: "/channel/{deck}/mute"
  shift + mute: "/channel/{deck}/cue"
""", encoding="utf-8")
    layers, down = {"shift": 0, "deck": 1}, set()
    rig = Rig(desk, load_profile(path))
    rig.lamps = Lamps(load_profile(path), rig.view, rig.take, layers, down.__contains__)

    async def lit() -> set[int]:
        await rig.tick(0.5, 3)
        return {number for number in range(1, 8) if next(data[2] for data in reversed(rig.heard) if data[1] == number)}

    await desk.set("/channel/1/trim", -3.0)
    assert await lit() == {2, 5}
    down.add((0x90, 4))
    await desk.set("/channel/1/trim", 3.0)
    assert await lit() == {2, 4, 5, 6}
    down.clear()
    await desk.set("/channel/2/mute", True)
    layers["deck"] = 2
    assert await lit() == {3, 5, 6, 7}
    layers["shift"] = 1
    assert await lit() == {1, 3, 5, 6}
    await desk.set("/channel/2/cue", True)
    assert await lit() == {1, 3, 5, 6, 7}


SCALES = """\
profile: 1
name: X
device: {match: [my box]}
surface: {pad: {note: 1}, key: {note: 20}, knob lamp: {cc: 0..3}, meter: {cc: 9}, colour: {note: 30}, full: {note: 40}}
lamps:
  shades: {kind: palette, colours: {white: [1, 2, 3], blue: [47, 46, 45]}}
  ring: {kind: ring, values: 33..43}
  sysex: {kind: ring, values: [12, 28, 44, 60], message: "F0 00 20 29 02 11 78 08 N-1 vv F7"}
  meter: {kind: meter, values: 0..10}
  numbers: {kind: numbers, colours: {white: 36, red: 0, green: 72}}
  rgb: {kind: rgb, message: "F0 00 20 29 02 0D 03 03 nn rr gg bb F7"}
feedback:
  pad: {shows: /pad/1, lamp: shades}
  knob lamp 1: {shows: /channel/1/filter, lamp: ring}
  knob lamp 4: {shows: /channel/1/low, range: [-30, 6], lamp: sysex}
  meter: {shows: /channel/1/meter, lamp: meter}
  colour: {shows: /deck/1, lamp: numbers}
  full: {shows: /pad/2, lamp: rgb}
"""


@pytest.mark.asyncio
async def test_rings_meters_and_colours(tmp_path: Path, desk: Desk) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(SCALES, encoding="utf-8")
    rig = Rig(desk, load_profile(path))
    await rig.tick(0.5, 2)
    assert {bytes((0x90, 1, 0)), bytes((0xB0, 0, 38)), bytes((0xB0, 9, 0)), bytes((0x90, 102, 0))} <= set(rig.heard)
    assert bytes.fromhex("F0 00 20 29 02 11 78 08 03 2C F7") in rig.heard  # 0 dB of -30 … 6
    assert bytes.fromhex("F0 00 20 29 02 0D 03 03 28 00 00 00 F7") in rig.heard
    await desk.set("/channel/1/filter", 1.0)
    await desk.set("/channel/1/low", -60.0)
    heard = await rig.tick(0.5, 2)
    assert set(heard) == {bytes((0xB0, 0, 43)), bytes.fromhex("F0 00 20 29 02 11 78 08 03 0C F7")}
    await desk.set("/pad/1/role", "bass")
    rig.telemetry["pad"]["state"][0, :2] = 1
    heard = await rig.tick(0.5)
    assert bytes((0x90, 1, 47)) in heard  # loaded: the dimmest blue
    assert bytes.fromhex("F0 00 20 29 02 0D 03 03 28 20 20 20 F7") in heard  # and a quarter of white
    rig.telemetry["pad"]["state"][0, 0] = 3
    assert bytes((0x90, 1, 45)) in await rig.tick(0.5)
    rig.telemetry["deck"]["playing"][0] = 1
    assert bytes((0x90, 102, 127)) in await rig.tick(0.5)
    rig.telemetry["deck"]["playing"][0] = 0
    assert await rig.tick(0.5) == [bytes((0x90, 102, 0))]  # dark under the number that lit it, not under another colour's


@pytest.mark.asyncio
async def test_a_meter_shows_decibels_and_falls_slowly(tmp_path: Path, desk: Desk) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(SCALES, encoding="utf-8")
    rig = Rig(desk, load_profile(path))

    def shown(now_s: float) -> int:
        for _ in range(3):
            desk.announcer.tick()
        rig.view.refresh()
        rig.view.now_s = now_s
        rig.lamps.tick()
        return next(data[2] for data in reversed(rig.heard) if data[:2] == b"\xb0\x09")

    peak = rig.telemetry["channel"]["peak"].reshape(-1)
    assert shown(1000.0) == 0
    peak[0] = 10 ** (-24 / 20)
    assert shown(1001.0) == 5  # half of -48 … 0 dB
    peak[0] = 2.0
    assert shown(1002.0) == 10
    peak[0] = 0.0
    assert shown(1003.7) == 6  # 20 dB lower after 1.7 s
    assert shown(1010.0) == 0


@pytest.mark.asyncio
async def test_the_pads_show_how_the_box_is_while_it_is_asked(desk: Desk, apc: Compiled) -> None:
    asked = []
    rig = Rig(desk, apc)
    rig.lamps = Lamps(apc, rig.view, rig.take, asks=lambda: bool(asked))
    await rig.tick(0.5, 6)
    asked.append(True)
    assert set(await rig.tick(0.5)) == {bytes((0x96, 24, 21)), bytes((0x96, 16, 5))}  # little load; no room is known
    asked.clear()
    assert set(await rig.tick(0.5)) == {bytes((0x90, 24, 0)), bytes((0x90, 16, 0))}


def test_a_long_hold_blinks_ever_quicker() -> None:
    lit = np.array([quickening(share)[0] > 0 for share in np.arange(0, 1, 0.001)])
    starts = np.flatnonzero(lit[1:] & ~lit[:-1])
    assert len(starts) >= 12
    assert np.all(np.diff(np.diff(starts)) <= 1), "never slower"
    assert np.diff(starts)[-1] < np.diff(starts)[0] / 2
