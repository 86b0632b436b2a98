# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders what was written down, off line and in a stream: the master at any frame, as far as the last few seconds are kept."""

from __future__ import annotations

import numpy as np

from appliance.bus.clips import PLACE_BITS
from appliance.bus.commands import Code, Source
from appliance.bus.events import Kind
from appliance.engine.backends.offline import OfflineEngine
from tests.soak.watcher import LAUNCH, Log, Snapshot, grid_place

KEPT_FRAMES = 1 << 18
BLOCK_FRAMES = 1024
EVENTS_A_BLOCK = 200
_DERIVED = (int(Source.ENGINE), int(Source.SCHEDULE))
"""What the engine did by itself it does again."""


class Replay:
    """Begins at the log's first snapshot."""

    def __init__(self, log: Log, rate: float = 48000.0) -> None:
        self.log = log
        self.rate = rate
        self.problems: list[str] = []
        self._events = log.all_events
        self._kept = np.zeros((KEPT_FRAMES, 2), np.float32)
        self._whose = np.full(KEPT_FRAMES, -1, np.int64)
        self.resume(log.snapshots[0])

    @property
    def frame(self) -> int:
        return self._frame

    def resume(self, snapshot: Snapshot) -> None:
        """Go on from a state that was written down."""
        self.engine = OfflineEngine(self.rate)
        self._clips: set[int] = set()
        for handle in self._handles_in(snapshot):
            self._load(handle)
        self.engine.resume(snapshot.state)
        self.engine.record["scene"][0] = snapshot.scenes
        self._frame = snapshot.frame
        self._next = int(np.searchsorted(self._events["frame"], snapshot.frame, "left"))

    def _handles_in(self, snapshot: Snapshot) -> list[int]:
        probe = OfflineEngine(self.rate)
        probe.resume(snapshot.state)
        state = probe.record["slot"][0, 0]
        found: set[int] = set()
        for part in ("deck", "pad"):
            for clips in (state[part]["clip"], state[part]["main"]["clip"], state[part]["tail"]["clip"]):
                found |= {int(handle) for handle in clips.ravel() if handle}
        return sorted(found)

    def _load(self, handle: int) -> None:
        if handle in self._clips or not handle:
            return
        clip = self.log.clips.get(handle)
        if clip is None:
            self.problems.append(f"clip {handle >> PLACE_BITS}/{handle & 0xFFFF} was not seen in time; it is silent here")
            return
        self._clips.add(handle)
        self.engine.load(clip.audio, bpm=clip.bpm, beats=clip.beats, gain=clip.gain, handle=handle)

    def at(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The master at these frames, and which of them are known (what was jumped over was never made)."""
        if len(frames):
            self._render_up_to(int(frames.max()) + 1)
        place = frames & (KEPT_FRAMES - 1)
        return self._kept[place], self._whose[place] == frames

    def find(self, piece: np.ndarray, before: int) -> int | None:
        """The last frame up to ``before`` from which on the master was exactly ``piece``; None where there is none."""
        candidates = self._whose[(self._kept == piece[0]).all(axis=1)]
        for frame in sorted(candidates[(candidates >= 0) & (candidates <= before)].tolist(), reverse=True)[:50]:
            sound, known = self.at(frame + np.arange(len(piece)))
            if known.all() and np.array_equal(sound, piece):
                return frame
        return None

    def _render_up_to(self, end: int) -> None:
        end = min(end, self.log.last_frame)
        while self._frame < end:
            count = self._feed(min(BLOCK_FRAMES, max(end - self._frame, 64)))
            sound = self.engine.run(count, count)[:, :2]
            frames = self._frame + np.arange(count)
            self._kept[frames & (KEPT_FRAMES - 1)] = sound
            self._whose[frames & (KEPT_FRAMES - 1)] = frames
            self._frame += count

    def _feed(self, count: int) -> int:
        """Send the events of the coming block; returns how long it may be, so that it takes them all."""
        sent = 0
        while self._next < len(self._events):
            event = self._events[self._next]
            kind, frame = int(event["kind"]) & 0xFF, int(event["frame"])
            if frame >= self._frame + count:
                break
            if frame > self._frame and (sent >= EVENTS_A_BLOCK or self._cuts(event)):
                return frame - self._frame
            if kind == Kind.JUMP:
                self.engine.commands.send(Code.SKIP, 0, float(event["a"]))
                self._frame += int(event["a"])
            else:
                self._send(event, kind, frame)
            sent += 1
            self._next += 1
        return count

    @staticmethod
    def _cuts(event: np.void) -> bool:
        """A jump, and a launch of a scene (its table is not a command), are at the beginning of a block."""
        return int(event["kind"]) & 0xFF == Kind.JUMP or int(event["kind"]) == int(Kind.COMMAND) | (LAUNCH << 8)

    def _send(self, event: np.void, kind: int, frame: int) -> None:
        send, index, source = self.engine.commands.send, int(event["index"]), int(event["source"])
        a, b, c = float(event["a"]), float(event["b"]), float(event["c"])
        if kind == Kind.VALUE and source not in _DERIVED:
            send(Code.SET, index, a, frame=frame)
        elif kind == Kind.COMMAND and source not in _DERIVED:
            code = int(event["kind"]) >> 8
            if code in (Code.LOAD_DECK, Code.LOAD_PAD):
                self._load(int(a))
            if self._next in self.log.grids:
                self.engine.record["grid"][0, grid_place(event)] = self.log.grids[self._next]
            if code == LAUNCH and self._next in self.log.scenes:
                self.engine.record["scene"][0] = self.log.scenes[self._next]
            if code != Code.SKIP:
                send(code, index, a, b, c, frame=frame)
