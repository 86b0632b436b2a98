# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers and soft take-over inside the engine, at the message's own frame; and what control foretells of them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.bus.binding import BindingFlag, BindingKind, Bindings
from appliance.bus.commit import committed
from appliance.bus.events import Kind
from appliance.control.mapping.check import load_profile
from appliance.control.mapping.compile import Compiled
from appliance.control.midi.reading import effect, target
from appliance.engine.backends.offline import OfflineEngine
from appliance.nodes import NAMESPACE
from tests.signals import sine

TRIGGER = NAMESPACE.command("pad", "trigger")
PROFILE = """\
profile: 1
name: Test
device: {match: [test]}
surface:
  shift: {note: 1}
  button: {cc: 64}
  side: {note: 10..11}
  pad: {note: 36..39}
  knob: {cc: 1..3}
layers:
  shift: shift
  mode: {toggle: button}
  deck: {choose: side}
bindings:
  pad: /channel/N/mute
  shift + pad: {to: /channel/N/cue, mode: toggle}
  mode 1 + pad 1: {to: /pads/bank, value: 1}
  knob 1: "/deck/{deck}/rate"
  knob 2: {to: /channel/1/fader, takeover: scale}
  shift + knob 2: {to: /channel/2/fader, range: [0.2, 0.8]}
  knob 3: {to: /channel/1/pan, takeover: jump}
"""
RATE_1, RATE_2 = (f"/deck/{deck}/rate" for deck in (1, 2))


@pytest.fixture
def compiled(tmp_path: Path) -> Compiled:
    path = tmp_path / "test.yaml"
    path.write_text(PROFILE, encoding="utf-8")
    return load_profile(path)


def put(engine: OfflineEngine, compiled: Compiled, port: int = 0) -> None:
    table = Bindings(engine.record["binding"][0])
    for plane, entries in enumerate(compiled.planes):
        for message, entry in entries.items():
            table.bind(port, *message, entry.kind, code=entry.code, index=entry.index, minimum=entry.minimum,
                       maximum=entry.maximum, flags=entry.flags, plane=plane)


def play(engine: OfflineEngine, *messages: tuple[int, int, int, int]) -> list[Any]:
    """A block of 128 frames with these messages (offset, status, data 1, data 2); the events of it."""
    engine.events.read(10_000)
    engine.midi([(offset, 0, status, data1, data2) for offset, status, data1, data2 in messages])
    engine.run(128, 128)
    engine.midi([])
    return [event for event in engine.events.read(10_000) if event.source == 1]


def plane(engine: OfflineEngine) -> int:
    return int(committed(engine.segment)["midi_plane"][0][0])


def value(engine: OfflineEngine, address: str) -> float:
    return float(engine.values.vector[NAMESPACE.find(address).slot])


def test_a_layer_begins_and_ends_at_the_frame_of_its_button(engine: OfflineEngine, compiled: Compiled) -> None:
    put(engine, compiled)
    first = engine.frame
    events = play(engine, (10, 0x90, 36, 1), (20, 0x90, 1, 1), (21, 0x90, 37, 1), (22, 0x80, 1, 0), (23, 0x90, 38, 1))
    told = {NAMESPACE.by_slot[e.index].address: e.frame - first for e in events if e.kind == Kind.VALUE}
    assert told == {"/channel/1/mute": 10, "/channel/2/cue": 21, "/channel/3/mute": 23}


def test_a_choice_and_a_switch_together(engine: OfflineEngine, compiled: Compiled) -> None:
    put(engine, compiled)
    engine.set(RATE_1, 0.5)
    engine.set(RATE_2, 0.5)
    play(engine, (0, 0xB0, 1, 0))
    play(engine, (0, 0xB0, 1, 127))
    assert (value(engine, RATE_1), value(engine, RATE_2)) == (pytest.approx(1.5), pytest.approx(0.5))
    play(engine, (0, 0x90, 11, 1), (1, 0x80, 11, 0), (2, 0xB0, 64, 127), (3, 0xB0, 64, 0), (4, 0xB0, 1, 64))
    assert value(engine, RATE_2) == pytest.approx(0.5), "the knob is far from where the other deck stands"
    play(engine, (0, 0xB0, 1, 1))
    play(engine, (0, 0xB0, 1, 64))
    assert (value(engine, RATE_1), value(engine, RATE_2)) == (pytest.approx(1.5), pytest.approx(0.5 + 64 / 127))
    play(engine, (0, 0x90, 10, 1))
    assert plane(engine) == compiled.plane_layers[1].stride, "mode is still on"


def test_a_pad_that_is_held_while_the_bank_changes_is_let_go(engine: OfflineEngine) -> None:
    """A release belongs to the bank of its press."""
    Bindings(engine.record["binding"][0]).bind(0, 0x90, 36, BindingKind.COMMAND, code=TRIGGER, flags=BindingFlag.BANK)
    Bindings(engine.record["binding"][0]).bind(0, 0x80, 36, BindingKind.COMMAND, code=TRIGGER, flags=BindingFlag.BANK)
    for bank in (1, 3):
        engine.load_pad((bank - 1) * 16 + 1, engine.load(sine(1.0), bpm=120, beats=2))
        engine.set(f"/bank/{bank}/pad/1/mode", "gate")
    play(engine, (0, 0x90, 36, 127))
    engine.set("/pads/bank", 3)
    assert [(e.code, e.index) for e in play(engine, (0, 0x80, 36, 0))] == [(TRIGGER, 0)]
    play(engine, (0, 0x90, 36, 127))
    engine.set("/pads/bank", 1)
    assert [(e.code, e.index) for e in play(engine, (0, 0x90, 36, 0))] == [(TRIGGER, 2 * 16)]


def test_nothing_jumps_when_a_fader_changes_its_layer(engine: OfflineEngine, compiled: Compiled) -> None:
    put(engine, compiled)
    engine.set("/channel/1/fader", 1.0)
    engine.set("/channel/2/fader", 0.5)
    seen: list[float] = []
    for data in (127, 100, 60):
        play(engine, (0, 0xB0, 2, data))
        seen.append(value(engine, "/channel/1/fader"))
    assert seen == pytest.approx([1.0, 100 / 127, 60 / 127], abs=1e-6)
    play(engine, (0, 0x90, 1, 1), (1, 0xB0, 2, 20))
    assert value(engine, "/channel/2/fader") == pytest.approx(0.5), "its place is at 64"
    play(engine, (0, 0xB0, 2, 70))
    assert value(engine, "/channel/2/fader") == pytest.approx(0.2 + 0.6 * 70 / 127)
    play(engine, (0, 0x80, 1, 0), (1, 0xB0, 2, 100))
    before, share = 60 / 127, (100 - 70) / (127 - 70)
    assert value(engine, "/channel/1/fader") == pytest.approx(before + (1 - before) * share, abs=1e-6), "scaled"


def test_control_foretells_what_the_engine_does(engine: OfflineEngine, compiled: Compiled) -> None:
    """Random messages: layers, presses that outlive them, faders that are picked up."""
    from appliance.control.midi.hand import Hand

    class Deaf:
        bank = 1

        def holds(self, conditions: Any) -> bool:
            return True

        def perform(self, *arguments: Any) -> None:
            pass

    put(engine, compiled)
    rng, hand, last = random.Random(3), Hand(compiled, Deaf()), dict[tuple[int, int], int]()  # type: ignore[arg-type]
    values = engine.values.vector.copy()
    numbers = {0x90: (1, 10, 11, 36, 37, 38), 0x80: (1, 10, 36, 37, 38), 0xB0: (1, 2, 3, 64)}
    done = 0
    for turn in range(3000):
        status = rng.choice(tuple(numbers))
        data1, data2 = rng.choice(numbers[status]), rng.choice([0, 1, 30, 64, 100, 127])
        if turn % 50 == 0:  # somebody moves a value on the tablet
            address = rng.choice(["/channel/1/fader", "/channel/2/fader", RATE_1])
            engine.set(address, rng.uniform(0.5, 1.0))
            values[NAMESPACE.find(address).slot] = engine.values.vector[NAMESPACE.find(address).slot]
        entry = hand.take(status, data1, data2)
        foretold = None
        if entry is not None and entry.kind not in (BindingKind.LAYER, BindingKind.HAND_OVER, BindingKind.IGNORE):
            place = target(entry, 1)
            foretold = effect(entry, status, data2, bank=1, current=float(values[place]), last=last.get((status, data1), -1))
        if status == 0xB0:
            last[status, data1] = data2
        told = [(-1, e.index, e.a) for e in play(engine, (5, status, data1, data2)) if e.kind == Kind.VALUE]
        assert hand.plane == plane(engine)
        if foretold is None or np.float32(foretold.amount) == np.float32(values[foretold.index]):
            assert not told or np.float32(told[0][2]) == np.float32(values[told[0][1]]), (turn, entry, told)
        else:
            assert [(slot, pytest.approx(amount, abs=1e-5)) for _, slot, amount in told] == [(foretold.index, foretold.amount)]
            done += 1
        for _, slot, amount in told:
            values[slot] = amount
    assert done > 500
