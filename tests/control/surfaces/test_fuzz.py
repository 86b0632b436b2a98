# SPDX-License-Identifier: GPL-3.0-or-later
"""What no device sends and nobody writes: random bytes to the reader and the mapper, mutated profiles to the check. The long
forms (``make soak``) are a million bytes each way and ten thousand profiles."""

from __future__ import annotations

import asyncio
import random
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import yaml

from appliance.bus.binding import HELD
from appliance.bus.events import Kind
from appliance.control.desk import Desk
from appliance.control.mapping.check import load_profile, read_profile
from appliance.control.mapping.library import ProfileLibrary, shipped_folder
from appliance.control.mapping.profile import DeviceKind, Mode
from appliance.control.midi.alsa import AlsaDevice, AlsaPorts
from appliance.control.midi.router import Router
from appliance.control.midi.view import View
from appliance.namespace import Kind as NodeKind
from appliance.nodes import NAMESPACE
from tests.control.surfaces import test_midi as midi
from tests.jackgear import Burst

playing, stage = midi.playing, midi.stage
HANG_S = 60
SHIPPED = sorted(shipped_folder().glob("*.yaml"))

EVERYTHING = """\
profile: 1
name: Everything
device: {match: [fuzz]}
surface:
  key: {note: 0..31, channel: any}
  pad: {note: 32..47, channel: 1..4}
  knob: {cc: 0..15, channel: any}
  turn: {cc: 16..23, encoder: twos}
  fine: {cc14: 24..27}
  nrpn: {nrpn: 0..500}
  rpn: {rpn: 0..3}
  bend: {bend: true, channel: 1..8}
  pressure: {pressure: true, channel: 1..8}
  poly: {poly: 0..40}
  program: {program: 0..127}
layers: {shift: key 1, fx: {toggle: key 2}, deck: {choose: key 3..6}, side: {cycle: key 7, values: [1, 3]}}
bindings:
  pad: /pad/N/trigger
  shift + pad: {to: /pad/N/gain, value: -6}
  key 8: {to: /channel/1/mute, mode: hold}
  shift + key 8: {to: /channel/2/mute, mode: hold}
  key 9: {to: "/deck/{deck}/cue"}
  key 9 held 0.1: {to: /channel/3/mute, mode: toggle}
  key 10 double: {to: /channel/3/solo, mode: toggle}
  key 11: {to: [{to: /channel/4/mute, mode: hold}, /clock/tap]}
  key 12: [{to: /channel/5/mute, mode: hold, when: {/channel/3/mute: true}}, {to: /channel/6/mute, mode: hold}]
  knob 1: {to: "/channel/{side}/fader", takeover: pickup}
  fx + knob 1: {to: "/channel/{side}/filter", curve: centre, takeover: scale}
  knob 2: {to: /clock/metre}
  knob 3: {to: /deck/2/cue, mode: hold}
  knob 4: {to: /channel/7/mute, mode: hold}
  shift + knob 4: {to: /channel/8/mute, mode: hold}
  knob 5: {midi: B0 10 vv}
  turn 1: {to: /clock/bpm, range: [60, 180], faster: 4}
  turn 2: /deck/1/jog/turn
  fine 1: {to: /channel/1/pan, takeover: pickup}
  nrpn: /channel/2/pan
  bend 1: /channel/3/pan
  pressure 1: /channel/4/pan
  poly 40: /channel/5/pan
  program: {to: /pads/bank, value: 3}
"""


def messages_of(data: bytes) -> list[bytes]:
    """The channel messages that a stream of bytes has, as a driver cuts them out; running status and all."""
    parser = mido.Parser()
    parser.feed(data)
    return [bytes(message.bytes()) for message in parser if not message.is_meta and message.type != "sysex"]


@contextmanager
def no_hang() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(HANG_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def held_by(compiled: Any) -> set[str]:
    return {action.address for rules in compiled.rules.values() for rule in rules for action in rule.actions
            if action.mode is Mode.HOLD}


async def play_bytes(desk: Desk, folder: Path, amount: int, seed: int, end: Callable[[Any, Any], None]) -> None:
    """``amount`` random bytes to a device that control reads itself: every message goes through table, hand and router."""
    rng = np.random.default_rng(seed)
    path = folder / "everything.yaml"
    path.write_text(EVERYTHING, encoding="utf-8")
    compiled = load_profile(path)
    amounts: dict[tuple[int, int], float] = {}

    def send(code: int, index: int = 0, a: float = 0.0, b: float = 0.0, **_: Any) -> int:
        amounts[code, index] = a
        return 0

    desk.box.commands.send = send  # type: ignore[method-assign]
    ports = AlsaPorts(desk, ProfileLibrary(()), Router(desk), View(desk), lambda work: work, lambda name: False)
    device = AlsaDevice("fuzz", compiled, None)
    ports._begin_with(device)
    heard = left = 0
    while left < amount:
        chunk = rng.integers(0, 256, 4096, np.uint8)
        chunk[rng.random(4096) < 0.25] |= 0x80  # more beginnings of messages
        data = chunk.tobytes()
        left += len(data)
        for message in messages_of(data):
            ports._take(device, message)
            heard += 1
        for at in range(0, 300, 3):  # and what is no message at all
            ports._take(device, data[at : at + int(rng.integers(0, 5))])
        if left % 65536 == 0:
            await asyncio.sleep(0)
    assert heard > amount // 20
    end(ports, device)
    await asyncio.sleep(0.2)
    assert not device.hand._pressed
    assert not [message for message in device.down if message[0] & 0xF0 == 0x90]
    for address in held_by(compiled):
        found = NAMESPACE.find(address, desk.get_now("/pads/bank"))
        if found.node.kind is NodeKind.VALUE:
            assert desk.get_now(address) is False, address
        elif not address.startswith("/pad/"):
            assert amounts.get((NAMESPACE.command(found.group.record, found.node.name), found.index), 0.0) == 0.0, address
    trigger = NAMESPACE.command("pad", "trigger")
    assert {index: a for (code, index), a in amounts.items() if code == trigger and a > 0} == {}, "a pad is still held"
    assert device.hand.layers["shift"] == 0


def pull_out(ports: Any, device: Any) -> None:
    ports._leave(device)


def all_notes_off(ports: Any, device: Any) -> None:
    for channel in range(16):
        ports._take(device, bytes((0xB0 + channel, 123, 0)))
        for controller in range(16):
            ports._take(device, bytes((0xB0 + channel, controller, 0)))


@pytest.mark.parametrize("end", [pull_out, all_notes_off])
async def test_random_bytes_leave_nothing_held(desk: Desk, tmp_path: Path, end: Any) -> None:
    await play_bytes(desk, tmp_path, 30_000, 1, end)


@pytest.mark.soak
@pytest.mark.parametrize("end", [pull_out, all_notes_off])
async def test_a_million_random_bytes_leave_nothing_held(desk: Desk, tmp_path: Path, end: Any) -> None:
    await play_bytes(desk, tmp_path, 1_000_000, 7, end)


async def through_the_engine(stage: Any, amount: int, seed: int) -> None:
    """Random channel messages, 1,000 in a cycle, through JACK into the engine; then the device is pulled out."""
    rng = np.random.default_rng(seed)
    folder = stage.box.data / "mappings"
    folder.mkdir(exist_ok=True)
    path = folder / "everything.yaml"
    path.write_text(EVERYTHING, encoding="utf-8")
    messages = np.zeros((1000, 3), np.uint8)
    device = Burst(stage.server, messages, "fuzz", "fuzz out")
    sent = 0
    try:
        assert await midi.until(lambda: any("midi_in_" in name for name in device.connections))
        slot = int(next(iter(device.connections))[-1]) - 1
        for burst in range(-(-amount // 3000)):
            device._messages[:, 0] = rng.integers(0x80, 0xF0, 1000)
            device._messages[:, 1:] = rng.integers(0, 128, (1000, 2))
            device._messages[-1] = (0xBF, 119, burst % 128)  # nobody's: control hears of it last
            device.go()
            assert await midi.until(lambda b=burst: device.bursts == b + 1)
            mark = (0xBF, 119, burst % 128)
            assert await midi.until(lambda m=mark: any((e.a, e.b, e.c) == m for e in stage.events if e.kind == Kind.MIDI))
            stage.events.clear()
            sent += 3000
    finally:
        device.close()
    assert sent >= amount
    try:
        assert await midi.until(lambda: not (stage.box.record["midi_pressed"][0][slot] & HELD).any())
        compiled = load_profile(path)
        held = [a for a in held_by(compiled) if NAMESPACE.find(a).node.kind is NodeKind.VALUE]
        assert await midi.until(lambda: all(stage.desk.get_now(address) is False for address in held))
    finally:
        path.unlink(missing_ok=True)


async def test_random_messages_through_the_engine(stage: Any) -> None:
    await through_the_engine(stage, 60_000, 2)


@pytest.mark.soak
async def test_a_million_random_bytes_through_the_engine(stage: Any) -> None:
    await through_the_engine(stage, 1_000_000, 8)


# -- profiles

ODD: list[Any] = [
    None, True, False, 0, -1, 1, 127, 128, 10**30, 1.5, float("nan"), float("inf"), "", " ", "N", "N+4", "{", "{}", "{n:1..8}",
    "vv", "0..99999", "127..0", "/", "//", "/pad/N/trigger", "/deck/{deck}/play", "/channel/{n}/fader", "pad",
    "/a/{x:1..2000}/{y:1..2000}", "pad 1..4", "shift + pad", "pad held 2", "pad double", "any", "F0 F7", "B0 10 vv", "F0 01",
    "osc", "keys", "midi", "kp1|home", "kp1..kp9", "127.0.0.1:9 /x vv", "\x00", "ü" * 50, "x" * 3000, [], {}, [[]], [{}],
    {"to": None}, {"hold": "pad"}, {1: 2},
    [1, 2, 3], ["a", "b"], {"to": "/mixer/master", "range": [1]}, "2001-01-01", "!!binary", "&a", "*a", "=", "<<", "0x7f",
    "1e400"]


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def dumped(tree: Any) -> str:
    return yaml.dump(tree, Dumper=DUMPER, allow_unicode=True, sort_keys=False)


def mutate_tree(rng: random.Random, tree: Any) -> Any:
    """One change somewhere: another value, one less, one twice, two exchanged, another name."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(tree)
    node, key = rng.choice(places)
    match rng.randrange(6):
        case 0 | 1:
            node[key] = rng.choice(ODD)
        case 2:
            del node[key]
        case 3:
            other, there = rng.choice(places)
            if there in other if isinstance(other, dict) else there < len(other):
                node[key] = yaml.load(dumped(other[there]), LOADER)
        case 4:
            if isinstance(node, dict):
                node[rng.choice(ODD[13:]) if rng.random() < 0.5 else f"{key}{rng.choice('xs 1')}"] = node.pop(key)
            else:
                node.insert(key, rng.choice(ODD))
        case _:
            if isinstance(node, dict):
                name = rng.choice(["to", "osc", "key", "midi", "kind", "range", "mode", "value", "from", "usb", "note"])
                node[name] = rng.choice(ODD)
            else:
                node.append(rng.choice(ODD))
    return tree


def mutate_text(rng: random.Random, text: str) -> str:
    text = text or "profile: 1\n"
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    match rng.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, rng.choice(lines))
        case 2:
            lines[at] = rng.choice([" ", "  ", "\t", "- ", "? ", "&a ", "*a ", "!!set "]) + lines[at]
        case 3:
            lines = lines[:at]
        case _:
            text = "\n".join(lines)
            for _ in range(rng.randrange(1, 6)):
                place = rng.randrange(len(text) + 1)
                sign = rng.choice("{}[]:,#&*!|>'\"%@`-? \n\t\u2028\x85Nn0a\x07é/+.")
                text = text[:place] + sign + text[place + rng.randrange(2) :]
            return text
    return "\n".join(lines)


def judge(folder: Path, amount: int, seed: int) -> tuple[int, int]:
    """How many of the mutated profiles are still good, and how many are refused, each with a line and a column."""
    rng = random.Random(seed)
    originals = [path.read_text(encoding="utf-8") for path in SHIPPED] + [EVERYTHING]
    path = folder / "mutated.yaml"
    good = refused = 0
    for number in range(amount):
        text = rng.choice(originals)
        for _ in range(rng.choice([1, 1, 2, 5])):
            try:
                text = dumped(mutate_tree(rng, yaml.load(text, LOADER))) \
                    if rng.random() < 0.6 else mutate_text(rng, text)
            except Exception:  # it is no tree any more: only its text can be changed further
                text = mutate_text(rng, text)
        path.write_text(text, encoding="utf-8", newline="")
        with no_hang():
            try:
                compiled, problems = read_profile(path)
            except Exception as error:
                kept = folder / f"failed-{number}.yaml"
                kept.write_text(text, encoding="utf-8", newline="")
                raise AssertionError(f"{type(error).__name__}: {error}: {kept}") from error
        assert (compiled is None) == any(not problem.warning for problem in problems), text
        lines = len(re.split("\r\n|[\r\n\x85\u2028\u2029]", text))
        for problem in problems:
            assert 1 <= problem.line <= lines, (problem, text)
            assert problem.column >= 1, (problem, text)
            assert problem.message, text
            assert "Traceback" not in problem.message, text
        good, refused = good + (compiled is not None), refused + (compiled is None)
    return good, refused


def test_mutated_profiles_are_read_or_refused_with_line_and_column(tmp_path: Path) -> None:
    good, refused = judge(tmp_path, 60, 3)
    assert good
    assert refused


@pytest.mark.soak
def test_ten_thousand_mutated_profiles(tmp_path: Path) -> None:
    good, refused = judge(tmp_path, 10_000, 11)
    assert good > 500
    assert refused > 5000
    print(f"{good} good, {refused} refused")


def test_the_kinds_are_all_among_those_that_are_mutated() -> None:
    kinds = {load_profile(path).profile.device.kind for path in SHIPPED}
    assert {DeviceKind.MIDI, DeviceKind.KEYS} <= kinds
