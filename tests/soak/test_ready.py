# SPDX-License-Identifier: GPL-3.0-or-later
"""A pad plays, somebody presses "new" at any moment: what is ready is heard from the next line of the launch grid on. A whole
box with a real engine; where each clip began is read from the events that it recorded. A press during which the machine stood
still is not judged, and another one is made in its place."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from appliance.bus.box import Box
from appliance.bus.eventfile import EventFile
from appliance.bus.hub import HubClient
from benchmarks.box import start_box
from tests.soak.stalls import Stalls

LEAST_S = 0.1
"""A press that comes later than this before a line counts for that line or the next one."""
STILL_NS = 10e6
"""So long may a core stand still while a press is judged."""


async def _until(true: Any, what: str, seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)


async def presses(box: Box, count: int, seed: int, stalls: Stalls) -> None:
    """Press until ``count`` presses can be judged; each must come on the next line of a quarter note's grid, exactly."""
    chance = random.Random(seed)
    states: dict[str, Any] = {}
    hub = HubClient(box.hub_path, "test")
    for pattern in ("/bank/1/pad/*/candidates", "/bank/1/pad/*/take", "/bank/1/pad/*/state"):
        hub.watch(pattern, states.__setitem__)
    await hub.start()
    await hub.connected(60)
    await hub.set("/clock/quantize", "1/4")
    await hub.set("/gen/bars", 1)
    await hub.do("/gen/generate", {"prompt": "only drums", "bars": 1, "seed": 1}, "/pad/1")
    pad = box.telemetry
    await _until(lambda: int(pad.snapshot()["pad"]["clip"][0]), "a clip")
    await hub.do("/pad/1/trigger")
    await _until(lambda: states.get("/bank/1/pad/1/state") == "playing", "it plays")
    await hub.do("/system/events/record")
    pressed: list[tuple[float, bool]] = []
    while sum(judged for _, judged in pressed) < count and len(pressed) < 5 * count:
        await _until(lambda: states.get("/bank/1/pad/1/candidates", 0) > 0, "a candidate")
        await asyncio.sleep(chance.random() * 0.6)
        before = int(pad.snapshot()["pad"]["clip"][0])
        began_ns, beat = time.monotonic_ns(), float(pad.snapshot()["clock"]["beat"])
        await hub.do("/pad/1/new")
        await _until(lambda before=before: int(pad.snapshot()["pad"]["clip"][0]) != before, "the next clip", 30)
        pressed.append((beat, float(stalls.since(began_ns - int(STILL_NS)).sum()) < STILL_NS))
    told = await hub.do("/system/events/record")
    await hub.stop()
    file = EventFile.load(Path(told["file"]))
    frames = [frame for frame, event in file.ordered() if event.address == "/bank/1/pad/1/load"]
    judged = sum(judged for _, judged in pressed)
    print(f"{judged} of {len(pressed)} presses judged")
    assert len(frames) == len(pressed) and judged >= count
    bpm = 120.0
    for (beat, judged), frame in zip(pressed, frames, strict=True):
        heard = file.start_beat + (frame - file.start_frame) / file.rate * bpm / 60
        assert abs(heard - round(heard)) < 1e-3, "on the line"
        late = round(heard) - int(beat // 1 + 1)
        near = (1 - beat % 1) * 60 / bpm < LEAST_S
        assert not judged or late == 0 or (near and late == 1), (beat, heard)


def _play(folder: Path, count: int, seed: int) -> None:
    process = start_box(folder, "gen: {fill: false, look_ahead_cpu: 1.0}\n", jack=False)
    try:
        with closing(Stalls()) as stalls:
            asyncio.run(presses(Box.attach(folder, "test"), count, seed, stalls))
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.soak
def test_new_with_a_candidate_ready_comes_on_the_next_line_100_of_100(tmp_path: Path) -> None:
    _play(tmp_path, 100, seed=1)


@pytest.mark.soak
def test_new_with_a_candidate_ready_comes_on_the_next_line(tmp_path: Path) -> None:
    _play(tmp_path, 3, seed=2)
