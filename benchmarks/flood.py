# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance bench flood``: 10,000 OSC messages a second over loopback for a minute, on a box that plays.

Nothing that happens may get lost, every address must end at its last value, and the engine must not notice: its blocks' CPU
time in the flood stands against the same in the quiet before and after it. ``FLOOD_S`` in the environment makes it shorter.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from appliance.bus import atomic, layout
from appliance.bus.box import Box
from appliance.bus.events import Kind
from appliance.control.osc.packet import encode
from appliance.errors import Unavailable
from appliance.nodes import NAMESPACE
from benchmarks.boxes import jack_server
from benchmarks.control import running_box
from benchmarks.engine import audio, cpu_ns
from benchmarks.report import Row

RATE = 10_000
"""Messages a second."""
TICK_S = 0.01
ADDRESSES = [f"/channel/{channel}/{name}" for channel in range(1, 9) for name in ("fader", "pan", "trim", "low", "mid", "high")]
TRIGGER = "/pad/16/trigger"
QUIET_S = 20.0
POLL_S = 0.005
SENDER = """
import json, socket, struct, sys, time
host, port, seconds, rate, tick, values, trigger = json.loads(sys.argv[1])
values = [bytes.fromhex(v) for v in values]
trigger = bytes.fromhex(trigger)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((host, port))
sent = triggers = 0
last = {}
began = time.perf_counter()
while (now := time.perf_counter() - began) < seconds:
    due = int(now * rate) - sent
    for n in range(due):
        if (sent + n) % 100 == 0:
            s.send(trigger); triggers += 1
        else:
            k = (sent + n) % len(values); v = ((sent + n) * 7919 % 1000) / 1000
            s.send(values[k] + struct.pack(">f", v)); last[k] = v
    sent += due
    time.sleep(max(tick - (time.perf_counter() - began - now), 0))
print(json.dumps({"sent": sent, "triggers": triggers, "last": last, "took": time.perf_counter() - began}))
"""


def rows() -> list[Row]:
    seconds = float(os.environ.get("FLOOD_S", "60"))
    with contextlib.ExitStack() as stack:
        try:
            how = ("--audio", "jack", "--jack-server", stack.enter_context(jack_server(f"flood-{os.getpid()}")))
        except Unavailable:
            how = ("--audio", "clock")
        box, osc = stack.enter_context(running_box(*how))
        _play(osc)
        before = _costs(box, QUIET_S)
        counter = Triggers(box)
        control_ns, began = cpu_ns(_pid(box, "control")), time.monotonic()
        told = flood(osc, seconds, counter.look)
        flooded = _costs(box, min(seconds, 60.0), wait=False)
        share = (cpu_ns(_pid(box, "control")) - control_ns) / (time.monotonic() - began) / 1e9
        counter.settle(told["triggers"])
        wrong = sum(abs(float(box.values.get(ADDRESSES[int(k)])) - v) > 1e-6 for k, v in told["last"].items())
        after = _costs(box, QUIET_S)
    quiet = float(np.percentile(np.concatenate([before, after]), 99))
    ratio = float(np.percentile(flooded, 99)) / quiet
    return [
        Row("osc_flood_rate", told["sent"] / told["took"], "messages/s", RATE * 0.98, at_least=True),
        Row("osc_flood_triggers_lost", told["triggers"] - counter.seen, f"of {told['triggers']}", 0.0),
        Row("osc_flood_values_wrong", wrong, f"of {len(told['last'])} addresses at the end", 0.0),
        Row("osc_engine_p99_ratio", ratio, "× the engine's p99 block cost in quiet", 1.2, quiet),
        Row("osc_flood_control_pct", 100 * share, "% of a core, control in the flood"),
    ]


def flood(osc: tuple[str, int], seconds: float, look: Any) -> dict[str, Any]:
    """Send from a process of its own, calling ``look`` meanwhile; what it sent."""
    values = [encode(address, 0.0)[:-4].hex() for address in ADDRESSES]
    order = json.dumps([*osc, seconds, RATE, TICK_S, values, encode(TRIGGER, 1.0).hex()])
    sender = subprocess.Popen([sys.executable, "-c", SENDER, order], stdout=subprocess.PIPE, text=True)
    try:
        while sender.poll() is None:
            look()
            time.sleep(POLL_S)
        assert sender.stdout is not None
        return json.loads(sender.stdout.read())
    finally:
        sender.kill()
        sender.wait()


class Triggers:
    """Counts what the engine tells it has obeyed (or refused: it came)."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._code = NAMESPACE.command("pad", "trigger")
        self._at = self._head()
        self.seen = 0

    def _head(self) -> int:
        return int(atomic.read(self._box.base + layout.offset("event_head")))

    def look(self) -> None:
        ring, head = self._box.record["events"][0], self._head()
        assert head - self._at < layout.EVENTS, "this benchmark has not looked in time"
        rows = ring.take(np.arange(self._at, head) % layout.EVENTS)
        self.seen += int(np.sum(((rows["kind"] & 0xFF == Kind.COMMAND) | (rows["kind"] & 0xFF == Kind.REFUSED))
                                & (rows["kind"] >> 8 == self._code)))
        self._at = head

    def settle(self, wanted: int, seconds: float = 5.0) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.seen < wanted:
            self.look()
            time.sleep(POLL_S)
        time.sleep(0.2)
        self.look()


def _play(osc: tuple[str, int]) -> None:
    """Eight loops go round on eight pads."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(20.0)
        for pad in (*range(1, 9), 16):
            path = Path(folder) / f"{pad}.wav"
            sf.write(path, audio(pad, 4.0), 48000)
            sender.sendto(encode(f"/pad/{pad}/load", str(path)), osc)
            while b"/done" not in (answer := sender.recv(65536)):
                assert b"/error" not in answer, answer
        for pad in range(1, 9):
            sender.sendto(encode(f"/pad/{pad}/trigger", 1.0), osc)
        time.sleep(3.0)


def _costs(box: Box, seconds: float, *, wait: bool = True) -> np.ndarray:
    """Share of its period (%) of every block of the engine in the last, or with ``wait`` the coming, ``seconds``."""
    if wait:
        time.sleep(seconds)
    path = box.run / "costs-a.npz"
    path.unlink(missing_ok=True)
    os.kill(_pid(box, "engine-a"), signal.SIGUSR1)
    until = time.monotonic() + 10
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.01)
    costs = np.load(path)
    share = 100 * costs["cost_ns"] * 1e-9 * box.rate / costs["frames"]
    return share[-round(seconds * box.rate / float(np.median(costs["frames"]))) :]


def _pid(box: Box, name: str) -> int:
    return int(box.process(name)["pid"])
