# SPDX-License-Identifier: GPL-3.0-or-later
"""The shared memory between a test and a real engine process: nothing lost, doubled, reordered or torn."""

from __future__ import annotations

import random
import time

import pytest

from appliance.bus import layout
from appliance.bus.commands import Code
from appliance.bus.commit import committed
from appliance.bus.events import Kind
from appliance.errors import Unavailable
from appliance.nodes import NAMESPACE
from benchmarks.boxes import EngineBox, wait_for
from tests.signals import RATE, sine

SLOT = NAMESPACE.find("/mixer/balance").slot


def test_every_command_is_obeyed_once_and_in_order(running: EngineBox) -> None:
    box, sent, heard = running.box, [], []
    rng = random.Random(1)
    while len(sent) < 12_000:
        try:
            for _ in range(rng.randrange(1, 200)):
                value = len(sent) / 12_000
                box.commands.send(Code.SET, SLOT, value)
                sent.append(value)
        except Unavailable:
            time.sleep(0.001)
        heard += [e.a for e in box.events.read() if e.kind == Kind.VALUE and e.index == SLOT]
    wait_for(lambda: heard.extend(e.a for e in box.events.read() if e.kind == Kind.VALUE and e.index == SLOT)
             or len(heard) >= len(sent), 5, "all commands obeyed")
    assert heard == sent
    assert box.events.lost == 0


def test_a_full_ring_refuses_instead_of_dropping(running: EngineBox) -> None:
    running.kill()
    with pytest.raises(Unavailable, match="takes no commands"):
        for _ in range(layout.COMMANDS + 1):
            running.box.commands.send(Code.SET, SLOT, 0.0)
    running.start()
    wait_for(lambda: int(committed(running.box.segment)["command_tail"][0]) == layout.COMMANDS, 5, "the backlog is obeyed")


def test_a_snapshot_is_of_one_block(running: EngineBox) -> None:
    """Frame, beat and cycles of a snapshot belong together, however often one looks."""
    telemetry, seen = running.box.telemetry, set()
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        told = telemetry.snapshot()
        frame = int(told["clock"]["frame"])
        assert float(told["clock"]["beat"]) == pytest.approx(frame * 2 / RATE, abs=1e-9)
        seen.add(frame)
    assert len(seen) > 200


def test_a_value_is_seen_by_the_engine_and_logged_with_its_frame(running: EngineBox) -> None:
    running.box.values.set("/deck/2/rate", 1.25)
    slot = NAMESPACE.find("/deck/2/rate").slot
    found: list[int] = []
    read = running.box.events.read
    wait_for(lambda: found.extend(e.frame for e in read() if e.kind == Kind.VALUE and e.index == slot) or found)
    assert 0 < found[0] <= int(running.box.telemetry.snapshot()["clock"]["frame"])


def test_a_value_that_is_no_number_does_not_get_through(running: EngineBox) -> None:
    running.box.values.vector[NAMESPACE.find("/deck/1/rate").slot] = float("nan")
    wait_for(lambda: running.box.values.get("/deck/1/rate") == 1.0)


def test_killed_at_random_moments_the_state_is_whole(running: EngineBox) -> None:
    """After each SIGKILL the committed state is of one block, and the next engine goes on from it on the beat."""
    box = running.box
    box.values.set("/clock/quantize", "off")
    running.load_pad(1, running.clip(sine(2.0), bpm=120, beats=4))
    running.do("/pad/1/trigger")
    wait_for(lambda: box.telemetry.snapshot()["pad"]["sounding"][0] == 1)
    rng = random.Random(7)
    for _ in range(4):
        time.sleep(0.2 + rng.random() / 5)
        running.kill()
        state = committed(box.segment).copy()[0]
        assert state["cycles"] > 0 and state["frame"] == committed(box.segment)["frame"][0]
        assert state["pad"]["playing"][0] == 1
        origin = float(state["pad"]["origin_beat"][0])
        phase = (int(state["frame"]) * 2 / RATE - origin) / 4 % 1 * 96_000
        assert abs((float(state["pad"]["main"]["position"][0]) - phase + 48_000) % 96_000 - 48_000) < 2
        running.start()
        told = box.telemetry.snapshot()
        assert float(told["clock"]["beat"]) == pytest.approx(int(told["clock"]["frame"]) * 2 / RATE, abs=1e-9)
        assert told["pad"]["sounding"][0] == 1
