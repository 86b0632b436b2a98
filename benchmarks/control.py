# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance bench control``: from a datagram to the engine, the look-up of addresses, the mapping of a message.

The box is started as a person would start it. Times over the network stand above an empty UDP echo of the same run, because a
virtual machine wakes its processes late by milliseconds whoever asks.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from pythonosc.dispatcher import Dispatcher

from appliance.bus import atomic, layout
from appliance.bus.box import Box
from appliance.bus.events import Kind
from appliance.bus.memory import box_name, sweep
from appliance.config import Config
from appliance.control.desk import Desk
from appliance.control.mapping.check import load_profile
from appliance.control.mapping.library import shipped_folder
from appliance.control.midi.hand import Hand
from appliance.control.midi.reading import effect
from appliance.control.midi.router import Router
from appliance.control.osc.packet import decode, encode
from appliance.control.osc.part import matcher
from appliance.control.osc.trie import AddressTree
from appliance.errors import Unavailable
from appliance.namespace import Group, Namespace, number
from appliance.nodes import NAMESPACE
from benchmarks.boxes import jack_server
from benchmarks.report import Row

MESSAGES = 500
PAUSE_S = 0.013
"""Longer than four periods, and no multiple of one: every phase of the period is met."""
POLL_S = 0.00005
APC_LAMPS = 72
ADDRESSES = 5000
WILDCARDS = ["/channel/*/fader", "/pad/[1-8]/gain", "/deck/?/play", "/channel/[!1-4]/{low,high}", "//mute"]
ECHO = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1], flush=True)
while True:
    data, where = s.recvfrom(4096); s.sendto(data, where)
"""


def rows() -> list[Row]:
    namespace = _namespace(ADDRESSES)
    tree = AddressTree(namespace)
    names = [address.address for address in namespace]
    with running_box("--audio", "clock") as (box, osc):
        echo_ms, engine_ms = _osc_to_engine(box, osc)
        period_ms = 1000 * int(box.record["period"][0]) / box.rate
    return [
        *_jack_rows(),
        Row("osc_to_engine_p99_ms", max(_p99(engine_ms) - _p99(echo_ms), 0.0), "ms", 3.0 + period_ms, _p99(echo_ms)),
        Row("osc_to_engine_median_ms", max(statistics.median(engine_ms) - statistics.median(echo_ms), 0.0), "ms", None,
            statistics.median(echo_ms)),
        Row("trie_exact_us", _each_us(tree.match, names[::7]), "µs", 10.0, _python_osc_us(names)),
        Row("trie_wildcard_us", _each_us(tree.match, WILDCARDS), "µs", 50.0, _python_osc_us(names, WILDCARDS)),
        Row("trie_new_wildcard_us", _each_us(lambda pattern: _forgetful(tree, pattern), WILDCARDS), "µs, never seen before"),
        Row("osc_decode_us", _each_us(decode, [encode("/mixer/crossfader", 0.5)] * 500), "µs", 20.0),
        Row("table_reading_us", _reading_us(), "µs", 20.0),
        Row("map_p99_us", _mapping_us(), "µs", 200.0),
    ]


def _osc_to_engine(box: Box, osc: tuple[str, int]) -> tuple[list[float], list[float]]:
    """Milliseconds of an echo, and from a datagram to the engine's event that tells the value; in turns."""
    slot = NAMESPACE.find("/channel/1/fader").slot
    echo_ms: list[float] = []
    engine_ms: list[float] = []
    with _echo() as echo, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(2.0)
        for number in range(MESSAGES):
            began = time.perf_counter()
            sender.sendto(b"x" * 32, echo)
            sender.recv(64)
            echo_ms.append((time.perf_counter() - began) * 1000)
            time.sleep(PAUSE_S)
            value = (number + 1) / (MESSAGES + 1)
            head = _event_head(box)
            began = time.perf_counter()
            sender.sendto(encode("/channel/1/fader", value), osc)
            _wait_for(box, slot, head)
            engine_ms.append((time.perf_counter() - began) * 1000)
            time.sleep(PAUSE_S)
    return echo_ms, engine_ms


def _event_head(box: Box) -> int:
    return int(atomic.read(box.base + layout.offset("event_head")))


def _wait_for(box: Box, slot: int, seen: int) -> None:
    """Until the engine tells a change of the slot after event ``seen``."""
    ring = box.record["events"][0]
    until = time.perf_counter() + 2.0
    while time.perf_counter() < until:
        head = _event_head(box)
        for position in range(seen, head):
            row = ring[position % layout.EVENTS]
            if int(row["kind"]) & 0xFF == Kind.VALUE and int(row["index"]) == slot:
                return
        seen = head
        time.sleep(POLL_S)
    raise RuntimeError("the engine did not see the value within 2 s")


@contextlib.contextmanager
def _echo() -> Generator[tuple[str, int]]:
    process = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield "127.0.0.1", int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def running_box(*audio: str, mappings: dict[str, str] | None = None) -> Generator[tuple[Box, tuple[str, int]]]:
    """A box of its own, on ports of its own; ``mappings``: profiles by name."""
    data = Path(tempfile.mkdtemp(prefix="bench-control-"))
    for name, text in (mappings or {}).items():
        (data / "data" / "mappings").mkdir(parents=True, exist_ok=True)
        (data / "data" / "mappings" / f"{name}.yaml").write_text(text, encoding="utf-8")
    config = data / "config.yaml"
    config.write_text("gen: {enabled: false}\nvisuals: {enabled: false}\nmappings: {alsa: false}\n", encoding="utf-8")
    command = [sys.executable, "-m", "appliance", "run", "--config", str(config), "--data", str(data / "data"),
               *audio, "--display", "none", "--http", "127.0.0.1:0", "--osc", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("ready"):
            raise RuntimeError(f"the box did not start: {line!r}")
        host, _, port = next(word for word in line.split() if word.startswith("osc="))[4:].rpartition(":")
        box = Box.attach(data / "data", "bench")
        time.sleep(2.0)  # past the start
        yield box, (host, int(port))
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(data, ignore_errors=True)


@contextlib.contextmanager
def _box_on_jack(mappings: dict[str, str] | None = None) -> Generator[tuple[Box, str]]:
    """A box on a JACK server of its own, and the server's name. Raises Unavailable where there is none."""
    with jack_server(f"bench-{os.getpid()}") as name, running_box("--audio", "jack", "--jack-server", name,
                                                                  mappings=mappings) as (box, _):
        yield box, name


def _jack_rows() -> list[Row]:
    try:
        with _box_on_jack({"touched": TOUCHED}) as (box, server):
            direct_ms, layered_ms = _touches_ms(box, server)
            period_ms = 1000 * int(box.record["period"][0]) / box.rate
            lamps_ms = max(_plug_ms(server) for _ in range(5))
    except Unavailable as error:
        print(f"lamps_after_plugging_ms and layered_touch_p99_ms are skipped: {error.message}", file=sys.stderr)
        return []
    return [
        Row("lamps_after_plugging_ms", lamps_ms, "ms", 300.0),
        Row("layered_touch_p99_ms", max(_p99(layered_ms) - _p99(direct_ms), 0.0), "ms above a touch that the engine reads",
            2 * period_ms + 3.0, _p99(direct_ms)),
        Row("layered_touch_median_ms", max(statistics.median(layered_ms) - statistics.median(direct_ms), 0.0), "ms", None,
            statistics.median(direct_ms)),
    ]


TOUCHED = """\
profile: 1
name: Touched
device: {match: [touched]}
surface: {shift: {note: 1}, plain: {cc: 1}, layered: {cc: 2}}
layers: {shift: shift}
bindings:
  plain: {to: /channel/1/fader}
  layered: {to: [{to: /channel/2/fader, curve: square}, {to: /channel/3/pan, range: [1, -1]}]}
  shift + layered: {to: /channel/2/filter, curve: square}
"""
"""The engine reads ``plain`` itself; ``layered`` goes through control and back."""


def _touches_ms(box: Box, server: str) -> tuple[list[float], list[float]]:
    """Milliseconds from a device's message until the engine tells the change: read by the engine; and by control; in turns."""
    from benchmarks.mididevice import MidiDevice

    device = MidiDevice(server, "touched", "touched")
    slots = [NAMESPACE.find(f"/channel/{channel}/fader").slot for channel in (1, 2)]
    taken_ms: tuple[list[float], list[float]] = ([], [])
    time.sleep(1.0)  # it gets its port
    for turn in range(2 * MESSAGES):
        which = turn % 2
        head = _event_head(box)
        began = time.perf_counter()
        device.send(0xB0, 1 + which, 1 + turn // 2 % 127)
        _wait_for(box, slots[which], head)
        taken_ms[which].append((time.perf_counter() - began) * 1000)
        time.sleep(PAUSE_S)
    device.unplug()
    return taken_ms


def _plug_ms(server: str) -> float:
    """From the port of an APC mini mk2 to the last of its 72 lamps."""
    from benchmarks.mididevice import MidiDevice

    began = time.perf_counter()
    device = MidiDevice(server, "bench-apc", "APC mini mk2 Control")
    took_ms = math.inf
    while took_ms == math.inf and time.perf_counter() < began + 5:
        time.sleep(0.001)
        if len({data[1] for data in device.heard}) == APC_LAMPS:
            took_ms = (time.perf_counter() - began) * 1000
    device.unplug()
    time.sleep(0.5)
    return took_ms


def _each_us(work: Any, items: list[Any]) -> float:
    """Median of seven rounds, microseconds of processor time an item."""
    rounds: list[float] = []
    for _ in range(7):
        repeats = max(2000 // len(items), 1)
        began = time.process_time()
        for _ in range(repeats):
            for item in items:
                work(item)
        rounds.append((time.process_time() - began) / repeats / len(items) * 1e6)
    return statistics.median(rounds)


def _namespace(size: int) -> Namespace:
    """The box's, with more families of pads' size until it has so many addresses."""
    more = Group("filler", "/filler/{n}", tuple(number(f"part/{n}", 0.0, 0.0, 1.0, "") for n in range(16)),
                 {"n": max(math.ceil((size - len(NAMESPACE)) / 16), 1)})
    return Namespace((*NAMESPACE.groups, more))


def _forgetful(tree: AddressTree, pattern: str) -> None:
    """A pattern that has not come before."""
    tree._chosen.clear()
    tree._found.clear()
    matcher.cache_clear()
    tree.match(pattern)


def _python_osc_us(names: list[str], asked: list[str] | None = None) -> float:
    """The peer: python-osc's dispatcher with as many addresses."""
    dispatcher = Dispatcher()
    for name in names:
        dispatcher.map(name, lambda *_: None)
    asked = asked or names[::350]
    began = time.process_time()
    for name in asked:
        list(dispatcher.handlers_for_address(name))
    return (time.process_time() - began) / len(asked) * 1e6


def _reading_us() -> float:
    """One message of a device that JACK does not own, read in Python."""
    entries = load_profile(shipped_folder() / "akai-apc-mini-mk2.yaml").entries
    return _each_us(lambda message: effect(entries[message], message[0], 100, bank=1), list(entries))


MAPPED = """\
profile: 1
name: Mapped
device: {match: [mapped]}
surface: {shift: {note: 1}, deck: {note: 10..13}, knob: {cc: 1..8}, fader: {cc14: 16..19}, turn: {cc: 40, encoder: twos}}
layers: {shift: shift, deck: {choose: deck}}
bindings:
  knob: {to: [{to: /channel/N/filter, curve: centre, takeover: pickup}, {to: /channel/N/pan, range: [1, -1], curve: square}]}
  shift + knob:
    - {to: /channel/N/high, curve: square, takeover: scale, when: {/visuals/freeze: true}}
    - {to: /channel/N/low, curve: square, takeover: scale}
  fader: {to: "/deck/{deck}/rate", takeover: pickup}
  turn: {to: /clock/bpm, step: 0.001, faster: 8}
"""


def _mapping_us() -> float:
    """99th percentile of what control does with one message: layers, 14 bits, take-over, conditions, two targets."""
    rng = random.Random(1)
    moves = [(0xB0, number, None) for number in (*range(1, 9), *range(16, 20), *range(48, 52), 40)]
    presses = [(0x90, 1, 1), (0x80, 1, 0), *((0x90, note, 1) for note in range(10, 14))]
    spent: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mapped.yaml"
        path.write_text(MAPPED, encoding="utf-8")
        box = Box.create(Path(folder) / "data", Config())
        try:
            hand = Hand(load_profile(path), Router(Desk(box)))
            for turn in range(20_000):
                status, data1, data2 = rng.choice(presses if turn % 10 == 0 else moves)
                data2 = rng.randrange(128) if data2 is None else data2
                began = time.perf_counter()
                hand.take(status, data1, data2)
                spent.append((time.perf_counter() - began) * 1e6)
        finally:
            sweep(box_name(box.data))
    return _p99(spent)


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]
