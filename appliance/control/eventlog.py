# SPDX-License-Identifier: GPL-3.0-or-later
"""``/system/events/record``: everything the engine obeys from here on, with its frame, as a file that can be rendered.

The beginning is one committed state of the engine: its frame, its values, the clock and what is loaded. What plays at
that moment is in the file twice: as the engine's state, exact to the bit for a box of the same version, and as events that
start it anew for any other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np

from appliance.bus import layout
from appliance.bus.commands import Code, Source
from appliance.bus.commit import clips_in, commit_word, committed
from appliance.bus.enginestate import freeze
from appliance.bus.eventfile import BEGIN, SKIP, ClipFile, EventFile, FileEvent, Moment
from appliance.bus.events import Event, Kind
from appliance.bus.grids import Grid
from appliance.control.desk import Desk
from appliance.control.loader import Loader
from appliance.control.scenes import Scenes, pad_of
from appliance.control.versions import FOLDER as VERSIONS
from appliance.errors import ApplianceError, BadValue, NotAllowed, Unavailable
from appliance.namespace import Address, Type
from appliance.nodes import ENGINE_VALUES, NAMESPACE

log = logging.getLogger(__name__)

FOLDER = "events"
MOST_EVENTS = 1_000_000
"""About a day of busy playing; then the recording ends and says so."""
_ENGINE_SLOTS = ENGINE_VALUES.itemsize // 8


class EventLog:
    """Begins and ends recordings; one at a time."""

    def __init__(self, desk: Desk, loader: Loader, scenes: Scenes) -> None:
        self._desk = desk
        self._box = desk.box
        self._loader = loader
        self._scenes = scenes
        self._file: EventFile | None = None
        self._ending = asyncio.Lock()
        self._end_frame = 0
        self._commands = {number: name for name, number in NAMESPACE.commands.items()}
        self._addresses = {(a.group.record, a.node.field, a.index): a for a in NAMESPACE}
        desk.register("/system/events/record", self._record_call)
        desk.on_event(self._event)
        scenes.on_change(self._scene_changed)

    @property
    def recording(self) -> bool:
        return self._file is not None

    async def _record_call(self, address: Address, args: list[Any]) -> dict[str, Any]:
        wanted = not self.recording if not args else _flag(address, args[0])
        if wanted == self.recording:
            raise NotAllowed(f"{address}: events are {'already' if wanted else 'not'} being recorded", status=409)
        if wanted:
            self._file = self._begin()
            return {"start_frame": self._file.start_frame}
        return await self._end()

    # -- the beginning

    def _begin(self) -> EventFile:
        state = self._snapshot()
        frame, rate = int(state["frame"]), round(self._box.rate)
        clock = state["clock"]
        bpm = float(clock["bpm"]) or 120.0
        beat = float(clock["anchor_beat"]) + (frame - int(clock["anchor_frame"])) * bpm / 60.0 / rate
        values = np.frombuffer(state["values"].tobytes(), np.float64)
        defaults = NAMESPACE.defaults()
        differs = np.nonzero(values != defaults[:_ENGINE_SLOTS])[0]
        changed = [NAMESPACE.by_slot[int(slot)] for slot in differs if int(slot) in NAMESPACE.by_slot]
        file = EventFile(
            rate=rate, start_frame=frame, start_beat=beat if clock["running"] else float(clock["anchor_beat"]),
            values={a.address: a.node.from_slot(float(values[a.slot])) for a in changed},
            scenes=dict(self._scenes.stored),
        )
        for cell in range(layout.PAD_CELLS):
            pad = state["pad"][cell]
            self._begin_place(file, pad_of(cell), int(pad["clip"]), bool(pad["playing"]), "trigger")
        for deck in range(layout.DECKS):
            grid = self._box.grids.read(int(state["deck"]["grid"][deck]), float(rate))
            self._begin_place(file, f"/deck/{deck + 1}", int(state["deck"]["clip"][deck]),
                              bool(state["deck"]["playing"][deck]), "play", grid)
        handles = {handle: name for handle in clips_in(state) if (name := self._clip_name(file, handle)) is not None}
        file.state = freeze(self._box.segment, state, handles)
        return file

    def _begin_place(
        self, file: EventFile, place: str, handle: int, playing: bool, start: str, grid: Grid | None = None
    ) -> None:
        if not handle:
            return
        name = self._clip_name(file, handle, grid)
        if name is None:
            self._desk.say(f"{place}: where its clip came from is not known; the recorded events leave it out")
            return
        (file.pads if "/pad/" in place else file.decks)[place] = name
        if playing:
            file.events.append(FileEvent(frame=file.start_frame, address=f"{place}/{start}", value=1,
                                         source=BEGIN))

    def _snapshot(self) -> np.void:
        """A copy of the committed state that no block has overwritten meanwhile. Raises Unavailable if there is none."""
        for _ in range(100):
            before = commit_word(self._box.segment)
            copy = committed(self._box.segment).copy()
            after = commit_word(self._box.segment)
            if (after & 0xFF_FFFF_FFFF) - (before & 0xFF_FFFF_FFFF) < 1:
                return copy[0]
        raise Unavailable("the engine's state could not be read at rest; try again")

    def _clip_name(self, file: EventFile, handle: int, grid: Grid | None = None) -> str | None:
        """The clip's name in the file, entered there at its first use."""
        audio = self._loader.bank.by_handle(handle)
        if audio is None:
            return None
        facts = audio.facts
        path = str(self._lasting(facts.path))
        wanted = ClipFile(file=path, hash=audio.hash, bpm=facts.bpm, beats=facts.beats, gain=facts.gain)
        if grid != wanted.beat_grid:
            wanted = wanted.model_copy(update={"grid": grid})
        stem, number = Path(path).stem[:40] or "clip", 1
        while file.clips.get(name := stem if number == 1 else f"{stem}-{number}") not in (None, wanted):
            number += 1
        file.clips[name] = wanted
        return name

    def _lasting(self, path: Path) -> Path:
        """Versions in pitch come and go: a recording has its own links to them."""
        if path.parent != self._box.data / VERSIONS:
            return path
        kept = self._box.data / FOLDER / VERSIONS / path.name
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            if not kept.exists():
                kept.hardlink_to(path)
        except OSError as error:
            log.warning("%s: the recorded events need it and may lose it (%s)", path, error.strerror or error)
            return path
        return kept

    # -- what happens

    def _event(self, event: Event) -> None:
        file = self._file
        if file is None or event.frame < file.start_frame:
            return
        self._end_frame = max(self._end_frame, event.frame)
        written = self._as_file_event(file, event)
        if written is None or len(file.events) >= MOST_EVENTS:
            return
        file.events.append(written)
        if len(file.events) == MOST_EVENTS:
            self._desk.say(f"events: {MOST_EVENTS} are recorded and no more fit; the recording ends here")
            asyncio.get_running_loop().create_task(self._end_full())

    def _scene_changed(self, row: int) -> None:
        """What a later launch does has changed: the file's scenes are those of its beginning."""
        if self._file is None:
            return
        frame = max(int(self._box.telemetry.snapshot()["clock"]["frame"]), self._file.start_frame)
        cells = self._scenes.stored.get(row)
        told = [{pad: cell.model_dump(exclude_none=True) for pad, cell in cells.items()}] if cells else []
        address = f"/scene/{row}/{'store' if cells else 'clear'}"
        self._file.events.append(FileEvent(frame=frame, address=address, args=told))

    def _as_file_event(self, file: EventFile, event: Event) -> FileEvent | None:
        source = Source(event.source).name.lower() if event.source in Source._value2member_map_ else ""
        if event.kind == Kind.JUMP:
            return FileEvent(frame=event.frame, address=SKIP, value=int(event.a))
        if event.kind == Kind.VALUE:
            found = NAMESPACE.by_slot.get(event.index)
            if found is None:
                return None
            value = found.node.from_slot(event.a)
            return FileEvent(frame=event.frame, address=found.address, value=value, source=source)
        if event.kind != Kind.COMMAND:
            return None
        if event.code in (Code.LOAD_DECK, Code.LOAD_PAD):
            return self._load_event(file, event, source)
        if event.code == Code.SET_GRID:
            grid = self._box.grids.read(int(event.a), self._box.rate)
            args = [grid.model_dump(mode="json")] if grid else []
            return FileEvent(frame=event.frame, address=f"/deck/{event.index + 1}/grid", args=args, source=source)
        found = self._command_address(event)
        if found is None:
            return None
        arguments = [] if found.node.type is Type.NONE or (event.a < 0 and found.node.type is Type.BOOL) else [event.a]
        return FileEvent(frame=event.frame, address=found.address, args=arguments, source=source)

    def _load_event(self, file: EventFile, event: Event, source: str) -> FileEvent | None:
        is_pad = event.code == Code.LOAD_PAD
        place = pad_of(event.index) if is_pad else f"/deck/{event.index + 1}"
        handle = int(event.a)
        if not handle:
            return FileEvent(frame=event.frame, address=f"{place}/{'clear' if is_pad else 'unload'}",
                             source=source)
        grid = None if is_pad else self._box.grids.read(int(event.b), self._box.rate)
        name = self._clip_name(file, handle, grid)
        if name is None:
            return None
        return FileEvent(frame=event.frame, address=f"{place}/load", args=[name], source=source)

    def _command_address(self, event: Event) -> Address | None:
        name = self._commands.get(event.code)
        if name is None:
            return None
        record, _, field = name.partition(".")
        return self._addresses.get((record, field, event.index))

    # -- the end

    async def _end_full(self) -> None:
        try:
            await self._end()
        except ApplianceError as error:
            self._desk.say(error.message)

    async def _end(self) -> dict[str, Any]:
        """Write the file. When the disk refuses it, recording goes on and nothing is lost."""
        async with self._ending:
            self._desk.pump_events()
            if self._file is None:
                raise NotAllowed("/system/events/record: events are not being recorded", status=409)
            end = max(int(self._box.telemetry.snapshot()["clock"]["frame"]), self._end_frame)
            length = Moment(frame=end, at=None, beat=None)
            file = self._file.model_copy(update={"events": list(self._file.events), "length": length})
            told = await self._save(file)
            self._file = None
            return told | {"frames": end - file.start_frame}

    async def _save(self, file: EventFile) -> dict[str, Any]:
        folder = self._box.data / FOLDER
        path = folder / f"EVENTS-{time.strftime('%Y%m%d-%H%M%S')}.yaml"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            await asyncio.to_thread(file.save, path)
        except OSError as error:
            why = error.strerror or error
            raise Unavailable(f"{path}: cannot be written ({why}); events are still being recorded: make room on the disk, "
                              "then end it again", status=507) from None
        return {"file": str(path), "events": len(file.events)}


def _flag(address: Address, value: Any) -> bool:
    word = value.strip().lower() if isinstance(value, str) else value
    if word in (True, 1, "true", "on", "1", "yes"):
        return True
    if word in (False, 0, "false", "off", "0", "no"):
        return False
    raise BadValue(f"{address} takes true or false, not {value!r}")
