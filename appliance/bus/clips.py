# SPDX-License-Identifier: GPL-3.0-or-later
"""Audio of loaded clips: one sealed, locked shared segment a clip, handed over by handle.

control fills a place of the table and writes the audio; every engine maps and locks it on a helper thread and says so in
``mapped``; only then is the handle given to a deck or pad. To unload, control marks the place RETIRING; the engine unmaps
when no voice of two later committed blocks reads it; control then removes the segment. A handle carries the place's
generation, so an old handle never means a new clip.

A clip that streams lies in a file on the disk instead (:mod:`appliance.bus.streamfile`); the engines lock only windows of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np

from appliance.bus import atomic, layout, wakeup
from appliance.bus.memory import PrivateSegment, Segment, memory_left_bytes, unlink
from appliance.bus.streamfile import StreamFile, is_stream, remove
from appliance.errors import Unavailable

FRAME_BYTES = 8
PLACE_BITS = 16
KEEP_MEMORY_BYTES = 64_000_000
"""Memory of the machine that clips leave alone: rather a clip refused than a process killed."""


class ClipState(IntEnum):
    FREE = 0
    FILLING = 1  # the segment is there, ``readable`` grows
    READY = 2  # all frames are there
    RETIRING = 3


DOUBTFUL_S = 120.0
"""How old a clip may be to be suspected when an engine has crashed again and again."""


def handle_of(generation: int, place: int) -> int:
    return (generation << PLACE_BITS) | place


def doubtful(table: np.ndarray, safe: int, started_ns: int) -> frozenset[int]:
    """Handles of the clips that an engine in its safe form ``safe``, started at ``started_ns``, does without.

    1: those placed in the two minutes before it started; 2: all that were there.
    """
    if safe <= 0:
        return frozenset()
    placed_ns = table["placed_ns"]
    found = (table["state"] != ClipState.FREE) & (placed_ns <= started_ns)
    if safe == 1:
        found &= placed_ns >= started_ns - int(DOUBTFUL_S * 1e9)
    return frozenset(handle_of(int(table["generation"][place]), int(place)) for place in np.flatnonzero(found))


@dataclass
class Clip:
    """control's own view of a clip that it has placed. ``audio`` is frames × 2 float32; of a clip that streams, nothing."""

    place: int
    handle: int
    frames: int
    audio: np.ndarray
    segment: Segment | PrivateSegment | StreamFile

    @property
    def streams(self) -> bool:
        return isinstance(self.segment, StreamFile)


class Clips:
    """The filling end of the table (control, or the offline renderer with private memory)."""

    def __init__(self, segment: Segment | PrivateSegment, box_name: str, memory_mb: float = 4096) -> None:
        self.table = segment.view(layout.CLIP, layout.CLIPS, layout.offset("clip"))
        self._base = segment.address + layout.offset("clip")
        self._changes = segment.address + layout.offset("clip_changes")
        self._name = box_name
        self._private = isinstance(segment, PrivateSegment)
        self._budget_bytes = int(memory_mb * 1e6)
        self.held: dict[int, Clip] = {}

    def adopt(self) -> None:
        """After a restart of control: take over the clips that are in the table."""
        for place in range(1, layout.CLIPS):
            row = self.table[place]
            state = int(row["state"])
            if state == ClipState.FREE or place in self.held:
                continue
            name, frames = row["segment"].decode(), int(row["frames"])
            try:
                segment = StreamFile.open(name) if is_stream(name) else Segment.open(name)
            except Unavailable:
                self._store(place, "state", ClipState.RETIRING)
                continue
            self.held[place] = Clip(place, handle_of(int(row["generation"]), place), frames, _view(segment, frames), segment)

    @property
    def bytes_held(self) -> int:
        """Memory that clips have; those that stream have none."""
        return sum(clip.frames * FRAME_BYTES for clip in self.held.values() if not clip.streams)

    @property
    def bytes_on_disk(self) -> int:
        return sum(clip.segment.size for clip in self.held.values() if clip.streams)

    def place(self, frames: int, rate: float, *, bpm: float = 0.0, beats: float = 0.0, gain: float = 1.0,
              handle: int = 0, stream_in: Path | None = None) -> Clip:
        """Make room for ``frames`` × 2 float32; under a given ``handle`` in a block of one's own; with ``stream_in`` in a file
        in that folder.

        Raises :class:`Unavailable` when places, memory or the disk are short.
        """
        size = max(frames, 1) * FRAME_BYTES
        if stream_in is None:
            self._check_memory(size)
        places = (p for p in range(1, layout.CLIPS) if self.table[p]["state"] == ClipState.FREE)
        free = handle & ((1 << PLACE_BITS) - 1) or next(places, 0)
        if not free:
            raise Unavailable(f"{layout.CLIPS - 1} clips are loaded, that is all there is room for; clear pads")
        row = self.table[free]
        generation = handle >> PLACE_BITS if handle else int(row["generation"]) + 1
        name = f"{self._name}-{'stream' if stream_in else 'clip'}-{free}-{generation}"
        segment: Segment | PrivateSegment | StreamFile
        if stream_in is not None:
            segment = StreamFile.create(name, stream_in, frames)
        else:
            segment = PrivateSegment(size) if self._private else Segment.create(name, size)
        audio = _view(segment, frames)
        row["frames"], row["readable"], row["rate"] = frames, 0, rate
        row["bpm"], row["beats"], row["gain"], row["segment"] = bpm, beats, gain, name.encode()
        row["placed_ns"] = time.monotonic_ns()
        row["generation"] = generation
        self._store(free, "state", ClipState.FILLING)
        clip = Clip(free, handle_of(generation, free), frames, audio, segment)
        self.held[free] = clip
        return clip

    def _check_memory(self, size: int) -> None:
        if size > self._budget_bytes:
            raise Unavailable(
                f"the file is {size / 1e6:.0f} MB in memory and clips may have {self._budget_bytes / 1e6:.0f} MB in all; "
                "cut it, or raise engine.clip_memory_mb", status=413
            )
        if self.bytes_held + size > self._budget_bytes:
            raise Unavailable(
                f"the clip needs {size / 1e6:.0f} MB and {self.bytes_held / 1e6:.0f} of {self._budget_bytes / 1e6:.0f} MB "
                "are in use; clear pads or decks, or raise engine.clip_memory_mb"
            )
        if not self._private and (left := memory_left_bytes()) < size + KEEP_MEMORY_BYTES:
            raise Unavailable(f"the clip needs {size / 1e6:.0f} MB and the machine has {left / 1e6:.0f} MB of memory left, "
                              f"with {self.bytes_held / 1e6:.0f} MB of clips; clear pads or decks, or end other programs")

    def fill(self, clip: Clip, chunks: Iterable[np.ndarray], progress: Callable[[int], None] | None = None) -> int:
        """Write chunks (n × 2 float32) in a row; what is there may be played at once. Returns the frames that are there.

        What an earlier filling of the same clip has made readable stays so. Raises OSError when a clip that streams cannot be
        written; what is there up to then can be played after :meth:`finish`.
        """
        at = 0
        for chunk in chunks:
            count = min(len(chunk), clip.frames - at)
            if isinstance(clip.segment, StreamFile):
                clip.segment.write(at, chunk[:count])
            else:
                clip.audio[at : at + count] = chunk[:count]
            at += count
            if at > int(self.table[clip.place]["readable"]):
                self._store(clip.place, "readable", at)
            if progress:
                progress(at)
        return self.finish(clip)

    def finish(self, clip: Clip) -> int:
        """No more comes: the clip ends where its audio does. Returns its frames."""
        readable = int(self.table[clip.place]["readable"])
        if readable < clip.frames:
            self._store(clip.place, "frames", readable)
        self._store(clip.place, "state", ClipState.READY)
        return readable

    def mapped(self, clip: Clip, engines: Iterable[int] = (0,)) -> bool:
        """Whether the given engines have mapped and locked it."""
        generation = clip.handle >> PLACE_BITS
        return all(int(self.table[clip.place]["mapped"][engine]) == generation for engine in engines)

    def retire(self, handle: int) -> None:
        """No longer wanted: the engines let go of it when they have stopped reading it."""
        place = handle & ((1 << PLACE_BITS) - 1)
        if place in self.held and self.held[place].handle == handle:
            self._store(place, "state", ClipState.RETIRING)

    def collect(self, engines: Iterable[int] = (0,), heard: frozenset[int] = frozenset()) -> int:
        """Free the retired clips that none of the living engines maps any more and that are not in ``heard``: an engine that is
        yet to come goes on with those. Returns how many."""
        freed = 0
        for place, clip in list(self.held.items()):
            row = self.table[place]
            if row["state"] != ClipState.RETIRING or clip.handle in heard or any(int(row["mapped"][e]) for e in engines):
                continue
            del self.held[place]
            clip.audio = np.empty((0, 2), np.float32)
            clip.segment.close()
            (remove if clip.streams else unlink)(row["segment"].decode())
            row["segment"] = b""
            self._store(place, "state", ClipState.FREE)
            freed += 1
        return freed

    def _store(self, place: int, field: str, value: int) -> None:
        offset = (layout.CLIP.fields or {})[field][1]
        atomic.write(self._base + place * layout.CLIP.itemsize + offset, int(value))
        if field == "state":  # the engines look at the table when this has moved
            atomic.write(self._changes, int(atomic.read(self._changes)) + 1)
            wakeup.wake(self._changes)


def _view(segment: Segment | PrivateSegment | StreamFile, frames: int) -> np.ndarray:
    if isinstance(segment, StreamFile):
        return np.empty((0, 2), np.float32)
    return segment.view(np.float32, frames * 2).reshape(frames, 2)
