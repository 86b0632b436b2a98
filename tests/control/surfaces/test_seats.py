# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports come and go, as the watcher of the audio server tells of them; there is no server and no engine: what control sends to
the engine and wants connected is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from appliance.bus.binding import BANK_SHIFT, HELD
from appliance.bus.box import Box
from appliance.bus.commands import Code
from appliance.bus.events import Event, Kind
from appliance.bus.memory import box_name, sweep
from appliance.config import Config
from appliance.control.desk import Desk
from appliance.control.midi.devices import Devices
from appliance.control.midi.jackports import MidiPort
from appliance.nodes import NAMESPACE
from tests.control.surfaces.test_hotplug import SURFACE

CUE, TRIGGER = NAMESPACE.command("deck", "cue"), NAMESPACE.command("pad", "trigger")
ENGINE = [MidiPort(f"appliance-a:midi_{way}{number}", (), way == "out", 1)
          for way in ("in", "out") for number in ("", "_2", "_3", "_4")]


class Stage:
    def __init__(self, box: Box) -> None:
        self.box = box
        self.desk = Desk(box)
        self.sent: list[tuple[int, int, float]] = []
        self.wanted: tuple[tuple[str, str], ...] = ()
        self.devices = Devices(self.desk)

    def send(self, code: int, index: int = 0, a: float = 0.0, b: float = 0.0, **_: Any) -> int:
        self.sent.append((int(code), index, a))
        return 0

    def want(self, pairs: tuple[tuple[str, str], ...]) -> None:
        self.wanted = pairs

    def stop(self) -> None:
        """Nothing runs."""

    def ports(self, *devices: str, births: int = 1) -> None:
        """The engine's, and of each device one that sends and one that listens."""
        self.sent.clear()
        self.devices._ports_changed([*ENGINE, *(MidiPort(name, (), True, births) for name in devices),
                                     *(MidiPort(f"{name} lamps", (), False, births) for name in devices)])

    def event(self, status: int, data1: int, data2: int, slot: int = 1) -> None:
        """The engine hands a message over."""
        self.devices._on_event(Event(int(Kind.MIDI), 0, slot, 0, float(status), float(data1), float(data2), 1, 0))


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    config = Config.model_validate({"audio": {"backend": "clock"}, "mappings": {"alsa": False}})
    box = Box.create(tmp_path / "data", config)
    folder = box.data / "mappings"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hot.yaml").write_text(SURFACE, encoding="utf-8")
    stage = Stage(box)
    box.commands.send = stage.send  # type: ignore[method-assign]
    task = asyncio.create_task(stage.devices.run())
    while stage.devices._generic is None:
        assert not task.done()
        await asyncio.sleep(0.02)
    stage.devices._jack = stage  # type: ignore[assignment]
    yield stage
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    sweep(box_name(box.data))


async def test_what_a_device_held_is_let_go_and_what_was_chosen_comes_back(stage: Stage) -> None:
    get, record = stage.desk.get_now, stage.box.record
    stage.ports("one:hot box [20]")
    assert set(stage.wanted) == {("one:hot box [20]", "appliance-a:midi_in_2"),
                                 ("appliance-a:midi_out_2", "one:hot box [20] lamps")}
    for message in ((0x90, 60, 1), (0x90, 65, 1), (0x80, 65, 0), (0x90, 63, 1), (0x90, 62, 1)):
        stage.event(*message)
    assert (get("/channel/2/mute"), get("/channel/3/mute")) == (True, True)
    record["midi_last"][0][1, 0, 20] = 128  # a controller's button is down
    record["midi_last"][0][1, 0, 1] = 50  # a fader stands there
    record["midi_pressed"][0][1, 0, 61] = 0x80  # and a key that the engine obeys itself
    stage.ports()
    assert (get("/channel/2/mute"), get("/channel/3/mute")) == (False, False)
    assert sorted(stage.sent) == sorted([(CUE, 1, 0.0), (CUE, 0, 0.0), (int(Code.SET_PLANE), 1, 2.0)])
    assert not record["midi_last"][0][1].any()
    assert not record["midi_pressed"][0][1].any()
    stage.ports("one-01:hot box [28]")
    device = stage.devices._devices["one-01:hot box [28]"]
    assert (device.slot, device.hand.layers) == (1, {"shift": 0, "side": 2, "fx": 0})
    assert (int(Code.SET_PLANE), 1, 2.0) in stage.sent
    assert ("one-01:hot box [28]", "appliance-a:midi_in_2") in stage.wanted


async def test_a_re_plug_that_nobody_saw_counts(stage: Stage) -> None:
    stage.ports("one:hot box")
    stage.event(0x90, 60, 1)
    before = stage.devices._devices["one:hot box"]
    stage.box.record["midi_last"][0][1, 0, 1] = 50
    stage.ports("one:hot box", births=2)
    assert stage.desk.get_now("/channel/2/mute") is False
    assert stage.devices._devices["one:hot box"] is not before
    assert int(stage.box.record["midi_last"][0][1, 0, 1]) == 0
    stage.event(0x90, 60, 1)
    stage.ports("one:hot box", births=2)
    assert stage.desk.get_now("/channel/2/mute") is True, "nothing has happened"


async def test_lamps_that_come_later_change_nothing_else(stage: Stage) -> None:
    source, lamps = MidiPort("one:hot box", (), True, 1), MidiPort("one:hot box lamps", (), False, 1)
    stage.devices._ports_changed([*ENGINE, source])
    stage.event(0x90, 63, 1)
    stage.event(0x90, 62, 1)
    before = stage.devices._devices["one:hot box"]
    assert before.sink is None
    stage.devices._ports_changed([*ENGINE, source, lamps])
    assert stage.devices._devices["one:hot box"] is before
    assert before.sink == "one:hot box lamps"
    stage.event(0x80, 62, 0)
    assert stage.desk.get_now("/channel/3/mute") is False


async def test_two_of_the_same_and_one_of_them_goes(stage: Stage) -> None:
    names = ["a2j:hot box [20] (capture)", "a2j:hot box [24] (capture)"]
    stage.ports(*names)
    left, right = (stage.devices._devices[name] for name in names)
    assert [(d.slot, d.place.number) for d in (left, right)] == [(1, 1), (2, 2)]
    assert [d.sink for d in (left, right)] == [f"{name} lamps" for name in names]
    stage.event(0x90, 65, 1, slot=2)
    assert (left.hand.layers["side"], right.hand.layers["side"]) == (1, 2)
    stage.ports(names[0])
    assert stage.devices._devices[names[0]] is left
    stage.ports(names[0], "a2j:hot box [32] (capture)")
    again = stage.devices._devices["a2j:hot box [32] (capture)"]
    assert (again.slot, again.place.number, again.hand.layers["side"]) == (2, 2, 2)
    assert left.hand.layers["side"] == 1


async def test_a_keyboard_without_a_profile_lets_go_too(stage: Stage) -> None:
    stage.ports("keys:out")
    assert stage.wanted == (("keys:out", "appliance-a:midi_in"),)
    stage.box.record["midi_pressed"][0][0, 3, 40] = HELD | 5 << BANK_SHIFT
    stage.ports()
    assert stage.sent == [(TRIGGER, 16 * 4 + 4, 0.0)], "in the bank of its press"


async def test_all_notes_off_lets_go_of_a_channel(stage: Stage) -> None:
    stage.ports("one:hot box")
    stage.event(0x90, 60, 1)
    stage.box.record["midi_pressed"][0][1, 0, 61] = 0x80
    stage.box.record["midi_pressed"][0][1, 1, 61] = 0x80
    stage.sent.clear()
    stage.event(0xB0, 123, 0)
    assert stage.desk.get_now("/channel/2/mute") is False
    assert stage.sent == [(CUE, 0, 0.0)]
    assert stage.box.record["midi_pressed"][0][1, 1, 61] == 0x80, "another channel's"
