# SPDX-License-Identifier: GPL-3.0-or-later
"""Keypads: real ``struct input_event`` bytes, read by evdev's own reader. The device itself is a pipe and a folder that looks
like sysfs, because a test machine has no input devices and no uinput: opening, grabbing and asking what is down are played."""

from __future__ import annotations

import asyncio
import errno
import os
import struct
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from appliance.control.desk import Desk
from appliance.control.hid.devices import KeyDevices
from appliance.control.hid.opener import EvdevDevice
from appliance.control.mapping.check import check_profile, load_profile
from appliance.control.mapping.keynames import CODES
from appliance.control.mapping.library import shipped_folder
from appliance.control.midi.router import Router

evdev = pytest.importorskip("evdev")
EVENT = struct.Struct("llHHi")
EV_SYN, EV_KEY, EV_MSC = 0, 1, 4

PEDAL = """\
profile: 1
name: Pedal
device: {kind: keys, match: [foot switch], usb: ["0c45:7403"]}
surface: {left: {key: a}, right: {key: "b|c"}, side: {key: f1..f2}}
layers: {shift: left, side: {choose: side}}
bindings:
  right: {to: /channel/1/mute, mode: hold}
  shift + right: {to: /channel/2/mute, mode: hold}
  right held 0.2: {to: /channel/3/mute, mode: toggle}
  right double: {to: /channel/4/mute, mode: toggle}
  side 2 + right: {to: /pads/bank, value: 5}
"""


class Played:
    """An input device: a pipe whose other end the test writes, with the reader of evdev."""

    def __init__(self, pad: Pad) -> None:
        self._pad = pad
        self._device: Any = evdev.InputDevice.__new__(evdev.InputDevice)
        self._device.fd = pad.reading

    fd = EvdevDevice.fd
    read = EvdevDevice.read

    def grab(self) -> None:
        if self._pad.taken:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        self._pad.grabbed = True

    def down(self) -> set[int]:
        return set(self._pad.really_down)

    def close(self) -> None:
        self._pad.grabbed = False
        os.close(self._pad.reading)


class Pad:
    """The hardware. ``plug`` puts it into the folders, ``unplug`` takes it out."""

    def __init__(self, root: Path, name: str, usb: str = "1234:5678", phys: str = "usb-0000:00:14.0-2/input0") -> None:
        self.root, self.name, self.usb, self.phys = root, name, usb, phys
        self.taken = self.grabbed = False
        self.really_down: set[int] = set()

    def plug(self, number: int) -> None:
        self.node = self.root / "dev" / f"event{number}"
        about = self.root / "sys" / f"event{number}" / "device"
        (about / "id").mkdir(parents=True, exist_ok=True)
        (about / "name").write_text(self.name + "\n")
        (about / "phys").write_text(self.phys + "\n")
        vendor, product = self.usb.split(":")
        (about / "id" / "vendor").write_text(vendor + "\n")
        (about / "id" / "product").write_text(product + "\n")
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self.node.write_text("")

    def unplug(self) -> None:
        self.node.unlink()
        os.close(self.writing)

    def events(self, *events: tuple[int, int, int]) -> None:
        now = time.time()
        data = b"".join(EVENT.pack(int(now), 0, *event) for event in (*events, (EV_SYN, 0, 0)))
        os.write(self.writing, data)

    def key(self, name: str, value: int) -> None:
        """As hardware does it: the scan code first, then the key."""
        self.events((EV_MSC, 4, 0x70000 + CODES[name]), (EV_KEY, CODES[name], value))


class Stage:
    def __init__(self, desk: Desk, root: Path) -> None:
        self.desk, self.root = desk, root
        (root / "dev").mkdir()
        self.pads: dict[Path, Pad] = {}
        self.opened: list[Path] = []
        self.refusal: OSError | None = None
        self.said: list[str] = []
        desk.subscribe(lambda address, value: self.said.append(value) if address == "/system/message" else None)
        self.keys = KeyDevices(desk, Router(desk), opener=self.open, folder=root / "dev", sys=root / "sys")  # type: ignore[arg-type]

    def open(self, node: Path) -> Played:
        self.opened.append(node)
        if self.refusal is not None:
            raise self.refusal
        return Played(self.pads[node])

    def plug(self, pad: Pad, number: int) -> Pad:
        pad.plug(number)
        self.pads[pad.node] = pad
        return pad

    def use(self, *texts: str) -> None:
        compiled = []
        for number, text in enumerate(texts):
            path = self.root / f"profile{number}.yaml"
            path.write_text(text, encoding="utf-8")
            compiled.append(load_profile(path))
        self.keys.use(compiled)


async def until(condition: Callable[[], Any], seconds: float = 3.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        await asyncio.sleep(0.01)
    return bool(condition())


@pytest_asyncio.fixture
async def stage(desk: Desk, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(desk, tmp_path)
    task = asyncio.create_task(stage.keys.run())
    yield stage
    task.cancel()
    stage.keys.close()


async def test_keys_press_hold_and_double(stage: Stage) -> None:
    get = stage.desk.get_now
    stage.use(PEDAL)
    pedal = stage.plug(Pad(stage.root, "PCsensor Foot Switch Keyboard"), 3)
    assert await until(lambda: pedal.grabbed)
    pedal.key("b", 1)
    pedal.key("b", 2)  # the keyboard's own repetition
    assert await until(lambda: get("/channel/1/mute") is True)
    await asyncio.sleep(0.35)
    assert get("/channel/3/mute") is True, "held"
    pedal.key("c", 1)  # the control's other key
    pedal.key("b", 0)
    await asyncio.sleep(0.05)
    assert get("/channel/1/mute") is True
    pedal.key("c", 0)
    assert await until(lambda: get("/channel/1/mute") is False)
    await asyncio.sleep(0.4)
    for value in (1, 0, 1, 0):
        pedal.key("b", value)
    assert await until(lambda: get("/channel/4/mute") is True), "double"
    assert get("/channel/3/mute") is True


async def test_pulled_out_it_lets_go_and_comes_back_as_it_was(stage: Stage) -> None:
    get = stage.desk.get_now
    stage.use(PEDAL)
    pedal = stage.plug(Pad(stage.root, "other name", usb="0c45:7403"), 3)
    assert await until(lambda: pedal.grabbed)
    pedal.key("f2", 1)
    pedal.key("f2", 0)
    pedal.key("b", 1)
    assert await until(lambda: get("/pads/bank") == 5)
    pedal.key("b", 0)
    stage.desk.set_now("/pads/bank", 1)
    pedal.key("a", 1)
    pedal.key("b", 1)
    await asyncio.sleep(0.05)
    pedal.unplug()
    assert await until(lambda: stage.keys.present(stage.keys._profiles[0]) == [])
    assert get("/channel/2/mute") is False
    assert stage.said == []
    again = stage.plug(Pad(stage.root, "other name", usb="0c45:7403"), 7)  # under another number
    assert await until(lambda: again.grabbed)
    again.key("b", 1)
    assert await until(lambda: get("/pads/bank") == 5), "the side is still chosen, shift is not held any more"
    assert get("/channel/2/mute") is False


async def test_two_of_the_same_each_have_their_own_state(stage: Stage) -> None:
    stage.use(PEDAL)
    left = stage.plug(Pad(stage.root, "Foot Switch", phys="usb-1/input0"), 3)
    right = stage.plug(Pad(stage.root, "Foot Switch", phys="usb-2/input0"), 4)
    assert await until(lambda: left.grabbed and right.grabbed)
    left.key("a", 1)
    right.key("b", 1)
    assert await until(lambda: stage.desk.get_now("/channel/1/mute") is True)
    left.key("b", 1)
    assert await until(lambda: stage.desk.get_now("/channel/2/mute") is True)
    left.unplug()
    assert await until(lambda: stage.desk.get_now("/channel/2/mute") is False)
    assert stage.desk.get_now("/channel/1/mute") is True


async def test_nothing_is_opened_that_no_profile_names(stage: Stage) -> None:
    stage.plug(Pad(stage.root, "AT Translated Set 2 keyboard"), 0)
    pedal = stage.plug(Pad(stage.root, "a foot switch"), 1)
    stage.use(PEDAL)
    assert await until(lambda: pedal.grabbed)
    assert stage.opened == [pedal.node]


async def test_without_rights_it_is_said_once_and_in_plain_words(stage: Stage) -> None:
    stage.refusal = PermissionError(errno.EACCES, "Permission denied")
    stage.plug(Pad(stage.root, "Foot Switch"), 1)
    stage.plug(Pad(stage.root, "Foot Switch Consumer Control"), 2)
    stage.use(PEDAL)
    await asyncio.sleep(1.2)
    assert len(stage.said) == 1
    assert "Foot Switch" in stage.said[0]
    assert "group input" in stage.said[0]
    assert len(stage.opened) == 2


async def test_taken_by_another_program_it_is_tried_again(stage: Stage) -> None:
    pedal = Pad(stage.root, "Foot Switch")
    pedal.taken = True
    stage.plug(pedal, 1)
    real, Played.close = Played.close, lambda self: None  # type: ignore[method-assign]
    try:
        stage.use(PEDAL)
        assert await until(lambda: len(stage.said) == 1)
        assert "another program has taken" in stage.said[0]
        pedal.taken = False
        assert await until(lambda: pedal.grabbed)
        assert len(stage.said) == 1
    finally:
        Played.close = real  # type: ignore[method-assign]


async def test_what_the_kernel_has_lost_is_let_go(stage: Stage) -> None:
    stage.use(PEDAL)
    pedal = stage.plug(Pad(stage.root, "Foot Switch"), 1)
    assert await until(lambda: pedal.grabbed)
    pedal.key("b", 1)
    assert await until(lambda: stage.desk.get_now("/channel/1/mute") is True)
    pedal.events((EV_SYN, 3, 0))
    assert await until(lambda: stage.desk.get_now("/channel/1/mute") is False)


@pytest.mark.parametrize("lock", [False, True])
async def test_the_numpad_plays_whatever_num_lock_says(stage: Stage, lock: bool) -> None:
    """A pad that makes other keys of its digits without num lock, and one that wraps each key in num lock."""
    text = (shipped_folder() / "usb-numpad.yaml").read_text(encoding="utf-8")
    stage.use(text)
    pad = stage.plug(Pad(stage.root, "SINO WEALTH USB Numeric Keypad"), 5)
    assert await until(lambda: pad.grabbed)
    done: list[tuple[str, Any]] = []
    real = stage.desk.do_now
    stage.desk.do_now = lambda at, args, frame=0: (done.append((str(at), *args)), real(at, args, frame))[1]  # type: ignore[arg-type]
    for name in ("kp1", "kp5", "kp9") if lock else ("end", "kp5", "pageup"):
        for key, value in (("numlock", 1), (name, 1), ("numlock", 0), (name, 0)):
            pad.key(key, value)
    assert await until(lambda: len(done) == 6)
    assert done == [(f"/bank/1/pad/{n}/trigger", on) for n in (1, 5, 9) for on in (1.0, 0.0)]
    done.clear()
    zero = "kp0" if lock else "insert"
    for key, value in ((zero, 1), ("numlock", 1), ("numlock", 0), ("kp5", 1), (zero, 0), ("kp5", 0)):
        pad.key(key, value)
    assert await until(lambda: done == [("/scene/5/launch",)])
    pad.key("kpplus", 1)
    assert await until(lambda: stage.desk.get_now("/pads/bank") == 2)


def test_the_names_of_keys_are_those_of_linux() -> None:
    codes = {name.lower().removeprefix("key_"): code for name, code in evdev.ecodes.ecodes.items()
             if name.startswith(("KEY_", "BTN_"))}
    wrong = {name: (code, codes.get(name)) for name, code in CODES.items() if codes.get(name, code) != code}
    assert wrong == {}
    assert len(CODES.keys() & codes.keys()) > 250


@pytest.mark.parametrize(("change", "place", "words"), [
    (("{key: a}", "{key: kpp1}"), "kpp1", "did you mean kp1?"),
    (("{key: a}", "{key: a, trigger: true}"), "left: {key", "trigger is for osc"),
    (("{key: a}", "{cc: 7}"), "7}", "cc is of a device of kind: midi"),
    (('usb: ["0c45:7403"]', 'usb: ["0c45"]'), '"0c45"', "as lsusb shows it"),
    (('match: [foot switch], usb: ["0c45:7403"]', "grab: true"), "device:", "how the device is recognised"),
    (("kind: keys", "kind: midi"), "device:", "usb is for kind: keys"),
    (("f1..f2", "f1..g2"), "f1..g2", "a row of keys is like kp1..kp9"),
    (("right: {to: /channel/1/mute, mode: hold}", "right: {to: /channel/1/fader}"), "/channel/1/fader", "cannot follow a key"),
    (("right: {to: /channel/1/mute, mode: hold}", "right: {midi: 90 10 vv}"), "right: {midi", "midi goes to the device itself"),
])
def test_faults_are_said_with_line_and_column(tmp_path: Path, change: tuple[str, str], place: str, words: str) -> None:
    assert change[0] in PEDAL
    text = PEDAL.replace(*change, 1)
    path = tmp_path / "keys.yaml"
    path.write_text(text, encoding="utf-8")
    problems = [p for p in check_profile(path) if words in p.message]
    before = text[: text.index(place)]
    at = (before.count("\n") + 1, len(before) - before.rfind("\n"))
    assert [(p.line, p.column) for p in problems] == [at], check_profile(path)
