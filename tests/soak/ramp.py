# SPDX-License-Identifier: GPL-3.0-or-later
"""The simple judge: the box plays a clip of which every frame is a number of its own, so every recorded frame names itself.

Nothing is rendered and nothing is known of the engine: a frame that was heard is where it belongs, or it is silent, or it is an
older one again (repeated), or it stands elsewhere (displaced), or it is no frame of the clip at all (mixed).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tests.soak.timeline import LOOPBACK_CYCLES, overtaken, timeline

LONGEST_REPEAT_FRAMES = 48000
"""An older frame than that counts as displaced."""
JOIN_FRAMES = 256
"""Two disturbances that are closer are one."""
SETTLED_FRAMES = 4096
"""What stands elsewhere for so long has moved for good: an error of the grid."""


@dataclass
class Fault:
    """One disturbance. ``time`` is the frame time at which its first frame was due; all counts are frames but
    ``partial_blocks``: cycles in which some frames are as they should be, or of another kind than the rest."""

    time: int
    frames: int
    silent: int = 0
    repeated: int = 0
    displaced: int = 0
    mixed: int = 0
    partial_blocks: int = 0
    grid_error: int = 0


@dataclass
class Findings:
    """``faults`` in their order; ``judged``: frames that were looked at; ``unrecorded``: frames that the server or the
    recorder lost, of which nothing can be said; ``lost`` is music that was not heard at its place, whatever was heard
    instead."""

    judged: int = 0
    unrecorded: int = 0
    overtaken: int = 0
    """Cycles in which the box was quicker than the loopback driver (see timeline.py)."""
    gaps: list[tuple[int, int]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def total(self, name: str) -> int:
        return sum(getattr(fault, name) for fault in self.faults)

    @property
    def silent(self) -> int:
        return self.total("silent")

    @property
    def repeated(self) -> int:
        return self.total("repeated")

    @property
    def displaced(self) -> int:
        return self.total("displaced")

    @property
    def mixed(self) -> int:
        return self.total("mixed")

    @property
    def partial_blocks(self) -> int:
        return self.total("partial_blocks")

    @property
    def lost(self) -> int:
        return self.silent + self.repeated + self.displaced + self.mixed

    @property
    def grid_error(self) -> int:
        return self.total("grid_error")

    def near_gap(self, fault: Fault, frames: int = 1024) -> bool:
        """Whether cycles were lost by the server or the recorder next to it: then it is not (only) the box's doing."""
        begin, end = fault.time - frames, fault.time + fault.frames + frames
        return any(begin <= time + lost and time <= end for time, lost in self.gaps)

    def __str__(self) -> str:
        return (f"{len(self.faults)} disturbances: silent {self.silent}, repeated {self.repeated}, displaced {self.displaced}, "
                f"mixed {self.mixed}, partial blocks {self.partial_blocks}, grid error {self.grid_error}, "
                f"unrecorded {self.unrecorded} of {self.judged}")


def ramp_clip(frames: int, scale: int = 1 << 20) -> np.ndarray:
    """Frame n is (n + 1) / scale on the left and its negative on the right. Below the limiter's ceiling, and exact in
    float32, up to 0.96 × ``scale`` frames; ``scale`` up to 1 << 24 (335 s)."""
    values = (np.arange(frames) + 1) / scale
    return np.stack([values, -values], 1).astype(np.float32)


def judge_ramp(recording: np.ndarray, times: np.ndarray, clip_frames: int, *, scale: int = 1 << 20,
               late_cycles: int = LOOPBACK_CYCLES) -> Findings:
    """``recording``: the cycles one after the other, frames × 2 or frames; ``times``: frame time and length of each. The
    clip is a loop of ``clip_frames`` at its own speed (for one that is played once: longer than the recording). What is
    heard first counts as right; begin the recording a moment after the clip's start."""
    line = timeline(times, late_cycles)
    sound = np.asarray(recording, np.float64).reshape(len(recording), -1)[: int(line.frames.sum())]
    index = np.round(sound[:, 0] * scale).astype(np.int64) - 1
    named = (sound[:, 0] * scale == index + 1) & (index >= 0) & (index < clip_frames)
    silent = sound[:, 0] == 0.0
    if sound.shape[1] > 1:
        named &= sound[:, 1] == -sound[:, 0]
        silent &= sound[:, 1] == 0.0
    cycle = np.repeat(np.arange(len(line)), line.frames)
    within = np.arange(len(sound)) - line.at[cycle]
    when, other = line.starts[cycle] + within, line.others[cycle] + within
    place = np.where(named, (index - when) % clip_frames, -1)
    offset = _most_common(place[: SETTLED_FRAMES * 12])
    when = _choose(line, cycle, place, offset, when, other)
    place = _coherent(np.where(named, (index - when) % clip_frames, -1))
    found = Findings(judged=len(sound), unrecorded=int(line.gaps[line.gaps > 0].sum()),
                     gaps=[(int(line.times[k] - line.gaps[k]), int(line.gaps[k])) for k in np.flatnonzero(line.gaps)])
    if late_cycles:
        early = np.ones(len(sound), bool)
        for column, sign in zip(sound.T, (scale, -scale), strict=False):  # the two sides are copied one after the other
            early &= (((when + offset) % clip_frames + 1 == column * sign)
                      | ((line.times[cycle] + within + offset) % clip_frames + 1 == column * sign))
        wrong = place != offset
        bad = np.bincount(cycle, weights=wrong, minlength=len(line)) > 0
        quick = overtaken(bad, np.bincount(cycle, weights=wrong & ~early, minlength=len(line)) == 0)
        found.overtaken = int(quick.sum())
        place = np.where(quick[cycle], offset, place)
    return _collect(found, place, offset, silent, when, cycle, clip_frames)


def _coherent(place: np.ndarray) -> np.ndarray:
    """The sum of two frames may have the number of a third; but then the one after it does not follow."""
    follows = place[1:] == place[:-1]
    alone = ~(np.append(follows, False) | np.append(False, follows))
    return np.where(alone, -1, place)


def _most_common(place: np.ndarray) -> int:
    values, counts = np.unique(place[place >= 0], return_counts=True)
    if not len(values):
        raise AssertionError("the ramp is not heard at the beginning of the recording")
    return int(values[np.argmax(counts)])


def _choose(line, cycle, place, offset, when, other) -> np.ndarray:
    """After a gap: the sound of a cycle belongs to the frame time at which it is right, if there is one."""
    ambiguous = line.starts != line.others
    if not ambiguous.any():
        return when
    fits = np.bincount(cycle, weights=place == offset, minlength=len(line)) > 0
    take_other = ambiguous & ~fits
    return np.where(take_other[cycle], other, when)


def _collect(found: Findings, place: np.ndarray, offset: int, silent: np.ndarray, when: np.ndarray, cycle: np.ndarray,
             clip_frames: int) -> Findings:
    start, frames = 0, len(place)
    while start < frames:
        wrong = place[start:] != offset
        first = int(np.argmax(wrong)) if wrong.any() else -1
        if first < 0:
            break
        first += start
        end, moved = _end_of(place, first, offset)
        found.faults.append(_describe(place[first:end], offset, silent[first:end], when, cycle, first, end, clip_frames))
        if moved >= 0:
            error = (moved - offset) % clip_frames
            found.faults[-1].grid_error = error if error <= clip_frames // 2 else error - clip_frames
            offset = moved
        start = end
    return found


def _end_of(place: np.ndarray, first: int, offset: int) -> tuple[int, int]:
    """Where the disturbance that begins at ``first`` is over, and the place where everything stands from then on (-1: where
    it did)."""
    at = first
    while at < len(place):
        changes = np.flatnonzero(place[at:] != place[at])
        run_end = at + int(changes[0]) if len(changes) else len(place)
        length = run_end - at
        if place[at] == offset and (length >= JOIN_FRAMES or run_end == len(place)):
            return at, -1
        if place[at] >= 0 and place[at] != offset and length >= SETTLED_FRAMES:
            return at, int(place[at])
        at = run_end
    return len(place), -1


def _describe(place: np.ndarray, offset: int, silent: np.ndarray, when: np.ndarray, cycle: np.ndarray, first: int, end: int,
              clip_frames: int) -> Fault:
    late = (offset - place) % clip_frames
    right = place == offset
    named = (place >= 0) & ~right
    repeated = named & (late <= LONGEST_REPEAT_FRAMES)
    kinds = np.select([right, silent, repeated, named], [0, 1, 2, 3], 4)
    whole = cycle[(cycle >= cycle[first]) & (cycle <= cycle[end - 1])]
    sizes = np.bincount(whole - cycle[first])
    rows = cycle[first:end] - cycle[first]
    partial = sum(1 for row in np.unique(rows) if (rows == row).sum() != sizes[row] or len(np.unique(kinds[rows == row])) > 1)
    return Fault(time=int(when[first]), frames=end - first, silent=int((kinds == 1).sum()), repeated=int((kinds == 2).sum()),
                 displaced=int((kinds == 3).sum()), mixed=int((kinds == 4).sum()), partial_blocks=partial)
