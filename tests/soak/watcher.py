# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes down what the engine obeyed, straight from shared memory: no process of the box is needed for it, so any of them
may die.

Kept are the ring of events, the audio of every clip that was loaded, the scenes, the committed state of the engine every few
seconds (where a rendering can begin), and how the engine's frames stand to the audio server's.
"""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass, field

import numpy as np

from appliance.bus import atomic, layout
from appliance.bus.box import Box
from appliance.bus.clips import PLACE_BITS, ClipState
from appliance.bus.commands import Code
from appliance.bus.commit import SLOT_SHIFT, commit_word, slots
from appliance.bus.enginestate import EngineState, freeze
from appliance.bus.events import Kind
from appliance.bus.memory import Segment
from appliance.errors import Unavailable
from appliance.nodes import NAMESPACE

POLL_S = 0.02
SNAPSHOT_S = 5.0
LAUNCH = NAMESPACE.command("scene", "launch")


@dataclass
class LoadedClip:
    audio: np.ndarray
    bpm: float
    beats: float
    gain: float


@dataclass(frozen=True)
class Snapshot:
    """The engine as it was committed when ``frame`` was next; ``scenes``: what they did then."""

    frame: int
    monotonic_ns: int
    state: EngineState
    scenes: np.ndarray


@dataclass(frozen=True)
class Anchor:
    """From ``monotonic_ns`` on, the server's frame time plus ``offset`` was the engine's frame (both without end, modulo
    2^32)."""

    monotonic_ns: int
    offset: int
    frame: int
    server: int


@dataclass(frozen=True)
class Change:
    """A row of the process table: another process, or another role."""

    monotonic_ns: int
    process: str
    pid: int
    role: int


@dataclass
class Log:
    """Everything that was written down. ``scenes``: number of the event of a launch → the table at that time; ``grids``: number
    of the event that gives a deck its beat grid → what stood in that place of the table then."""

    events: list[np.ndarray] = field(default_factory=list)
    lost: int = 0
    clips: dict[int, LoadedClip] = field(default_factory=dict)
    snapshots: list[Snapshot] = field(default_factory=list)
    anchors: list[Anchor] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    scenes: dict[int, np.ndarray] = field(default_factory=dict)
    grids: dict[int, np.ndarray] = field(default_factory=dict)
    overruns: list[int] = field(default_factory=list)
    """Monotonic times at which a block of an engine was seen to have cost more than its period."""
    last_frame: int = 0
    ended_ns: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def all_events(self) -> np.ndarray:
        return np.concatenate(self.events) if self.events else np.zeros(0, layout.EVENT)


def grid_place(event: np.void) -> int:
    """The place in the table of beat grids that an event gives to a deck; 0 when it does not."""
    kind, code = int(event["kind"]) & 0xFF, int(event["kind"]) >> 8
    place = event["b"] if code == Code.LOAD_DECK else event["a"] if code == Code.SET_GRID else 0.0
    return int(place) if kind == Kind.COMMAND and 0 < place < layout.GRIDS else 0


class Watcher:
    """Looks 50 times a second until it is closed."""

    def __init__(self, box: Box) -> None:
        self.log = Log()
        self._box = box
        self._record = box.record
        self._ring = box.segment.view(layout.EVENT, layout.EVENTS, layout.offset("events"))
        self._head = box.base + layout.offset("event_head")
        self._tail = int(atomic.read(self._head))
        self._table = box.segment.view(layout.CLIP, layout.CLIPS, layout.offset("clip"))
        self._slots = slots(box.segment)
        self._next_snapshot = 0.0
        self._number = 0
        self._overruns = self._overruns_now()
        self._audio: dict[bytes, np.ndarray] = {}
        self._open: dict[int, tuple[Segment, np.void]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self.step()
        self._thread.start()

    def close(self) -> Log:
        self._stop.set()
        self._thread.join(10)
        self.log.ended_ns = time.monotonic_ns()
        self.step()
        return self.log

    def _run(self) -> None:
        while not self._stop.wait(POLL_S):
            try:
                self.step()
            except Exception as error:
                self.log.problems.append(f"{type(error).__name__}: {error}")

    def step(self) -> None:
        self._look_at_clips()
        self._look_at_events()
        self._look_at_state()
        self._look_at_processes()

    def _look_at_events(self) -> None:
        head = int(atomic.read(self._head))
        if head - self._tail > layout.EVENTS - 1024:
            self.log.lost += head - self._tail
            self._tail = head
        if head == self._tail:
            return
        new = self._ring[np.arange(self._tail, head) & (layout.EVENTS - 1)].copy()
        self.log.events.append(new)
        for number in np.flatnonzero(new["kind"] == int(Kind.COMMAND) | (LAUNCH << 8)):
            self.log.scenes[self._number + int(number)] = self._record["scene"][0].copy()
        for number, row in enumerate(new):
            if place := grid_place(row):
                self.log.grids[self._number + number] = self._record["grid"][0, place].copy()
        self._number += len(new)
        self._tail = head

    def _committed(self) -> tuple[np.void, int] | None:
        """A copy of the committed state; None when none stood still for long enough."""
        for _ in range(20):
            word = commit_word(self._box.segment)
            state = self._slots[(word >> SLOT_SHIFT) & 0xFF].copy()
            if commit_word(self._box.segment) == word:
                return state, word
        return None

    def _look_at_state(self) -> None:
        now = time.monotonic()
        found = self._committed()
        if found is None or not int(found[0]["cycles"]):
            return
        state = found[0]
        frame = int(state["frame"])
        self.log.last_frame = max(self.log.last_frame, frame)
        offset = (frame - int(state["block_frames"]) - int(state["audio_time"])) & 0xFFFFFFFF
        server = int(state["server"])
        anchors = self.log.anchors
        if not anchors or (anchors[-1].offset, anchors[-1].server) != (offset, server):
            anchors.append(Anchor(time.monotonic_ns(), offset, frame, server))
        if now >= self._next_snapshot:
            self._next_snapshot = now + SNAPSHOT_S
            frozen = freeze(self._box.segment, state, {})
            self.log.snapshots.append(Snapshot(frame, time.monotonic_ns(), frozen, self._record["scene"][0].copy()))

    def _overruns_now(self) -> int:
        return sum(int(self._box.engine(number)["overruns"]) for number in range(layout.ENGINES))

    def _look_at_clips(self) -> None:
        """Take a copy of every clip as soon as it is whole; its memory is held from when it is first seen."""
        states = self._table["state"].copy()
        for place in np.flatnonzero(states != ClipState.FREE):
            row = self._table[place].copy()
            handle = (int(row["generation"]) << PLACE_BITS) | int(place)
            if handle in self.log.clips:
                continue
            if handle not in self._open:
                try:
                    self._open[handle] = Segment.open(row["segment"].decode()), row
                except (Unavailable, OSError):
                    continue
            if int(row["state"]) != ClipState.FILLING:
                self._keep(handle, row)
        for handle in [h for h in self._open if (int(self._table[h & 0xFFFF]["generation"]) != h >> PLACE_BITS)]:
            self._keep(handle, self._open[handle][1])

    def _keep(self, handle: int, row: np.void) -> None:
        segment, _ = self._open.pop(handle)
        frames = int(row["frames"])
        audio = segment.view(np.float32, frames * 2).reshape(frames, 2)
        audio = self._audio.setdefault(hashlib.blake2b(np.ascontiguousarray(audio)).digest(), audio.copy())
        self.log.clips[handle] = LoadedClip(audio, float(row["bpm"]), float(row["beats"]), float(row["gain"]))
        segment.close()

    def _look_at_processes(self) -> None:
        overruns, self._overruns = self._overruns, self._overruns_now()
        if self._overruns != overruns:
            self.log.overruns.append(time.monotonic_ns())
        for name in layout.PROCESSES:
            row = self._box.process(name)
            pid, role = int(row["pid"]), int(row["role"])
            last = next((c for c in reversed(self.log.changes) if c.process == name), None)
            if last is None or (last.pid, last.role) != (pid, role):
                self.log.changes.append(Change(time.monotonic_ns(), name, pid, role))
