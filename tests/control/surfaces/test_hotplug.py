# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices that come and go in the middle of a set: what they held, where their faders stood, whose lamps are whose."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.bus import layout
from appliance.bus.commit import committed
from appliance.bus.events import Kind
from appliance.control.mapping.profile import Device as Facts
from appliance.control.midi.devices import pair
from appliance.control.midi.jackports import JackPorts, MidiPort
from appliance.control.midi.places import Places, make_of, numbers_in, path_of
from appliance.nodes import NAMESPACE
from tests.control.surfaces import test_midi as midi
from tests.jackgear import Burst

Device, Stage, sent, until = midi.Device, midi.Stage, midi.sent, midi.until
playing, stage = midi.playing, midi.stage
CUE, TAILS = NAMESPACE.command("deck", "cue"), NAMESPACE.command("panic_actions", "tails")

SURFACE = """\
profile: 1
name: Hot
device: {match: [hot box]}
surface: {key: {note: 60..71}, fader: {cc: 1..4}, button: {cc: 20}}
layers: {shift: key 4, side: {choose: key 5..6}, fx: {toggle: key 7}}
takeover: pickup
bindings:
  key 1: {to: /channel/2/mute, mode: hold}
  key 2: /deck/1/cue
  shift + key 3: {to: /channel/3/mute, mode: hold}
  key 3: {to: /channel/4/mute, mode: hold}
  key 8: {to: /channel/5/mute, mode: toggle}
  key 8 held 2: {to: /channel/6/mute, mode: toggle}
  fader 1: /channel/1/fader
  side 2 + fader 2: /channel/7/fader
  side 1 + fader 2: /channel/8/fader
  button: {to: /deck/2/cue, mode: hold}
lamps: {button: {kind: one-colour}}
feedback:
  key 1: /channel/2/mute
  key 5: {shows: "{side}", equals: 1}
  key 6: {shows: "{side}", equals: 2}
  key 8: /channel/5/mute
"""


@pytest.fixture
def hot(playing: Any) -> Iterator[Path]:
    folder = playing.data / "mappings"
    folder.mkdir(exist_ok=True)
    path = folder / "hot.yaml"
    path.write_text(SURFACE, encoding="utf-8")
    yield path
    path.unlink(missing_ok=True)


def slot_of(device: Any) -> int:
    return int(next(iter(device.connections()))[-1]) - 1


def plane(stage: Any, slot: int) -> int:
    return int(committed(stage.box.segment)["midi_plane"][0][slot])


async def plugged(stage: Any, client: str, port: str = "hot box out") -> Any:
    device = stage.plug(client, port)
    assert await until(lambda: any("midi_in_" in name for name in device.connections()))
    return device


async def test_pulled_out_with_a_held_note_a_layer_and_a_gesture(stage: Any, hot: Path) -> None:
    get = stage.desk.get_now
    device = await plugged(stage, "one")
    slot = slot_of(device)
    assert await sent(device, 0x90, 60, 1, until_it=lambda: get("/channel/2/mute") is True)
    assert await sent(device, 0x90, 63, 1, until_it=lambda: plane(stage, slot) == 1)
    assert await sent(device, 0x90, 62, 1, until_it=lambda: get("/channel/3/mute") is True)
    assert await sent(device, 0xB0, 20, 127, until_it=lambda: any(e.code == CUE and e.index == 1 for e in stage.events))
    device.send(0x90, 67, 1)
    assert await until(lambda: get("/channel/5/mute") is True)
    stage.events.clear()
    device.unplug()
    assert await until(lambda: get("/channel/2/mute") is False and get("/channel/3/mute") is False)
    assert await until(lambda: plane(stage, slot) == 0), "the layer was held"
    assert await until(lambda: any(e.code == CUE and e.index == 1 for e in stage.events)), "a controller's button is let go"
    assert get("/channel/6/mute") is False, "it was not held long enough, and is not held any more"
    await asyncio.sleep(2.2)
    assert get("/channel/6/mute") is False
    assert not stage.box.record["midi_pressed"][0][slot].astype(int).__and__(0x80).any()
    again = await plugged(stage, "one")
    assert await sent(again, 0x90, 62, 1, until_it=lambda: get("/channel/4/mute") is True), "without shift"


async def test_a_re_plug_too_quick_to_be_seen_lets_go_as_well(stage: Any, hot: Path) -> None:
    get = stage.desk.get_now
    await plugged(stage, "one")
    first = stage.plugged[0]
    assert await sent(first, 0x90, 60, 1, until_it=lambda: get("/channel/2/mute") is True)
    assert await sent(first, 0xB0, 1, 127, until_it=lambda: int(stage.box.record["midi_last"][0][slot_of(first), 0, 1]) == 128)
    await asyncio.sleep(0.2)
    first.unplug()
    again = stage.plug("one", "hot box out")  # the same name, within a look
    assert await until(lambda: get("/channel/2/mute") is False)
    assert await until(lambda: any("midi_in_" in name for name in again.connections()))
    assert int(stage.box.record["midi_last"][0][slot_of(again), 0, 1]) == 0, "take-over begins anew"


async def test_a_fader_is_taken_over_anew(stage: Any, hot: Path) -> None:
    get = stage.desk.get_now
    device = await plugged(stage, "one")
    stage.desk.set_now("/channel/1/fader", 0.5)
    assert await sent(device, 0xB0, 1, 60, until_it=lambda: int(stage.box.record["midi_last"][0][slot_of(device), 0, 1]) == 61)
    assert await sent(device, 0xB0, 1, 70, until_it=lambda: get("/channel/1/fader") == pytest.approx(70 / 127))
    device.unplug()
    await asyncio.sleep(0.3)
    stage.desk.set_now("/channel/1/fader", 0.2)
    again = await plugged(stage, "one")
    for value in (72, 80, 90):
        again.send(0xB0, 1, value)
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.1)
    assert get("/channel/1/fader") == pytest.approx(0.2), "it stands elsewhere and waits"
    for value in (40, 20):
        again.send(0xB0, 1, value)
        await asyncio.sleep(0.05)
    assert await until(lambda: get("/channel/1/fader") == pytest.approx(20 / 127))


async def test_it_comes_back_under_another_name_with_what_was_chosen(stage: Any, hot: Path) -> None:
    """As a2j names it: the number in brackets is another after each plugging in."""
    get = stage.desk.get_now
    device = await plugged(stage, "one", "hot box [20] (capture)")
    slot = slot_of(device)
    assert await sent(device, 0x90, 65, 1, until_it=lambda: plane(stage, slot) == 2)
    device.send(0x80, 65, 0)
    device.unplug()
    await asyncio.sleep(0.3)
    other = await plugged(stage, "one-01", "hot box [28] (capture)")
    assert slot_of(other) == slot
    assert await until(lambda: plane(stage, slot) == 2), "the side that was chosen"
    assert await until(lambda: other.shown(65) == bytes((0x90, 65, 127)) and other.shown(64) == bytes((0x90, 64, 0)))
    stage.desk.set_now("/channel/7/fader", 0.0)
    await asyncio.sleep(0.05)
    other.send(0xB0, 2, 0)
    await asyncio.sleep(0.05)
    assert await sent(other, 0xB0, 2, 100, until_it=lambda: get("/channel/7/fader") == pytest.approx(100 / 127))


async def test_two_of_the_same_have_their_own_layers_and_lamps(stage: Any, hot: Path) -> None:
    left, right = await plugged(stage, "left"), await plugged(stage, "right")
    assert slot_of(left) != slot_of(right)
    assert await sent(left, 0x90, 65, 1, until_it=lambda: plane(stage, slot_of(left)) == 2)
    assert plane(stage, slot_of(right)) == 0
    assert await until(lambda: left.shown(65) == bytes((0x90, 65, 127)) and right.shown(65) == bytes((0x90, 65, 0)))
    before = slot_of(left)
    left.unplug()
    await asyncio.sleep(0.3)
    right.heard.clear()
    again = await plugged(stage, "left")
    assert slot_of(again) == before
    assert await until(lambda: again.shown(65) == bytes((0x90, 65, 127)))
    assert right.shown(65) is None, "the other one's lamps have not changed"


async def test_the_first_message_of_a_device_counts(stage: Any, hot: Path) -> None:
    """Sent as soon as the server has put the connection into force: a few cycles after it tells of it."""
    for attempt in range(3):
        device = Burst(stage.server, np.array([[0x90, 67, 100], [0xB0, 1, 5], [0x80, 67, 0]]), f"early{attempt}", "hot box out")
        try:
            end = time.monotonic() + 3
            while not any("midi_in_" in name for name in device.connections) and time.monotonic() < end:
                await asyncio.sleep(0)  # as soon as can be
            await asyncio.sleep(0.03)
            stage.desk.set_now("/channel/5/mute", False)
            device.go()
            assert await until(lambda: device.bursts == 1)
            assert await until(lambda: stage.desk.get_now("/channel/5/mute") is True)
        finally:
            device.close()
        await asyncio.sleep(0.3)


async def test_a_thousand_messages_in_one_cycle(stage: Any, hot: Path) -> None:
    """Half of them for the engine's table, half for control: none is lost, none out of order."""
    numbers = np.arange(1000)
    messages = np.stack([np.where(numbers % 2, 0xB5, 0x92), numbers // 2 // 128 + 10, numbers // 2 % 128], axis=1)
    device = Burst(stage.server, messages, "burst", "hot box out")
    try:
        assert await until(lambda: any("midi_in_" in name for name in device.connections))
        for burst in range(3):
            stage.events.clear()
            device.go()
            assert await until(lambda b=burst: device.bursts == b + 1)
            assert device.written == 1000
            assert await until(lambda: len([e for e in stage.events if e.kind == Kind.MIDI]) >= 1000)
            told = [(int(e.a), int(e.b), int(e.c)) for e in stage.events if e.kind == Kind.MIDI]
            assert told == [tuple(map(int, message)) for message in messages]
    finally:
        device.close()
    faders = np.stack([np.full(1000, 0xB0), np.full(1000, 1), numbers % 128], axis=1)
    device = Burst(stage.server, faders, "burst", "keys")  # an unknown keyboard: controller 1 is nobody's there
    try:
        assert await until(lambda: "appliance-a:midi_in" in device.connections)
        stage.box.record["midi_last"][0][0] = 0
        stage.events.clear()
        device.go()
        assert await until(lambda: len([e for e in stage.events if e.kind == Kind.MIDI]) >= 1000)
        assert [int(e.c) for e in stage.events if e.kind == Kind.MIDI] == [n % 128 for n in range(1000)]
    finally:
        device.close()


def test_a_cycle_taken_over_has_all_its_messages() -> None:
    from appliance.engine.context import MIDI_EVENTS

    assert layout.HEARD_MIDI >= MIDI_EVENTS >= 1000


async def test_lamps_are_back_soon(stage: Any) -> None:
    """Seventy lamps, from the moment the ports are there. The time is told in the log; a busy machine is waited for."""
    lamps = {*range(64), *range(100, 108), *range(112, 120)} - {32, 33, 34, 35, 52, 53, 54, 55}
    first = stage.plug("apc", "APC mini mk2 Control")
    assert await until(lambda: {data[1] for data in first.heard} >= lamps)
    took: list[float] = []
    for _ in range(3):
        stage.plugged[-1].unplug()
        await asyncio.sleep(0.3)
        device = stage.plug("apc", "APC mini mk2 Control")
        began = time.monotonic()
        assert await until(lambda d=device: {data[1] for data in d.heard} >= lamps)
        took.append(time.monotonic() - began)
    print("lamps back after", ", ".join(f"{1000 * seconds:.0f} ms" for seconds in took))


async def test_midi_to_a_device(stage: Any) -> None:
    """A message as a target, through a real port, and no other device hears it."""
    folder = stage.box.data / "mappings"
    folder.mkdir(exist_ok=True)
    path = folder / "sender.yaml"
    path.write_text("""\
profile: 1
name: Sender
device: {match: [sender box]}
surface: {knob: {cc: 1}, key: {note: 60..62}}
layers: {shift: key 3}
bindings:
  knob: {midi: B3 10 vv}
  key 1: {midi: F0 7D 01 vv F7, mode: press}
  shift + key 1: {midi: C4 07, mode: press}
  key 2: {to: [/channel/1/mute, /channel/2/mute]}
""", encoding="utf-8")
    try:
        device, other = await plugged(stage, "sender", "sender box"), stage.plug("bystander", "APC mini mk2 Control")
        assert await until(lambda: other.shown(119) is not None)
        other.heard.clear()
        assert await sent(device, 0xB0, 1, 99, until_it=lambda: bytes((0xB3, 0x10, 99)) in device.heard)
        assert await sent(device, 0x90, 60, 64, until_it=lambda: bytes((0xF0, 0x7D, 1, 64, 0xF7)) in device.heard)
        device.send(0x80, 60, 0)
        assert await sent(device, 0x90, 62, 64, until_it=lambda: plane(stage, slot_of(device)) == 1)
        assert await sent(device, 0x90, 60, 64, until_it=lambda: bytes((0xC4, 7)) in device.heard)
        mine = (bytes((0xB3, 0x10, 99)), bytes((0xF0, 0x7D, 1, 64, 0xF7)), bytes((0xC4, 7)))
        assert [data for data in other.heard if data in mine] == []
    finally:
        path.unlink(missing_ok=True)


# -- who is who, without devices


def port(name: str, *aliases: str, source: bool = True) -> MidiPort:
    return MidiPort(name, aliases, source)


def test_the_make_is_the_name_without_its_numbers() -> None:
    for one, other in (
        ("a2j:APC mini mk2 [20] (capture): APC mini mk2 Control", "a2j:APC mini mk2 [28] (capture): APC mini mk2 Control"),
        ("nanoKONTROL2:nanoKONTROL2 MIDI 1 20:0", "nanoKONTROL2:nanoKONTROL2 MIDI 1 24:0"),
        ("apc:APC mini mk2 Control", "apc-01:APC mini mk2 Control"),
    ):
        assert make_of((one,)) == make_of((other,))
        assert numbers_in((one,)) != numbers_in((other,))
    assert make_of(("system:midi_capture_1", "alsa_pcm:in-hw-1-0-0-APC")) == make_of(("system:midi_capture_4",
                                                                                       "alsa_pcm:in-hw-3-0-0-APC"))
    assert make_of(("a:Launchpad Mini MK3 1",)) != make_of(("a:Launchpad Mini MK3 2",))


def test_the_usb_port_is_found_by_the_card(tmp_path: Path) -> None:
    for card, where in ((1, "usb1/1-2/1-2.3/1-2.3:1.0"), (3, "usb1/1-4/1-4:1.0")):
        (tmp_path / "devices" / where).mkdir(parents=True)
        (tmp_path / f"card{card}").mkdir()
        (tmp_path / f"card{card}" / "device").symlink_to(tmp_path / "devices" / where)
    assert path_of(("system:midi_capture_1", "alsa_pcm:in-hw-1-0-0-APC"), tmp_path) == "1-2.3"
    assert path_of(("a2j:APC [28] (capture): APC",), tmp_path) == "1-4"
    assert path_of(("APC:APC MIDI 1 20:0",), tmp_path) == "1-2.3"
    assert path_of(("a2j:program [128] (capture): out",), tmp_path) == ""
    assert path_of(("a2j:APC [24] (capture): APC",), tmp_path) == "", "a card that is not there"

    def name(client: int) -> tuple[str, tuple[str, ...]]:
        text = f"a2j:APC [{client}] (capture): APC"
        return text, (text,)

    places = Places(tmp_path)
    one, three = places.find([name(20), name(28)]).values()
    assert ([one.path, three.path], [one.number, three.number]) == (["1-2.3", "1-4"], [1, 2])
    (tmp_path / "card1" / "device").unlink()
    (tmp_path / "card3" / "device").unlink()
    (tmp_path / "card1" / "device").symlink_to(tmp_path / "devices" / "usb1/1-4/1-4:1.0")  # both came back, the other way round
    (tmp_path / "card3" / "device").symlink_to(tmp_path / "devices" / "usb1/1-2/1-2.3/1-2.3:1.0")
    again = places.find([name(20), name(28)])
    assert again[name(20)[0]] is three
    assert again[name(28)[0]] is one


def test_each_of_two_has_its_own_lamps_whatever_comes_first() -> None:
    facts = Facts.model_validate({"match": ["APC"]})
    sources = [port(f"a2j:APC [{n}] (capture): APC Control") for n in (20, 24)]
    sinks = [port(f"a2j:APC [{n}] (playback): APC Control", source=False) for n in (24, 20)]
    both = pair([(source, facts) for source in sources], sinks)
    assert both == {sources[0].name: sinks[1].name, sources[1].name: sinks[0].name}
    assert pair([(source, facts) for source in sources], sinks[:1]) == {sources[1].name: sinks[0].name}
    assert pair([(sources[0], facts)], sinks[:1]) == {sources[0].name: sinks[0].name}, "alone, a number is no hindrance"
    left, right = port("left:APC out"), port("right:APC out")
    lamps = port("right:APC lamps", source=False)
    assert pair([(left, facts), (right, facts)], [lamps]) == {right.name: lamps.name}


def test_who_comes_back_is_known_and_who_is_here_stays() -> None:
    places = Places(Path("/nowhere"))

    def find(*names: str) -> list[Any]:
        return list(places.find([(name, (name,)) for name in names]).values())

    one, two = find("a2j:APC [20] (capture): C", "a2j:APC [24] (capture): C")
    assert [places.seat(one, 3, set()), places.seat(two, 3, {1})] == [1, 2]
    assert places.find([("a2j:APC [24] (capture): C", ("a2j:APC [24] (capture): C",))]) == {"a2j:APC [24] (capture): C": two}
    back = places.find([(n, (n,)) for n in ("a2j:APC [24] (capture): C", "a2j:APC [16] (capture): C")])
    assert (back["a2j:APC [24] (capture): C"], back["a2j:APC [16] (capture): C"]) == (two, one)
    (other,) = find("x:Other")
    assert places.seat(other, 3, {1, 2}) == 3
    (fourth,) = find("y:Fourth")
    assert places.seat(fourth, 3, {1, 2, 3}) == 0
    assert places.seat(fourth, 3, {2, 3}) == 1
    assert one.slot == 0, "somebody else sits there now"




def test_a_port_that_went_between_two_looks_is_another_one() -> None:
    ports = JackPorts("none", lambda ports: None, lambda pair: None, lambda line: None)

    def look(names: set[str], *told: str) -> dict[str, int]:
        ports._count_births(names, Counter(told))
        return dict(ports._births)

    assert look({"a", "b"}, "a") == {"a": 1, "b": 1}
    assert look({"a", "b"}, "b") == {"a": 1, "b": 1}, "the notice of what was seen first"
    assert look({"a", "b"}) == {"a": 1, "b": 1}
    assert look({"a", "b"}, "a") == {"a": 2, "b": 1}, "gone and back"
    assert look({"b"}) == {"a": 2, "b": 1}
    assert look({"a", "b"}, "a", "b", "b") == {"a": 3, "b": 3}
    ports._unannounced["b"] = time.monotonic() - 60
    assert look({"a", "b"}, "b") == {"a": 3, "b": 4}, "a notice that comes so late is of another one"
