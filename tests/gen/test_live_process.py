# SPDX-License-Identifier: GPL-3.0-or-later
"""The live stream as gen keeps it: a process of its own that is started, killed, asked and ended, beside a playing engine."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from appliance.engine.backends.offline import OfflineEngine
from appliance.errors import ApplianceError
from tests.gen.livestage import gaps

from .conftest import Running

RATE, STEP = 48000, 960
START_S = 60.0


class Playing:
    """A box with a gen process and an engine that plays as time passes."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.engine = OfflineEngine(segment=running.box.segment)  # type: ignore[arg-type]
        self.pieces: list[np.ndarray] = []
        values = running.box.values
        values.set("/clock/bpm", 240.0)
        values.set("/gen/live/only_bass_and_drums", True)

    async def play(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            self.pieces.append(self.engine.run(STEP)[:, :2])
            await asyncio.sleep(max(began + self.engine.frame / RATE - loop.time(), 0))

    def set(self, name: str, value: object) -> None:
        self.running.box.values.set(f"/gen/live/{name}", value)

    def state(self, name: str) -> object:
        return self.running.control.states.get(f"/gen/live/{name}")

    async def until(self, name: str, value: object) -> None:
        await self.running.until(lambda: self.state(name) == value, START_S)

    def process(self) -> int:
        """Its process, by what it was started with; 0: there is none."""
        assert self.running.process
        for pid in Path(f"/proc/{self.running.process.pid}/task/{self.running.process.pid}/children").read_text().split():
            if b"appliance.gen.live" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)
        return 0


@pytest.fixture
async def playing(running: Running) -> AsyncIterator[Playing]:
    made = Playing(running)
    task = asyncio.create_task(made.play())
    yield made
    task.cancel()


async def test_it_plays_is_killed_and_plays_on(playing: Playing) -> None:
    with pytest.raises(ApplianceError) as caught:
        await playing.running.do("/gen/live/drop")
    assert caught.value.status == 409 and "/gen/live/on" in caught.value.message
    assert playing.process() == 0, "it costs something while it is off"
    playing.set("on", True)
    await playing.until("source", "embedded")
    first = playing.process()
    os.kill(first, signal.SIGKILL)
    await playing.until("source", "none")
    assert "killed by signal 9; it is started again" in str(playing.state("message"))
    await playing.until("source", "embedded")
    assert playing.process() not in (0, first)
    await playing.running.until(lambda: playing.engine.telemetry.snapshot()["live"]["playing"], START_S)
    await asyncio.sleep(0.5)
    assert not gaps(np.concatenate(playing.pieces[-20:]))


async def test_what_was_heard_becomes_a_take_of_a_pad(playing: Playing) -> None:
    playing.running.control.hub.announce("/gen/live/prompt/1/text", "deep house")
    playing.set("on", True)
    await playing.until("source", "embedded")
    refused = ([17], "1 … 16"), (["many"], "1 … 16"), ([2, "/pad/17"], "no address"), ([2, "/pad/1", 3], "where the loop goes")
    for arguments, words in refused:
        with pytest.raises(ApplianceError) as caught:
            await playing.running.do("/gen/live/capture", *arguments)
        assert words in caught.value.message
    assert await playing.running.do("/gen/live/capture", 0.0) is None, "a button let go"
    await playing.running.do("/gen/live/capture", 2, "/pad/3")
    await playing.running.until(lambda: playing.running.control.loads)
    address, path, options = playing.running.control.loads[0]
    assert address == "/bank/1/pad/3/load"
    assert options == {"name": "live: deep house", "role": "none", "bpm": 240.0, "beats": 8.0, "at": "bar"}
    assert sf.info(path).frames == 2 * RATE
    await playing.running.until(lambda: playing.running.control.states.get("/bank/1/pad/3/takes") == 1)
    await playing.running.do("/gen/live/drop", 1.0)
    await playing.running.until(lambda: playing.state("dropping"))
    await playing.running.do("/gen/live/reset")
    await playing.until("dropping", 0)
