# SPDX-License-Identifier: GPL-3.0-or-later
"""The control process: the hub first, then what takes longer; a clean stop within a second of SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from appliance.bus import layout
from appliance.bus.box import Box, Role
from appliance.bus.hub import HubServer
from appliance.control.analyst import Analyst
from appliance.control.brain.clips import ClipFacts
from appliance.control.brain.pilot import Brain
from appliance.control.desk import Desk
from appliance.control.eventlog import EventLog
from appliance.control.inpitch import InPitch
from appliance.control.keymatch import KeyMatch
from appliance.control.lines import Lines
from appliance.control.link import Link
from appliance.control.loader import Loader
from appliance.control.loudness import Loudness
from appliance.control.panic import Panic
from appliance.control.recorder import Recorder
from appliance.control.safety import SafeForms
from appliance.control.scenes import Scenes
from appliance.control.session.keeper import Keeper
from appliance.control.speech.speaker import Speaker
from appliance.control.tracks import Tracks
from appliance.control.wanting import Wanting
from appliance.errors import ApplianceError

log = logging.getLogger("appliance.control")

BUSY_LOOK_S, IDLE_LOOK_S = 0.005, 0.01
"""Time between looks at the engine's events: a MIDI message that needs control waits no longer. Waking up is what costs
(130 µs against 1 for the look), so it is done less often when nothing has come for a while."""
BUSY_S = 2.0
TICK_S = 0.02
"""Values and telemetry are compared fifty times a second."""
PROCESSES_S = 1.0
STOP_S = 0.8

Stop = Callable[[], Awaitable[None]]


class Control:
    """Everything that control runs, in the order in which it starts."""

    def __init__(self, box: Box, *, safe: bool = False) -> None:
        self.box = box
        self.desk = Desk(box, safe=safe)
        self.hub = HubServer(box.hub_path, self.desk)
        self.loader = Loader(self.desk)
        self.tracks = Tracks(self.desk, self.loader)
        self.analyst = Analyst(self.desk, self.loader, self.tracks)
        self.in_pitch = InPitch(self.desk, self.loader)
        self.scenes = Scenes(self.desk)
        self.panic = Panic(self.desk)
        self.key_match = KeyMatch(self.desk)
        self.events = EventLog(self.desk, self.loader, self.scenes)
        self.keeper = Keeper(self.desk, self.loader, self.scenes)
        self.recorder = Recorder(self.desk)
        self.loudness = Loudness(self.desk)
        self.safety = SafeForms(self.desk, self.loader)
        self.link = Link(self.desk)
        self.speaker = Speaker(self.desk, self.loader)
        self.wanting = Wanting(self.desk)
        self.lines = Lines(self.desk)
        self.brain = Brain(self.desk, self.lines, ClipFacts(box.data, self.tracks))
        self.failed = False
        self._stop_surfaces: Stop | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """The hub answers when this returns; clips, surfaces and the first music follow."""
        self.box.say_role(Role.STARTING)
        self.keeper.restore_now()
        self.desk.hub = self.hub
        self.desk.subscribe(self.hub.announce, self.hub.wants, private=True)
        await self.hub.start()
        works = (self._pump(), self._watch_processes(), self.loader.run(), self.tracks.run(), self.keeper.run(),
                 self.analyst.run(), self.in_pitch.run(), self.safety.run(), self.loudness.run(), self.link.run(),
                 self.speaker.run(), self.brain.run(),
                 self._finish())
        for work in works:
            self._tasks.append(asyncio.create_task(self._watched(work)))
        self.recorder.start()
        self.box.say_role(Role.RUNNING)

    async def stop(self) -> None:
        """Surfaces first, so that nothing new comes in; then the last save; then the hub."""
        for task in self._tasks:
            task.cancel()
        if self._stop_surfaces:
            await self._stop_surfaces()
        self.link.stop()
        await asyncio.to_thread(self.recorder.stop)
        self.brain.close()
        self.lines.close()
        self.speaker.close()
        self.analyst.close()
        self.in_pitch.close()
        self.tracks.save()
        self.loader.close()
        await self.keeper.stop()
        await self.hub.stop()
        self.box.say_role(Role.STOPPED)

    async def _finish(self) -> None:
        await asyncio.gather(self.keeper.restore_clips(), self._start_surfaces())
        gc.freeze()  # what is there now stays: the collector need not walk it again while people play

    async def _start_surfaces(self) -> None:
        if find_spec("appliance.control.surfaces") is None:
            log.warning("no surfaces are installed: the box is reached by its hub alone")
            return
        try:
            # HTTP alone takes half a second to import; the hub answers meanwhile
            surfaces = await asyncio.to_thread(import_module, "appliance.control.surfaces")
            self._stop_surfaces = await surfaces.start(self.desk)
        except ApplianceError as error:
            self.desk.say(error.message)
        except Exception as error:  # whatever it is: the box can still be played by its hub
            log.exception("the surfaces have not started")
            self.desk.say(f"OSC, HTTP and MIDI could not be started ({type(error).__name__}: {error}); see the log")

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        """A part that fails takes the process down: the supervisor starts it again, whole."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("a part of control failed; control ends and is started again")
            self.failed = True
            signal.raise_signal(signal.SIGTERM)

    async def _pump(self) -> None:
        busy_until = next_tick = 0.0
        while True:
            now = time.monotonic()
            if self.desk.pump_events():
                busy_until = now + BUSY_S
            if now >= next_tick:
                self.box.beat()
                self.desk.announcer.tick()
                next_tick = now + TICK_S - IDLE_LOOK_S / 4
            await asyncio.sleep(BUSY_LOOK_S if now < busy_until else IDLE_LOOK_S)

    async def _watch_processes(self) -> None:
        while True:
            self.desk.publish("/system/processes", processes(self.box))
            await asyncio.sleep(PROCESSES_S)


def processes(box: Box) -> list[dict[str, Any]]:
    """The process table as ``/system/processes`` tells it; ``started_s`` on the monotonic clock."""
    rows: list[dict[str, Any]] = []
    for name in layout.PROCESSES:
        row = box.process(name)
        if not int(row["pid"]) and not int(row["restarts"]):
            continue
        role = int(row["role"])
        rows.append({
            "name": name, "pid": int(row["pid"]), "role": Role(role).name.lower() if role in list(Role) else str(role),
            "restarts": int(row["restarts"]), "safe": int(row["safe"]), "started_s": round(int(row["started_ns"]) / 1e9, 3),
        })
    return rows


async def run(path: Path, *, safe: bool = False) -> None:
    """Until SIGTERM or SIGINT; ends the process. ``safe``: in its safe form."""
    begun = time.monotonic()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    control = Control(Box.attach(path, "control"), safe=safe)
    await control.start()
    log.info("the hub answers at %s, %.0f ms after the start", control.box.hub_path, 1000 * (time.monotonic() - begun))
    await stopping.wait()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(control.stop(), STOP_S)
    logging.shutdown()
    os._exit(int(control.failed))  # all is saved; threads that decode or import have nothing that is worth waiting for


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m appliance.control", description="the control process of a box")
    parser.add_argument("--box", type=Path, required=True, help="box.json of the running box")
    parser.add_argument("--safe", type=int, default=0, metavar="N", help="1: without what a person has added")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(run(options.box, safe=bool(options.safe)))
    except ApplianceError as error:
        log.error("%s", error.message)
        sys.exit(1)
