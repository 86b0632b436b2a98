# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices on a real JACK server, played against the real engine: profiles, hot plug, lamps, hands on the patch bay."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from appliance.bus.binding import BindingFlag, BindingKind, Bindings
from appliance.bus.box import Box
from appliance.bus.commit import committed
from appliance.bus.events import Event, Kind
from appliance.bus.memory import box_name, sweep
from appliance.config import Config
from appliance.control.desk import Desk
from appliance.control.mapping.compile import Entry
from appliance.control.mapping.library import ProfileLibrary, shipped_folder
from appliance.control.midi.alsa import AlsaPorts
from appliance.control.midi.devices import Devices
from appliance.control.midi.reading import effect
from appliance.control.midi.router import Router
from appliance.control.midi.view import View
from appliance.nodes import NAMESPACE

jack = pytest.importorskip("jack")
mididevice = pytest.importorskip("benchmarks.mididevice")
ENGINE_S = 120
TRIGGER, STOP, TAILS = (NAMESPACE.command(*n) for n in (("pad", "trigger"), ("pads", "stop"), ("panic_actions", "tails")))


@pytest.fixture(scope="module")
def playing(jack_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A box with its engine on the tests' JACK server."""
    config = Config.model_validate({"audio": {"server": jack_server}, "mappings": {"alsa": False}})
    box = Box.create(tmp_path_factory.mktemp("box"), config)
    engine = subprocess.Popen([sys.executable, "-m", "appliance.engine", "--box", str(box.run / "box.json"), "--engine", "a",
                               "--backend", "jack", "--server", jack_server], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + ENGINE_S
    while not int(box.engine(0)["ready"]):
        if engine.poll() is not None or time.monotonic() > until:
            engine.kill()
            sweep(box_name(box.data))
            pytest.fail(f"the engine does not start: {engine.communicate()[1][-2000:]}")
        time.sleep(0.05)
    yield box
    engine.terminate()
    engine.wait(5)
    sweep(box_name(box.data))


class Device(mididevice.MidiDevice):
    """A controller: one port that sends, one whose lamps listen."""

    def shown(self, number: int) -> bytes | None:
        """What a lamp was told last."""
        return next((data for data in reversed(self.heard) if data[1] == number), None)


async def until(condition: Callable[[], Any], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        await asyncio.sleep(0.01)
    return bool(condition())


async def sent(device: Device, *data: int, until_it: Callable[[], Any]) -> bool:
    """Send until it is so, three times at most: a cycle that the machine lost takes its messages with it."""
    for _ in range(3):
        device.send(*data)
        if await until(until_it, 2.0):
            return True
    return False


def on_loop(loop: asyncio.AbstractEventLoop) -> Any:
    """Brings work of another thread to the loop, as the box does."""
    return lambda work: lambda *args: loop.call_soon_threadsafe(work, *args)


class Stage:
    """Desk and devices on the playing box."""

    def __init__(self, box: Box, server: str) -> None:
        self.box = box
        self.server = server
        self.desk = Desk(box)
        self.events: list[Event] = []
        self.desk.on_event(self.events.append)
        self.told: list[tuple[str, Any]] = []
        self.desk.subscribe(lambda address, value: self.told.append((address, value)))
        self.plugged: list[Device] = []

    def plug(self, client: str, port: str) -> Device:
        device = Device(self.server, client, port)
        self.plugged.append(device)
        return device

    def messages(self) -> list[str]:
        return [value for address, value in self.told if address == "/system/message"]

    async def pump(self) -> None:
        while True:
            self.desk.pump_events()
            self.desk.announcer.tick()
            await asyncio.sleep(0.005)


@pytest_asyncio.fixture
async def stage(playing: Box, jack_server: str) -> AsyncIterator[Stage]:
    playing.values.reset()
    stage = Stage(playing, jack_server)
    stage.desk.pump_events()
    stage.events.clear()
    tasks = [asyncio.create_task(stage.pump()), asyncio.create_task(Devices(stage.desk).run())]
    await until(lambda: any(address == "/system/profiles" for address, _ in stage.told))
    yield stage
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(result, asyncio.CancelledError), result
    for device in stage.plugged:
        with contextlib.suppress(Exception):
            device.unplug()


@pytest.mark.asyncio
async def test_an_unknown_keyboard_plays_pads_and_moves_the_mixer(stage: Stage) -> None:
    keyboard = stage.plug("keys", "out")
    assert await until(lambda: keyboard.connections() == {"appliance-a:midi_in"})
    keyboard.send(0x94, 37, 100)
    assert await sent(keyboard, 0xB0, 8, 127, until_it=lambda: stage.desk.get_now("/mixer/crossfader") == 1.0)
    assert ("/mixer/crossfader", 1.0) in stage.told
    hits = [e for e in stage.events if e.code == TRIGGER]
    assert [(e.kind, e.index) for e in hits] == [(Kind.REFUSED, 1)]  # pad 2 of bank 1; it is empty
    stage.desk.set_now("/pads/bank", 3)
    await asyncio.sleep(0.05)
    keyboard.send(0x90, 51, 1)
    assert await until(lambda: any(e.index == 32 + 15 for e in stage.events if e.code == TRIGGER))


@pytest.mark.asyncio
async def test_a_device_with_a_profile_gets_its_own_port_and_its_lamps(stage: Stage) -> None:
    apc = stage.plug("apc", "APC mini mk2 Control")
    assert await until(lambda: apc.connections() == {"appliance-a:midi_in_2"})
    assert await until(lambda: apc.shown(56) == bytes((0x96, 56, 21)))  # bank 1 is lit, bright, green
    assert apc.shown(57) == bytes((0x90, 57, 0))
    assert await sent(apc, 0xB0, 50, 0, until_it=lambda: stage.desk.get_now("/channel/3/fader") == 0.0)
    assert await sent(apc, 0x90, 48, 127, until_it=lambda: stage.desk.get_now("/pads/bank") == 5)
    assert await until(lambda: apc.shown(48) == bytes((0x96, 48, 21)) and apc.shown(56) == bytes((0x90, 56, 0)))
    apc.send(0x90, 101, 127)  # mute of channel 2: a toggle, with a one-colour lamp
    assert await until(lambda: apc.shown(101) == bytes((0x90, 101, 1)))
    apc.send(0x80, 101, 0)
    apc.send(0x90, 101, 127)
    assert await until(lambda: apc.shown(101) == bytes((0x90, 101, 0)))
    assert stage.desk.get_now("/channel/2/mute") is False


@pytest.mark.asyncio
async def test_a_refused_press_flashes_and_a_quiet_stage_sends_nothing(stage: Stage) -> None:
    apc = stage.plug("apc", "APC mini mk2 Control")
    assert await until(lambda: apc.shown(119) is not None)
    await asyncio.sleep(0.2)
    apc.heard.clear()
    await asyncio.sleep(0.3)
    assert apc.heard == []
    apc.send(0x90, 24, 127)  # pad 1 is empty
    assert await until(lambda: apc.shown(24) is not None)
    await asyncio.sleep(0.6)
    flashes = [data for data in apc.heard if data[1] == 24]
    # JACK hands a message out again in the cycle after one that the machine lost
    assert [colour for colour, _ in itertools.groupby(data[2] for data in flashes)] == [5, 0, 5, 0, 5, 0]
    assert {data[1] for data in apc.heard} == {24}


@pytest.mark.asyncio
async def test_replugged_in_the_middle_it_shows_everything_again(stage: Stage) -> None:
    first = stage.plug("apc", "APC mini mk2 Control")
    assert await until(lambda: first.shown(119) is not None)
    first.send(0x90, 24, 127)
    first.unplug()
    stage.desk.set_now("/pads/bank", 2)
    second = stage.plug("apc", "APC mini mk2 Control")
    lamps = {*range(64), *range(100, 108), *range(112, 120)} - {32, 33, 34, 35, 52, 53, 54, 55}
    assert await until(lambda: {data[1] for data in second.heard} >= lamps)
    assert second.connections() == {"appliance-a:midi_in_2"}
    assert second.shown(57) == bytes((0x96, 57, 21))
    assert len(second.heard) <= 2 * len(lamps)


@pytest.mark.asyncio
async def test_pulled_out_in_the_middle_it_lets_go_of_what_it_held(stage: Stage) -> None:
    """A pad that sounds while it is held, and a layer that was on."""
    folder = stage.box.data / "mappings"
    folder.mkdir(exist_ok=True)
    path = folder / "held.yaml"
    path.write_text("""\
profile: 1
name: Held
device: {match: [held box]}
surface: {key: {note: 60..63}}
layers: {shift: key 4}
bindings: {key 1: {to: /channel/2/mute, mode: hold}, key 2: /deck/1/cue, shift + key 3: /channel/3/mute}
""", encoding="utf-8")
    try:
        device = stage.plug("held box", "out")
        assert await until(lambda: any(name.startswith("appliance-a:midi_in_") for name in device.connections()))
        slot = int(next(iter(device.connections()))[-1]) - 1

        def plane() -> int:
            return int(committed(stage.box.segment)["midi_plane"][0][slot])

        assert await sent(device, 0x90, 63, 1, until_it=lambda: plane() == 1)
        assert await sent(device, 0x90, 60, 1, until_it=lambda: stage.desk.get_now("/channel/2/mute") is True)
        cue = NAMESPACE.command("deck", "cue")
        assert await sent(device, 0x90, 61, 1, until_it=lambda: any(e.code == cue and e.a > 0 for e in stage.events))
        stage.events.clear()
        device.unplug()
        assert await until(lambda: stage.desk.get_now("/channel/2/mute") is False)
        assert await until(lambda: any(e.code == cue for e in stage.events)), "the release of a deck that is empty is refused"
        again = stage.plug("held box", "out")
        assert await until(lambda: bool(again.connections()))
        assert await until(lambda: plane() == 0)
    finally:
        path.unlink(missing_ok=True)


@pytest.mark.asyncio
async def test_two_of_the_same_device_each_have_their_own(stage: Stage) -> None:
    left, right = stage.plug("left", "APC mini mk2 Control"), stage.plug("right", "APC mini mk2 Control")
    assert await until(lambda: left.shown(119) is not None and right.shown(119) is not None)
    assert {*left.connections(), *right.connections()} == {"appliance-a:midi_in_2", "appliance-a:midi_in_3"}
    assert await sent(right, 0xB0, 48, 0, until_it=lambda: stage.desk.get_now("/channel/1/fader") == 0.0)
    left.unplug()
    assert await sent(right, 0xB0, 48, 127, until_it=lambda: stage.desk.get_now("/channel/1/fader") == 1.0)


@pytest.mark.asyncio
async def test_a_restart_of_control_finds_the_devices_where_they_are(stage: Stage) -> None:
    """Nothing is connected twice or crosswise, whatever the order in which the devices came."""
    second, first = stage.plug("b", "APC mini mk2 Control"), stage.plug("c", "APC mini mk2 Control")
    assert await until(lambda: second.connections() and first.connections())
    zero = stage.plug("a", "APC mini mk2 Control")
    assert await until(lambda: zero.shown(119) is not None)
    before = [device.connections() for device in (zero, second, first)]
    for device in stage.plugged:
        device.heard.clear()
    again = asyncio.create_task(Devices(Desk(stage.box)).run())
    assert await until(lambda: all(device.shown(119) is not None for device in stage.plugged))
    assert [device.connections() for device in (zero, second, first)] == before
    assert all(len(connections) == 1 for connections in before)
    again.cancel()


@pytest.mark.asyncio
async def test_what_a_hand_has_patched_stays(stage: Stage) -> None:
    keyboard = stage.plug("keys", "out")
    assert await until(lambda: keyboard.connections() == {"appliance-a:midi_in"})
    await asyncio.sleep(0.5)  # no hand is faster than the box's look at what it has connected
    keyboard.client.disconnect(keyboard.out, "appliance-a:midi_in")
    other = stage.plug("other", "out")  # something else happens
    assert await until(lambda: other.connections() == {"appliance-a:midi_in"})
    await asyncio.sleep(0.7)
    assert keyboard.connections() == set()


@pytest.mark.asyncio
async def test_a_profile_written_while_playing(stage: Stage) -> None:
    folder = stage.box.data / "mappings"
    folder.mkdir(exist_ok=True)
    path = folder / "mine.yaml"
    text = """\
profile: 1
name: Mine
device: {match: [my box]}
surface: {knob: {cc: 1..3}, turn: {cc: 4, encoder: twos}, key: {note: 60..63}, wheel: {bend: true}}
bindings:
  knob 1: /channel/1/fader
  knob 2: {to: /channel/1/filter, curve: centre}
  knob 3: {to: /clock/metre}
  turn: {to: /clock/bpm, range: [60, 180]}
  key 1: {to: /channel/2/mute, mode: hold}
  key 2: {to: /gen/prompt, value: darker}
  key 3: /session/save
  wheel: {to: /deck/1/rate, range: [0.9, 1.1]}
"""
    try:
        device = stage.plug("my box", "out")
        assert await until(lambda: device.connections() == {"appliance-a:midi_in"})
        path.write_text(text, encoding="utf-8")
        assert await until(lambda: device.connections() >= {"appliance-a:midi_in_2"})
        saved: list[Any] = []

        async def save(address: Any, args: list[Any]) -> None:
            saved.append(args)

        stage.desk.register("/session/save", save)
        get = stage.desk.get_now
        for data, address, value in (
            ((0xB0, 1, 0), "/channel/1/fader", 0.0), ((0xB0, 2, 127), "/channel/1/filter", 1.0),
            ((0xB0, 2, 64), "/channel/1/filter", 0.0), ((0xB0, 3, 127), "/clock/metre", "7/8"),
            ((0x90, 60, 9), "/channel/2/mute", True), ((0x90, 60, 0), "/channel/2/mute", False),
            ((0x90, 61, 9), "/gen/prompt", "darker"),
            ((0xE0, 127, 127), "/deck/1/rate", 1.1), ((0xE0, 0, 0), "/deck/1/rate", 0.9),
        ):
            assert await sent(device, *data, until_it=lambda a=address, v=value: get(a) == pytest.approx(v)), data
        for _ in range(3):
            device.send(0xB0, 4, 1)
            await asyncio.sleep(0.1)
        assert await until(lambda: get("/clock/bpm") > 120)
        for _ in range(40):
            device.send(0xB0, 4, 0x70)
        assert await until(lambda: get("/clock/bpm") == 60)
        assert await sent(device, 0x90, 62, 1, until_it=lambda: [] in saved)
        path.write_text(text.replace("/channel/1/fader", "/channel/1/fadr"), encoding="utf-8")
        assert await until(lambda: any(f"{path}:6:11" in line and "stays in force" in line for line in stage.messages()))
        assert await sent(device, 0xB0, 1, 127, until_it=lambda: get("/channel/1/fader") == 1.0)
    finally:
        path.unlink(missing_ok=True)


@pytest.mark.asyncio
async def test_python_reads_the_table_as_the_engine_does(stage: Stage) -> None:
    """Random entries, random messages: every command and value that the engine tells is the one foretold here."""
    rng = random.Random(5)
    table, port = Bindings(stage.box.record["binding"][0]), 3
    fader = NAMESPACE.find("/channel/1/fader").slot
    gain = NAMESPACE.find("/bank/1/pad/2/gain").slot
    entries: dict[tuple[int, int], Entry] = {}
    for status in (0x80, 0x90, 0xB0, 0xE3):
        for data1 in range(24):
            kind = rng.choice([kind for kind in BindingKind if kind is not BindingKind.LAYER])
            flags = BindingFlag(rng.choice([0, 1, 2, 4, 16, 17, 18]) | (8 if rng.random() < 0.2 else 0))
            low, high = rng.choice([(0.0, 1.0), (1.0, 0.0), (0.25, 0.75), (-1.0, -1.0)])
            index = rng.randrange(16) if kind is BindingKind.COMMAND else gain if flags & BindingFlag.BANK else fader
            entries[status, data1] = entry = Entry(kind, TAILS if kind is BindingKind.COMMAND else 0, index, low, high, flags)
            table.bind(port, status, data1, kind, code=entry.code, index=index, minimum=low, maximum=high, flags=flags)
    stage.desk.set_now("/pads/bank", 3)
    await asyncio.sleep(0.05)
    player = stage.plug("reader", "appliance-like out")
    player.client.connect(player.out, "appliance-a:midi_in_4")
    await asyncio.sleep(0.1)
    stage.events.clear()
    values = stage.box.values.read_vector()
    foretold: list[tuple[Any, ...]] = []
    try:
        for _ in range(400):
            status, data1, data2 = rng.choice([0x80, 0x90, 0xB0, 0xE3]), rng.randrange(24), rng.choice([0, 1, 64, 126, 127])
            entry = entries[status, data1]
            if entry.kind is BindingKind.HAND_OVER or entry.flags & BindingFlag.TELL:
                foretold.append((Kind.MIDI, 0, port, status))
            slot = entry.index + (32 * (NAMESPACE.find("/bank/1/pad/2/gain").slot - NAMESPACE.find("/bank/1/pad/1/gain").slot)
                                  if entry.flags & BindingFlag.BANK else 0)
            done = effect(entry, status, data2, bank=3, current=values[slot])
            if done is not None and done.code >= 0:
                foretold.append((Kind.COMMAND, done.code, done.index, np.float32(done.amount)))
            elif done is not None:
                values[done.index] = done.amount
                foretold.append((Kind.VALUE, 0, done.index, np.float32(done.amount)))
            for _ in range(3):  # a late cycle of the player, which is Python, loses what it wrote
                player.send(status, data1, data2)
                if await until(lambda: len([e for e in stage.events if e.source == 1]) >= len(foretold), 1.0):
                    break
        told = [(e.kind, e.code, e.index, np.float32(e.a)) for e in stage.events if e.source == 1]
        assert len(told) == len(foretold)
        for ours, engines in zip(foretold, told, strict=True):
            assert engines[:3] == ours[:3]
            assert engines[3] == pytest.approx(ours[3], abs=1e-6)
    finally:
        table.clear(port)


@pytest.mark.asyncio
async def test_polled_ports_of_rtmidi_play_through_the_same_reading(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, jack_server: str,
) -> None:
    rtmidi: Any = pytest.importorskip("rtmidi")
    monkeypatch.setenv("JACK_DEFAULT_SERVER", jack_server)
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    loop = asyncio.get_running_loop()
    library = ProfileLibrary((shipped_folder(),))
    library.scan()
    view = View(stage.desk)
    ports = AlsaPorts(stage.desk, library, Router(stage.desk), view, on_loop(loop), lambda name: "polled" not in name,
                      api=rtmidi.API_UNIX_JACK)
    device = stage.plug("polled", "APC mini mk2 Control")
    ports.start()
    try:
        assert await until(lambda: ports.names == ["polled:APC mini mk2 Control"] and bool(ports.lamps))
        with contextlib.suppress(jack.JackError):  # only the polled way is meant here
            for name in device.connections():
                if name.startswith("appliance-a:"):
                    device.client.disconnect(device.out, name)
        stage.events.clear()
        device.send(0xB0, 49, 0)
        device.send(0x90, 24, 127)
        assert await until(lambda: stage.desk.get_now("/channel/2/fader") == 0.0)
        assert await until(lambda: any(e.code == TRIGGER and e.index == 0 and e.source == 0 for e in stage.events))
        for _ in range(20):
            view.refresh()
            ports.lamps[0].tick()
            await asyncio.sleep(0.02)
        assert device.shown(56) == bytes((0x96, 56, 21))
    finally:
        ports.stop()


@pytest.mark.asyncio
async def test_without_a_sequencer_it_is_said_once_and_the_rest_goes_on(desk: Desk) -> None:
    if os.path.exists("/dev/snd/seq"):  # noqa: PTH110
        pytest.skip("this machine has an ALSA sequencer")
    said: list[str] = []
    desk.subscribe(lambda address, value: said.append(value) if address == "/system/message" else None)
    loop = asyncio.get_running_loop()
    ports = AlsaPorts(desk, ProfileLibrary(()), Router(desk), View(desk), on_loop(loop), lambda name: False)
    ports.start()
    await asyncio.sleep(0.8)
    assert ports.is_alive()
    ports.stop()
    assert len(said) == 1
    assert "/dev/snd/seq" in said[0]


WATCHER = """
import sys, threading
from appliance.control.midi.jackports import JackPorts
ports = JackPorts(sys.argv[1], lambda seen: print("ports", sorted(p.name for p in seen), flush=True),
                  lambda pair: print("connected", *pair, flush=True), lambda line: print("said", line, flush=True))
ports.want((("watched:midi_out", "watcher-target:input"),))
ports.start()
sys.stdin.read()
ports.stop()
print("stopped", ports.is_alive(), flush=True)
"""


@pytest.mark.asyncio
async def test_a_server_that_dies_is_waited_for(tmp_path: Path) -> None:
    """In processes of their own: libjack keeps one server a process."""
    if shutil.which("jack_midi_dump") is None:
        pytest.skip("jack-tools are not installed")
    name, quiet = f"dying-{os.getpid()}", {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "JACK_NO_AUDIO_RESERVATION": "1", "JACK_DEFAULT_SERVER": name, "JACK_NO_START_SERVER": "1"}
    watcher = await asyncio.create_subprocess_exec(sys.executable, "-c", WATCHER, name, stdin=asyncio.subprocess.PIPE,
                                                   stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
    lines: list[str] = []

    async def listen() -> None:
        assert watcher.stdout is not None
        while line := await watcher.stdout.readline():
            lines.append(line.decode().strip())

    listening = asyncio.create_task(listen())
    running: list[subprocess.Popen[bytes]] = []

    def spawn(*command: str) -> None:
        running.append(subprocess.Popen(command, **quiet, env=environment))

    def end(how: signal.Signals) -> None:
        for process in reversed(running):
            process.send_signal(how)
            process.wait(5)
        running.clear()

    try:
        for attempt in range(2):
            spawn("jackd", "-r", "-n", name, "-d", "dummy", "-r", "48000", "-p", "128")
            assert await until(lambda: subprocess.run(["jack_lsp"], capture_output=True, env=environment).returncode == 0, 10)
            spawn("jack_midi_dump", "watcher-target")
            spawn(sys.executable, "-c", SENDER, name)
            wanted = "connected watched:midi_out watcher-target:input"
            assert await until(lambda a=attempt: lines.count(wanted) == a + 1, 8), lines
            end(signal.SIGKILL)
            assert await until(lambda: lines[-1] == "ports []", 8), lines
        assert watcher.stdin is not None
        watcher.stdin.close()
        assert await asyncio.wait_for(watcher.wait(), 5) == 0
        await listening
        assert lines[-1] == "stopped False"
    finally:
        end(signal.SIGKILL)
        if watcher.returncode is None:
            watcher.kill()
            await watcher.wait()
        # JACK has room for eight names and keeps those of killed servers: one more, alone, that ends in order takes it back
        spawn("jackd", "-r", "-n", name, "-d", "dummy", "-r", "48000", "-p", "128")
        await until(lambda: subprocess.run(["jack_lsp"], capture_output=True, env=environment).returncode == 0, 10)
        end(signal.SIGTERM)
        for path in Path("/dev/shm").glob(f"jack_sem*{name}*"):
            path.unlink(missing_ok=True)


SENDER = """
import sys, time, jack
client = jack.Client("watched", servername=sys.argv[1], no_start_server=True)
client.midi_outports.register("midi_out")
client.activate()
time.sleep(60)
"""
