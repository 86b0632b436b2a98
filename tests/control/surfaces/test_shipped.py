# SPDX-License-Identifier: GPL-3.0-or-later
"""Every shipped profile: each of its bindings as the bytes that the device sends, in each layer; each of its lamps as the bytes
that the device hears; its greeting; its page."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.control.desk import Desk
from appliance.control.mapping import pages
from appliance.control.mapping.check import check_profiles, load_profile
from appliance.control.mapping.compile import Compiled, Said
from appliance.control.mapping.controls import Control
from appliance.control.mapping.library import ProfileLibrary, shipped_folder
from appliance.control.mapping.picture import picture_controls
from appliance.control.mapping.profile import Binding, Encoding, Feedback, Lamp, Mode, Source
from appliance.control.mapping.rules import ROLE, Action, fill_in, number_in
from appliance.control.mapping.selectors import Gesture, layer_controls, layer_values
from appliance.control.midi.hand import Hand
from appliance.control.midi.leds import TICK_S, Lamps
from appliance.control.midi.reading import obey
from appliance.control.midi.rhythm import RGB, Moment
from appliance.control.midi.router import Router
from appliance.control.midi.view import View
from appliance.namespace import Kind, Type
from appliance.nodes import NAMESPACE

SHIPPED = sorted(shipped_folder().glob("*.yaml"))
PAGES = Path(__file__).parents[3] / "docs" / "controllers"
NAMES = {code: name for name, code in NAMESPACE.commands.items()}
TICK = {Encoding.TWOS: 1, Encoding.OFFSET: 65, Encoding.SIGN: 1}
Layers = dict[str, int]

loaded = cache(load_profile)

OF_KEYS = {"usb-numpad"}
"""Played by test_keys.py."""
each = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
each_of_midi = pytest.mark.parametrize("path", [p for p in SHIPPED if p.stem not in OF_KEYS], ids=lambda path: path.stem)


class Rig:
    """A device with a profile on a desk: what its bytes change. ``later``: what waits for a hold."""

    def __init__(self, desk: Desk, compiled: Compiled) -> None:
        self.desk = desk
        self.box = desk.box
        self.compiled = compiled
        self.vector = self.box.values.vector
        self.defaults = np.array(self.vector)
        self.calls: list[tuple[str, list[Any]]] = []
        self.later: list[tuple[float, Any, tuple[Any, ...]]] = []
        self.router = Router(desk)
        desk._call = self._called  # type: ignore[method-assign]
        self.fresh()

    async def _called(self, found: Any, args: list[Any]) -> None:
        self.calls.append((found.address, args))

    def fresh(self) -> None:
        self.vector[:] = self.defaults
        self.box.record["command_head"] = 0
        for table in ("deck", "pad", "channel"):
            for name in self.box.record["telemetry"][table].dtype.names:
                self.box.record["telemetry"][table][name] = 0
        self.desk.set_now("/system/focus", "")
        self.hand = Hand(self.compiled, Router(self.desk))
        self.last: dict[tuple[int, int], int] = {}
        self.mark()

    def mark(self) -> None:
        self.before = np.array(self.vector)
        self.box.record["command_head"] = 0
        self.calls.clear()

    def send(self, status: int, data1: int, data2: int) -> None:
        data2 = data2 if status & 0xE0 != 0xC0 else 0
        obey(self.desk, self.hand.take(status, data1, data2), status, data2, self.last.get((status, data1), -1))
        self.last[status, data1] = data2

    def did(self) -> list[tuple[str, Any]]:
        """Addresses and values of all that has changed or been done."""
        slots = np.flatnonzero(self.before != self.vector)
        changed = [(_by_slot(int(slot)), float(self.vector[slot])) for slot in slots]
        head = int(self.box.record["command_head"][0])
        rows = self.box.commands._ring[:head]
        done = [(_by_command(int(row["code"]), int(row["index"])), float(row["a"])) for row in rows]
        focus = self.desk.get_now("/system/focus")
        return changed + done + [(a, args[0] if args else None) for a, args in self.calls] + (
            [("/system/focus", focus)] if focus else [])

    # -- hands

    def press(self, control: Control) -> None:
        for status, number in self.messages(control):
            self.send(status, number, 127)

    def release(self, control: Control) -> None:
        for status, number in self.messages(control):
            self.send(status if status & 0xF0 == 0xB0 else status - 0x10, number, 0)

    def messages(self, control: Control) -> list[tuple[int, int]]:
        return self.compiled.profile.surface[control[0]].messages(control[1])[:1]

    def move(self, control: Control, whole: float) -> None:
        """A knob or fader to a place 0…1."""
        surface, (status, number) = self.compiled.profile.surface[control[0]], self.messages(control)[0]
        if surface.source is Source.CC14:
            value = round(whole * 16383)
            halves = [(number, value >> 7), (surface.fine_messages(control[1])[0][1], value & 127)]
            for which, data in reversed(halves) if surface.fine_first else halves:
                self.send(status, which, data)
        elif surface.source is Source.BEND:
            self.send(status, round(whole * 16383) & 127, round(whole * 16383) >> 7)
        else:
            self.send(status, number, round(whole * 127))

    def enter(self, layers: Layers) -> None:
        """The buttons that bring the device there."""
        for name, value in layers.items():
            way, buttons = self.compiled.profile.layers[name].way, layer_controls(self.compiled.profile, name)
            values = layer_values(self.compiled.profile, name)
            while self.hand.layers[name] != value:
                before = self.hand.layers[name]
                button = buttons[values.index(value)] if way == "choose" else buttons[0]
                self.press(button)
                if way != "hold":
                    self.release(button)
                assert self.hand.layers[name] != before, f"{name} does not change"


SLOTS = {address.slot: address.address for address in NAMESPACE if address.slot >= 0}
COMMANDS = {(NAMESPACE.command(a.group.record, a.node.name), a.index): a.address
            for a in NAMESPACE if a.node.kind is Kind.COMMAND}


def _by_slot(slot: int) -> str:
    return SLOTS[slot]


def _by_command(code: int, index: int) -> str:
    return COMMANDS[code, index]


def states(compiled: Compiled, said: Said) -> Iterator[Layers]:
    """The layers in which this counts: those it names, with every value of those in its address."""
    targets = said.binding.to if isinstance(said.binding.to, list) else [said.binding]
    texts = [str(part) for target in targets for part in (target.to, target.value)] + list(said.binding.when)
    fixed = dict(said.selector.layers)
    free = sorted({name for text in texts for name in re.findall(r"\{([^}]*)\}", text)} - fixed.keys())
    for values in product(*(layer_values(compiled.profile, name) for name in free)):
        yield {**fixed, **dict(zip(free, values, strict=True))}


def action_of(compiled: Compiled, said: Said, layers: Layers, address: str) -> Action:
    return next(action for rule in compiled.rules[said.control] if rule.gesture is said.selector.gesture
                and rule.after_s == said.selector.after_s and dict(rule.layers).items() <= layers.items()
                for action in rule.actions if action.address == address)


def make_so(rig: Rig, address: str, value: Any, *, so: bool) -> None:
    """A condition holds, or not."""
    found = rig.desk.find(address)
    if not so:
        value = not value if isinstance(value, bool) else next(c for c in found.node.choices if c != value)
    if found.node.kind is Kind.VALUE:
        rig.box.values.set(found, value)
    else:
        table, name = found.node.reads.split(".")
        rig.box.record["telemetry"][table][name][..., found.index] = value


def start(rig: Rig, address: str, wanted: Any) -> None:
    """Where the value stands before: somewhere else than it will."""
    found = rig.desk.find(address)
    node = found.node
    if node.kind is not Kind.VALUE:
        return
    places: list[Any] = list(node.choices) or ([False, True] if node.type is Type.BOOL else
                                               [(node.minimum + node.maximum) // 2, node.minimum, node.maximum])
    rig.box.values.set(found, next(place for place in places if place != wanted))


def wanted_value(target: Binding, member: int, layers: Layers) -> Any:
    """What the profile says that a press sends; None where it says nothing."""
    value = target.values[(member - 1) % len(target.values)] if target.values else target.value
    if isinstance(value, str) and ROLE.fullmatch(value):
        return fill_in(value, member, layers)
    return number_in(value, member)


@each_of_midi
@pytest.mark.asyncio
async def test_every_binding_does_what_it_says(desk: Desk, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = loaded(path)
    rig = Rig(desk, compiled)
    loop = asyncio.get_running_loop()
    sooner = loop.call_later

    def call_later(after_s: float, work: Any, *args: Any, **more: Any) -> Any:
        if getattr(work, "__self__", None) is not rig.hand:
            return sooner(after_s, work, *args, **more)
        rig.later.append((after_s, work, args))  # nobody waits for a hold here: try_one lets its time come
        return sooner(3600, lambda: None)

    monkeypatch.setattr(loop, "call_later", call_later)
    done = [(said, layers) for said in compiled.said for layers in states(compiled, said)]
    for said, layers in done:
        await try_one(rig, said, layers)
    assert len(done) >= 8
    assert {said.control for said, _ in done} == set(compiled.rules), "a control that is bound and was not tried"


async def try_one(rig: Rig, said: Said, layers: Layers) -> None:
    compiled, control, binding = rig.compiled, said.control, said.binding
    profile, member = compiled.profile, said.control[1]
    where = f"{profile.name}: {layers or ''} {control} {binding.to}"
    surface = profile.surface[control[0]]
    rig.fresh()
    rig.enter(layers)
    for other in compiled.said:
        if other.control == control and other.selector == said.selector and other.binding is not binding and not binding.when:
            for address, value in other.binding.when.items():
                make_so(rig, fill_in(address, member, layers), value, so=False)
    for address, value in binding.when.items():
        make_so(rig, fill_in(address, member, layers), value, so=True)
    targets = [t for t in (binding.to if isinstance(binding.to, list) else [binding]) if t.to]
    addresses = [fill_in(str(target.to), member, layers) for target in targets]
    actions = [action_of(compiled, said, layers, address) for address in addresses]
    expected = [rig.desk.find(address).address for address in addresses]
    if not binding.when:
        for target, address, action in zip(targets, addresses, actions, strict=True):
            start(rig, address, _aim(target, member, layers, action, address))
    rig.mark()
    held = said.selector.gesture is Gesture.HELD
    follows = any(action.mode is Mode.FOLLOW for action in actions)
    if surface.encoder is not None:
        for _ in range(40):
            rig.send(*rig.messages(control)[0], TICK[surface.encoder])
    elif follows:
        rig.move(control, 0.0)
        rig.move(control, 1.0)
    elif held:
        rig.later.clear()
        rig.press(control)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        rig.mark()  # what the press itself did is another line
        for address in expected:
            start(rig, address, True if rig.desk.find(address).node.type is Type.BOOL else None)
        rig.mark()
        for after_s, work, args in [one for one in rig.later if one[0] == said.selector.after_s]:
            work(*args)
            assert after_s >= 0.5
    else:
        rig.press(control)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    did = rig.did()
    assert sorted({address for address, _ in did}) == sorted(set(expected)), f"{where} did {did}"
    for target, action, address in zip(targets, actions, expected, strict=True):
        values = [value for at, value in did if at == address]
        check_value(rig, where, target, action, address, values[-1], _aim(target, member, layers, action, address))
    if surface.source in (Source.CC14, Source.BEND):  # both halves count, and in their order
        rig.move(control, 0.75)
        for target, action, address in zip(targets, actions, expected, strict=True):
            if rig.desk.find(address).node.kind is Kind.VALUE:
                assert rig.desk.get_now(address) == pytest.approx(three_quarters(rig, target, action, address), abs=1e-4), where
    if not held and not follows and surface.encoder is None and surface.source is not Source.PROGRAM:
        rig.mark()
        rig.release(control)
        await asyncio.sleep(0)
        ends = [address for address, action in zip(expected, actions, strict=True) if action.mode is Mode.HOLD]
        after = [address for address, _ in rig.did() if address != "/system/focus"]
        assert sorted(set(after)) == sorted(set(ends)), f"{where} released: {rig.did()}"
        for address, value in rig.did():
            assert value == next(a.ends[0] for a, at in zip(actions, expected, strict=True) if at == address), where


def three_quarters(rig: Rig, target: Binding, action: Action, address: str) -> float:
    """Where a value stands whose fader of 14 bits is at 0.75."""
    node = rig.desk.find(address).node
    low, high = target.range or (node.minimum, node.maximum)
    place = round(0.75 * 16383) / 16383
    if target.curve != "centre":
        return low + place * (high - low)
    middle = 8192 / 16383
    rest = node.default if min(low, high) < node.default < max(low, high) else (low + high) / 2
    return rest + (place - middle) / (1 - middle) * (high - rest)


def _aim(target: Binding, member: int, layers: Layers, action: Action, address: str) -> Any:
    value = wanted_value(target, member, layers)
    return action.ends[1] if action.mode is Mode.FOLLOW else value


def check_value(rig: Rig, where: str, target: Binding, action: Action, address: str, value: Any, aim: Any) -> None:
    node = rig.desk.find(address).node
    match action.mode:
        case Mode.FOLLOW:
            low, high = target.range or (node.minimum, node.maximum)
            assert value == pytest.approx(high), where
            assert low != high
        case Mode.SET | Mode.PRESS if node.kind is Kind.VALUE:
            assert value == pytest.approx(node.to_slot(node.check(aim, address))), where
        case Mode.PRESS if node.kind is Kind.COMMAND and aim is not None:
            assert value == pytest.approx(node.to_slot(node.check(aim, address))), where
        case Mode.SET | Mode.PRESS if node.kind is Kind.TEXT or (node.kind is Kind.CALL and aim is not None):
            assert value == aim, where
        case Mode.HOLD:
            assert value > 0 or value == action.ends[1], where
            if target.values:
                assert value == aim, where
        case Mode.RELATIVE if node.kind is Kind.VALUE:
            assert value > (node.minimum + node.maximum) // 2, where
        case Mode.RELATIVE:
            assert value > 0, where
        case _:
            pass  # that it has changed is what there is to see


# -- lamps


class Lit:
    """The lamps of a device, and what it has heard for each: the newest message by what it addresses."""

    def __init__(self, desk: Desk, compiled: Compiled) -> None:
        self.desk, self.compiled = desk, compiled
        self.telemetry = desk.box.record["telemetry"]
        self.view = View(desk)
        self.heard: list[bytes] = []
        self.layers = {name: values[0] for name, values in compiled.values.items()}
        self.first = dict(self.layers)
        self.down: set[tuple[int, int]] = set()
        self.lamps = Lamps(compiled, self.view, self.take, self.layers, self.down.__contains__)
        self.now_s = 1000.0

    def take(self, data: bytes) -> bool:
        self.heard.append(data)
        return True

    def tick(self) -> int:
        """How many messages a tick sends; in the middle of a beat, where what plays is bright."""
        before = len(self.heard)
        self.view.refresh()
        self.now_s += 10.0
        self.view.now_s = self.now_s
        self.view.moment = Moment(0.7, 0.7)
        self.lamps.tick()
        return len(self.heard) - before

    def settle(self) -> list[bytes]:
        self.heard.clear()
        for _ in range(3):  # meters are looked at on every third tick
            self.desk.announcer.tick()
        while self.tick():
            pass
        return self.heard

    def put(self, address: str, value: Any) -> None:
        found = self.desk.find(address)
        if found.node.kind is Kind.VALUE:
            self.desk.set_now(address, value)
        elif found.node.reads:
            table, name = found.node.reads.split(".")
            field = self.telemetry[table][name]
            field.reshape(-1)[found.index if field.size > 1 else 0] = 3 if name == "state" and value else value
        else:
            self.desk.publish(found.address, value)


def told(lamp: Lamp, message: tuple[int, int], member: int, colour: str, *, lit: bool) -> bytes:
    """The bytes that this lamp takes, by the words of the profile."""
    status, number = message
    shade = lamp.colours.get(colour, lamp.colours.get("white"))
    value = lamp.lit if lit else lamp.dark
    rgb = tuple(round(part * lamp.most / 255) if lit else 0 for part in RGB[colour])
    if lamp.kind in ("ring", "meter"):
        value = lamp.values[-1] if lit else lamp.values[0]
    elif lamp.kind == "palette":
        value = (shade[-1] if isinstance(shade, list) else shade) if lit else lamp.dark  # type: ignore[assignment]
        if lamp.levels:
            status = (status & 0xF0) | ((lamp.levels[-1] if lit else lamp.levels[0]) - 1)
    elif lamp.kind == "numbers":
        assert isinstance(shade, int)
        number += shade
    if lamp.message is None:
        return bytes((status, number, value))
    words = {"nn": number, "ss": status, "vv": value, "rr": rgb[0], "gg": rgb[1], "bb": rgb[2]}
    return bytes(words[w] if w in words else member + int(w[1:] or 0) if w[0] == "N" else int(w, 16)
                 for w in lamp.message.split())


def lights_up(rig: Lit, feedback: Feedback, address: str, member: int, lamp: Lamp, *, lit: bool) -> str:
    """Bring the box there that the lamp is lit, or dark; its colour."""
    if found := re.fullmatch(r"/(pad|deck|scene)/(\d+)", address):
        kind, at = found[1], int(found[2]) - 1
        if kind == "pad":
            rig.telemetry["pad"]["state"].reshape(-1)[at] = 3 if lit else 0
        elif kind == "deck":
            rig.telemetry["deck"]["playing"].reshape(-1)[at] = lit
        else:
            rig.desk.box.record["scene"][0]["launch"][at, :] = 0
            rig.desk.box.record["scene"][0]["launch"][at, 20] = 1
            rig.telemetry["pad"]["state"].reshape(-1)[20] = 3 if lit else 0
        return "green" if kind == "deck" else "white"
    node = rig.desk.find(address).node
    equals = number_in(feedback.equals, member)
    if lamp.kind == "meter":
        rig.put(address, 1.0 if lit else 0.0)
    elif lamp.kind == "ring":
        low, high = feedback.range or (node.minimum, node.maximum)
        rig.put(address, round(high if lit else low) if node.type is Type.INT else high if lit else low)
    elif equals is not None:
        others = list(node.choices) or ([False, True] if node.type is Type.BOOL else [node.minimum, node.maximum])
        rig.put(address, equals if lit else next(other for other in others if other != equals))
    elif feedback.above is not None:
        rig.put(address, feedback.above + 1 if lit else node.minimum)
    else:
        rig.put(address, lit)
    return feedback.colour


@each
@pytest.mark.asyncio
async def test_every_lamp_shows_its_state_in_the_bytes_of_its_device(desk: Desk, path: Path) -> None:
    compiled = loaded(path)
    profile = compiled.profile
    rig = Lit(desk, compiled)
    rig.settle()
    tried = set()
    for selector, control, feedback in compiled.shown:
        message = profile.surface[control[0]].messages(control[1])[0]
        lamp = profile.lamps[feedback.lamp or next(iter(profile.lamps))]
        names = re.findall(r"\{([^}]*)\}", feedback.shows)
        itself = re.fullmatch(r"\{([^}]*)\}", feedback.shows)
        free = [] if itself else [name for name in names if name not in dict(selector.layers)]
        for values in product(*(layer_values(profile, name) for name in free)):
            layers = {**dict(selector.layers), **dict(zip(free, values, strict=True))}
            for step, lit in enumerate((False, True, False)):
                rig.layers.update(rig.first | layers)
                colour = feedback.colour
                if feedback.shows == "pressed":
                    (rig.down.add if lit else rig.down.discard)(message)
                elif itself:
                    wanted = number_in(feedback.equals, control[1]) if feedback.equals is not None else 1
                    rig.layers[itself[1]] = wanted if lit else next(v for v in layer_values(profile, itself[1]) if v != wanted)
                else:
                    address = fill_in(feedback.shows, control[1], layers)
                    colour = lights_up(rig, feedback, address, control[1], lamp, lit=lit)
                heard = rig.settle()
                expected = told(lamp, message, control[1], colour, lit=lit)
                where = f"{profile.name}: {selector.layers} {control} {feedback.shows} {lit}"
                if step:  # the first dark may be what it was
                    assert expected in heard, (where, heard[:9], expected)
                tried.add(message)
            rig.layers.update(rig.first)
    assert tried == {one.message for one in compiled.lights}


@each
@pytest.mark.asyncio
async def test_a_device_that_comes_is_told_everything_within_300_ms_and_then_nothing(desk: Desk, path: Path) -> None:
    compiled = loaded(path)
    rig = Lit(desk, compiled)
    rig.settle()
    rig.heard.clear()
    rig.lamps.resync()
    ticks = 0
    while rig.tick():
        ticks += 1
    greeting = len(compiled.profile.init)
    assert rig.heard[:greeting] == compiled.profile.init
    assert len(rig.heard) - greeting == len({one.message for one in compiled.lights})
    assert ticks * TICK_S <= 0.3
    assert rig.settle() == []
    rig.lamps.leave()
    assert rig.heard[len(rig.heard) - len(compiled.profile.exit) :] == compiled.profile.exit


# -- what else a profile is


def test_all_are_good_together_and_each_finds_its_device() -> None:
    assert check_profiles(SHIPPED) == []
    library = ProfileLibrary([shipped_folder()])
    assert library.scan()[1] == []
    ports = {
        "APC MINI MIDI 1": "Akai APC mini", "APC mini mk2 MIDI 1": "Akai APC mini mk2", "APC40 mkII MIDI 1": "Akai APC40 mkII",
        "LPD8 MIDI 1": "Akai LPD8", "Akai MPD24 MIDI 1": "Akai MPD24", "MIDI Mix MIDI 1": "Akai MIDImix",
        "Launchpad Mini MK3 LPMiniMK3 MI": "Novation Launchpad Mini MK3", "Launchpad X LPX MIDI": "Novation Launchpad X",
        "Launch Control XL MIDI 1": "Novation Launch Control XL", "Ableton Push 2 Live Port": "Ableton Push 2",
        "nanoKONTROL2 MIDI 1": "Korg nanoKONTROL2", "X-TOUCH MINI MIDI 1": "Behringer X-TOUCH MINI",
        "DDJ-200 MIDI 1": "Pioneer DDJ-200", "DDJ-400 MIDI 1": "Pioneer DDJ-400", "DDJ-FLX4 MIDI 1": "Pioneer DDJ-FLX4",
        "XONE:K2 MIDI 1": "Allen & Heath Xone:K2", "DJControl Inpulse 300 MIDI 1": "Hercules DJControl Inpulse 300",
        "DENON DJ MC7000 MIDI 1": "Denon DJ MC7000", "FCB1010 MIDI 1": "Behringer FCB1010", "Some Keyboard MIDI 1": "Generic",
        "Launchpad Mini MK3 LPMiniMK3 DA": "Generic", "Ableton Push 2 User Port": "Generic", "APC mini mk2 Notes": "Generic",
    }
    chosen = {port: library.choose((port,)) for port in ports}
    assert {port: compiled and compiled.profile.name for port, compiled in chosen.items()} == ports
    assert {*ports.values(), "USB numpad"} == {one.profile.name for _, one in library.profiles()}


@each
def test_the_picture_has_every_control_once(path: Path) -> None:
    compiled = loaded(path)
    rows = [picture_controls(compiled.profile, row) for row in compiled.profile.picture]
    there = [control for row in rows for place in row for control in place]
    assert len(there) == len(set(there))
    assert set(compiled.rules) | set(compiled.layer_of) <= set(there)


def test_the_pages_are_current() -> None:
    wanted = pages.pages(shipped_folder())
    there = {path.name: path.read_text(encoding="utf-8") for path in PAGES.glob("*.md")}
    stale = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
    assert stale == [], "run: make pages"
    page = wanted["akai-apc-mini.md"]
    assert "**pad 5** ○<br>pad 5 trigger<br>0.6 s: its settings" in page
    assert "### shift: shift is held" in page
    assert "**track 3**<br>channel 3 solo" in page
    assert "have not been tried" in page
