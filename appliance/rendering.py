# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance render``: an events file becomes sound, off line, through the engine's own compiled code."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import soundfile as sf

from appliance.bus.clips import Clip
from appliance.bus.commands import Code
from appliance.bus.eventfile import BEGIN, SKIP, ClipFile, EventFile, FileEvent, SceneCell
from appliance.bus.grids import Grid
from appliance.bus.scenetable import default_scene, write_row
from appliance.engine.backends.offline import OfflineEngine
from appliance.errors import ApplianceError, BadValue, Unavailable
from appliance.library.decode import decode
from appliance.namespace import Address, Kind, Type
from appliance.nodes import NAMESPACE
from appliance.nodes.pad import SCENES

BLOCK_FRAMES = 1024
"""The sound does not depend on it."""
EVENTS_A_BLOCK = 200
TAIL_S = 0.5
"""Rendered after the last event of a file that states no length."""


class Performance:
    """An events file on an engine of its own. ``render`` yields the master, frames × 2 float32, in pieces."""

    def __init__(self, file: EventFile) -> None:
        self.file = file
        self.engine = OfflineEngine(float(file.rate))
        self._clips: dict[str, Clip] = {}
        exact = file.state is not None and file.state.fits
        self._events = [(frame, event) for frame, event in file.ordered() if not (exact and event.source == BEGIN)]
        for row in range(SCENES):
            write_row(self.engine.record["scene"][0][row], file.scenes.get(row + 1) or default_scene(row))
        if exact and file.state is not None:
            for handle, name in file.state.handles.items():
                self._clips[name] = self._load(name, handle)
            self.engine.resume(file.state)
            return
        for address, value in file.values.items():
            self.engine.values.set(address, value)
        self.engine.begin_at(file.start_frame, file.start_beat)
        for place, name in (*file.pads.items(), *file.decks.items()):
            self._load_place(NAMESPACE.find(f"{place}/load"), name, 0)

    def _load(self, name: str, handle: int = 0) -> Clip:
        facts: ClipFile = self.file.clip(name)
        audio = decode(self.file.path(facts), self.file.rate)
        return self.engine.load(audio, bpm=facts.bpm, beats=facts.beats, gain=facts.gain, handle=handle)

    def _clip(self, name: str) -> Clip:
        if name not in self._clips:
            self._clips[name] = self._load(name)
        return self._clips[name]

    def _load_place(self, found: Address, name: str | None, frame: int) -> None:
        handle = float(self._clip(name).handle if name else 0)
        if found.group.record == "pad":
            self.engine.commands.send(Code.LOAD_PAD, found.index, handle, frame=frame)
            return
        grid = self.file.clip(name).beat_grid if name else None
        place = self.engine.grids.put(grid, self.engine.rate) if grid else 0
        self.engine.commands.send(Code.LOAD_DECK, found.index, handle, float(place), frame=frame)

    def render(self, frames: int) -> list[np.ndarray]:
        """The next ``frames`` frames of the master."""
        pieces: list[np.ndarray] = []
        end = self.engine.frame + frames
        while self.engine.frame < end:
            count = min(BLOCK_FRAMES, end - self.engine.frame)
            count = self._feed(count)
            pieces.append(self.engine.run(count, count)[:, :2])
        return pieces

    def _feed(self, count: int) -> int:
        """Send the events of the coming block; returns how long it may be, so that it takes them all."""
        now, sent = self.engine.frame, 0
        while self._events and self._events[0][0] < now + count:
            frame, event = self._events[0]
            if (event.address == SKIP and frame > now) or (sent >= EVENTS_A_BLOCK and frame > now):
                return min(count, frame - now)
            self._events.pop(0)
            self._send(event, max(frame, 0))
            sent += 1
            if event.address == SKIP:  # the block begins after what it jumps over
                now += int(event.value or 0)
        return count

    def _send(self, event: FileEvent, frame: int) -> None:
        if event.address == SKIP:
            self.engine.commands.send(Code.SKIP, 0, float(event.value or 0))
            return
        bank = int(self.engine.values.bank)
        found = NAMESPACE.find(event.address, bank)
        arguments = event.arguments
        if found.node.kind is Kind.VALUE:
            if not arguments:
                raise BadValue(f"{event.address} at frame {frame}: say to which value it is set")
            value = found.node.to_slot(found.node.check(arguments[0], found.address))
            self.engine.commands.send(Code.SET, found.slot, value, frame=frame)
        elif found.node.kind is Kind.COMMAND:
            a = self._argument(found, arguments)
            self.engine.commands.send(NAMESPACE.command(found.group.record, found.node.name), found.index, a, frame=frame)
        elif found.node.name in ("load", "clear", "unload") and found.group.record in ("pad", "deck"):
            name = str(arguments[0]) if found.node.name == "load" and arguments else None
            self._load_place(found, name, frame)
        elif found.group.record == "deck" and found.node.name == "grid" and arguments:
            place = self.engine.grids.put(Grid.model_validate(arguments[0]), self.engine.rate)
            self.engine.commands.send(Code.SET_GRID, found.index, float(place), frame=frame)
        elif found.group.record == "scene" and found.node.name == "store" and arguments:
            cells = {pad: SceneCell.model_validate(cell) for pad, cell in dict(arguments[0]).items()}
            write_row(self.engine.record["scene"][0][found.index], cells)
        else:
            raise BadValue(f"{event.address} at frame {frame}: makes no sound, so it cannot be rendered; take it out")

    @staticmethod
    def _argument(found: Address, arguments: list[object]) -> float:
        """The number that goes with a command: the argument, or what leaving it out means (a switch toggles)."""
        if arguments and found.node.type is not Type.NONE:
            return float(found.node.check(arguments[0], found.address))
        if found.node.type is Type.BOOL:
            return -1.0
        return float(found.node.default if found.node.default is not None else 0.0)


def render_file(events: Path, out: Path, frames: int | None = None) -> str:
    """Render ``events`` into ``out`` (float32 WAV); returns a line that tells what was made.

    Raises :class:`appliance.errors.BadFile` for a file that cannot be read, :class:`Unavailable` when ``out`` cannot be
    written.
    """
    file = EventFile.load(events)
    if frames is None:
        tail = 0 if file.length is not None else round(TAIL_S * file.rate)
        frames = max(file.end_frame - file.start_frame + tail, 1)
    began = time.monotonic()
    try:
        performance = Performance(file)
        with sf.SoundFile(out, "w", file.rate, 2, "FLOAT", format="WAV") as sound:
            left = frames
            while left > 0:
                pieces = performance.render(min(left, 64 * BLOCK_FRAMES))
                for piece in pieces:
                    sound.write(piece[:left])
                    left -= len(piece)
    except (OSError, sf.SoundFileError) as error:
        raise Unavailable(f"{out}: cannot be written ({error}); make room or choose another place", status=507) from None
    except ApplianceError as error:
        raise type(error)(f"{events}: {error.message}", status=error.status) from None
    seconds = frames / file.rate
    speed = seconds / max(time.monotonic() - began, 1e-9)
    return f"{out}: {seconds:.1f} s, {speed:.0f} × real time"


