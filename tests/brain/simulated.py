# SPDX-License-Identifier: GPL-3.0-or-later
"""A box in simulated time: the real engine off line, the real desk and autopilot, real clips from the embedded generator.

Whenever its event loop would sleep, the engine renders that long; so an hour takes minutes, and no decision is late."""

from __future__ import annotations

import asyncio
import itertools
import math
import selectors
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from appliance.bus import layout
from appliance.bus.box import Box
from appliance.bus.commands import Code
from appliance.bus.events import Event, Kind
from appliance.bus.memory import PrivateSegment
from appliance.bus.scenetable import pad_of
from appliance.config import Config
from appliance.control.brain.clips import ClipFacts
from appliance.control.brain.pilot import LOOK_S, Brain
from appliance.control.desk import Desk
from appliance.control.launchgrid import frame_of_line
from appliance.control.lines import Lines
from appliance.engine.backends.offline import OfflineEngine
from appliance.gen.asking import Asking
from appliance.gen.backends.procedural import ProceduralBackend
from appliance.gen.request import GenRequest
from appliance.gen.vary import recipe
from appliance.gen.work import version_of
from appliance.gen.worker import make_clip
from appliance.library.analysis.loudness import LoudnessMeter
from appliance.library.store import AudioStore, Clip
from appliance.nodes import NAMESPACE

STEP_S = 0.02


class _Asleep(selectors.SelectSelector):
    """Nobody sleeps: the time is rendered instead."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout > 0:
            self._stage.render(STEP_S if timeout is None else min(timeout, STEP_S))
        return super().select(0)


class Stage:
    """The box. ``events``: all that the engine told; ``told``: what the autopilot published, with the second."""

    def __init__(
        self, data: Path, *, rate: int = 48_000, bpm: float = 125.0, phrase: int = 8, style: str = "deep_house"
    ) -> None:
        config = Config()
        config.audio.rate = rate
        data.mkdir(parents=True, exist_ok=True)
        Box.run_folder(data).mkdir(exist_ok=True)
        self.rate, self.bpm, self.phrase = rate, bpm, phrase
        self.box = Box(data, config, PrivateSegment(layout.BOX.itemsize), "simulated")
        self.box.record["rate"] = rate
        self.engine = OfflineEngine(float(rate), self.box.segment)
        self.engine.commands = self.box.commands
        for address, value in (("/clock/bpm", bpm), ("/clock/phrase", phrase), ("/gen/style", style), ("/brain/minutes", 60)):
            self.box.values.set(address, value)
        self.store = AudioStore(data)
        self.asking = Asking(self.box, ("procedural",))
        self.events: list[Event] = []
        self.told: list[tuple[float, str, Any]] = []
        self.now_s = 0.0
        self.start_control()
        self.count = 0
        self._meter = LoudnessMeter(rate)
        self._backend = ProceduralBackend()
        self._clips: dict[int, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sound: list[np.ndarray] = []

    def start_control(self) -> None:
        """As control starts; again: after it was killed."""
        self.desk = Desk(self.box)
        self.lines = Lines(self.desk)
        self.desk.call = self.call
        self.brain = Brain(self.desk, self.lines, ClipFacts(self.box.data, None))
        self.desk.on_event(self.events.append)
        self.desk.subscribe(lambda address, value: self.told.append((self.now_s, address, value))
                            if address.startswith("/brain/") else None)

    def restart_control(self) -> None:
        """It is gone in the middle of whatever it did; what stands on the pads is known again."""
        texts = {address: self.desk.texts.get(self.desk.find(address)) for cell in self._clips
                 for address in (f"{pad_of(cell)}/file", f"{pad_of(cell)}/role")}
        self.lines.close()
        self.brain.close()
        self.start_control()
        for address, text in texts.items():
            self.desk.set_text(self.desk.find(address), text)

    # -- time

    def render(self, seconds: float) -> None:
        frames = max(round(seconds * self.rate), 1)
        sound = self.engine.run(frames, min(frames, 960))[:, :2]
        self._sound.append(sound)
        if len(self._sound) > 50:
            self._meter.feed(np.concatenate(self._sound))
            self._sound.clear()
        self.now_s += frames / self.rate

    def play(self, show: Coroutine[Any, Any, None]) -> None:
        """Run a show, and the autopilot with it, until the show ends."""
        loop = asyncio.SelectorEventLoop(_Asleep(self))
        loop.time = lambda: self.now_s  # type: ignore[method-assign]

        async def all_() -> None:
            works = [asyncio.create_task(work) for work in (show, self._think(), self._pump())]
            ended, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
            for work in (*works, *self._tasks):
                work.cancel()
            for work in ended:
                work.result()
            self.lines.close()
            self.brain.close()

        try:
            loop.run_until_complete(all_())
        finally:
            loop.close()

    async def _think(self) -> None:
        while True:
            self.brain.tick()
            await asyncio.sleep(LOOK_S)

    async def _pump(self) -> None:
        for count in itertools.count():
            self.desk.pump_events()
            if count % 5 == 0:
                self.desk.announcer.tick()
            await asyncio.sleep(STEP_S)

    async def until_bar(self, bar: int) -> None:
        while int(self.box.telemetry.snapshot()["clock"]["bar"]) < bar:
            await asyncio.sleep(STEP_S)

    # -- generation, as the gen process answers it

    async def call(self, address: str, args: list[Any], timeout_s: float = 30.0) -> Any:
        if address == "/gen/section/next":
            self.box.values.set("/gen/section", args[0])
            for cell in self.playing():
                clip = self.clip_on(pad_of(cell))
                self._later(self._bring(cell, recipe(clip, "").model_copy(update={"section": args[0]}), args[1]))
        elif address.endswith("/new"):
            cell = NAMESPACE.find(address).index
            self.count += 1
            request = self.asking.here(recipe(self.clip_on(pad_of(cell)), ""), 1000 + self.count)
            self._later(self._bring(cell, request, args[0] if args else "grid"))
        else:
            raise AssertionError(address)

    def clip_on(self, pad: str) -> Clip | None:
        return self.store.get(Path(self.desk.texts.get(self.desk.find(f"{pad}/file"))).stem)

    def make(self, request: GenRequest) -> Clip:
        name = request.content_hash(version_of(request))
        if (clip := self.store.made(name)) is not None:
            return clip
        fields = make_clip(self._backend, request, self.store.folder, lambda _: None, lambda: False)
        kept = {key: fields[key] for key in ("frames", "rate", "name", "role", "bpm", "bars", "beats", "key", "loudness")}
        return self.store.register(fields["hash"], **kept, lineage=fields["lineage"], request=name)

    def fill(self, pads: int = 16) -> None:
        """The first pads of bank 1, as an empty box fills them."""
        for cell, request in enumerate(self.asking.bank(1)[:pads]):
            self.put(cell, self.make(request), 0)

    async def _bring(self, cell: int, request: GenRequest, line: str) -> None:
        clip = self.make(request)
        self.put(cell, clip, await frame_of_line(self.box, cell, line, lambda: True))

    def put(self, cell: int, clip: Clip, frame: int) -> None:
        audio, _ = sf.read(clip.path, dtype="float32", always_2d=True)
        made = self.engine.load(audio, bpm=clip.bpm or 0.0, beats=clip.beats or 0.0)
        self.engine.commands.send(Code.LOAD_PAD, cell, float(made.handle), frame=frame)
        before, self._clips[cell] = self._clips.get(cell), made
        if before is not None:
            self._later(self._let_go(before))
        for name, text in (("file", str(clip.path)), ("role", clip.role)):
            self.desk.set_text(self.desk.find(f"{pad_of(cell)}/{name}"), text)

    async def _let_go(self, clip: Any) -> None:
        await asyncio.sleep(1.0)
        self.engine.clips.retire(clip.handle)
        self.engine.clips.collect()

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_event_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- what was heard

    def playing(self) -> list[int]:
        return [cell for cell, state in enumerate(self.box.telemetry.snapshot()["pad"]["state"]) if int(state) == 3]

    def tenths(self) -> np.ndarray:
        """Mean power (K-weighted) of each tenth of a second."""
        if self._sound:
            self._meter.feed(np.concatenate(self._sound))
            self._sound.clear()
        return np.asarray(self._meter.tenths())

    def bar_of(self, frame: int) -> float:
        """Bars from 0 at the tempo that it had all the time."""
        return frame / self.rate * self.bpm / 240.0

    def changes(self) -> list[tuple[float, str]]:
        """Everything that was heard to change, in bars, in order."""
        names = {int(Kind.LAUNCHED): "launched", int(Kind.STOPPED): "stopped"}
        found = [(self.bar_of(event.frame), names[event.kind]) for event in self.events if event.kind in names]
        found += [(self.bar_of(event.frame), "loaded") for event in self.events
                  if event.kind == Kind.COMMAND and event.code == Code.LOAD_PAD and event.frame > 0]
        return sorted(found)


def lufs(powers: np.ndarray) -> float:
    return -0.691 + 10 * math.log10(max(float(powers.mean()), 1e-12))
