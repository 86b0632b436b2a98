# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares what was heard with what the recorded events give off line, frame by frame and to the bit, in a stream.

Every run of frames that differ is a disturbance. Its kind is read off the sound; its cause is looked up elsewhere (causes.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tests.soak.recorder import Recording
from tests.soak.replay import Replay
from tests.soak.timeline import Timeline, overtaken, timeline
from tests.soak.watcher import Anchor, Log

CHUNK_CYCLES = 64
JOIN_FRAMES = 512
"""Disturbances that are closer are one."""
CLICK_FRAMES = 8
PROBE_FRAMES = 24
LOST_S = 2.0
"""When nothing fits for so long, the comparison begins anew from the next state that was written down."""
KINDS = ("silent", "repeated", "displaced", "mixed", "other")


@dataclass
class Disturbance:
    """``frame`` is the engine's, ``at_s`` counts from the recording's beginning; the kinds are counts of frames. ``moved``:
    by how many frames displaced music stands too late (negative: too early). ``began_ns``, ``ended_ns``: monotonic time at
    which it was heard."""

    frame: int
    at_s: float
    began_ns: int
    ended_ns: int
    frames: int = 0
    silent: int = 0
    repeated: int = 0
    displaced: int = 0
    mixed: int = 0
    other: int = 0
    partial_blocks: int = 0
    unrendered: int = 0
    moved: int = 0
    grid_error: int = 0
    """From then on all stands that many frames later (negative: earlier) against the server's time."""
    deviation: float = 0.0
    diverged: bool = False
    """Nothing fitted any more: from its end on the comparison started anew from the engine's own state."""
    cause: str = ""
    explained: bool = False

    @property
    def kind(self) -> str:
        if self.diverged:
            return "diverged"
        if self.frames <= CLICK_FRAMES:
            return "click"
        name = max(KINDS, key=lambda kind: getattr(self, kind))
        return "partial" if name == "other" and self.partial_blocks and not self.other > self.frames // 2 else name


@dataclass
class Gap:
    """Cycles that the server or the recorder lost: of these ``frames`` nothing can be said."""

    monotonic_ns: int
    frames: int


@dataclass
class Verdict:
    """``compared``: frames that were; ``gaps`` and ``late`` (monotonic ns, ms): what the machine did to us."""

    compared: int = 0
    blank: int = 0
    """Of them, frames in which nothing should be heard: whatever is wrong there cannot be seen."""
    recorded: int = 0
    recordings: int = 0
    gaps: list[Gap] = field(default_factory=list)
    late: list[tuple[int, float]] = field(default_factory=list)
    overtaken: int = 0
    """Cycles in which the box was quicker than the loopback driver (see timeline.py)."""
    disturbances: list[Disturbance] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    silences_between: list[tuple[int, float]] = field(default_factory=list)
    """Monotonic ns and seconds between two lives of the server in which nothing was recorded."""

    def total(self, name: str) -> int:
        return sum(getattr(one, name) for one in self.disturbances)


LATE_SHARE = 0.75
"""A callback that begins later than this share of a period after it was due was kept waiting by the machine."""


class Verifier:
    """Feed it recordings in their order; ``verdict`` is complete after the last."""

    def __init__(self, log: Log, rate: float = 48000.0) -> None:
        self.log = log
        self.rate = rate
        self.replay = Replay(log, rate)
        self.verdict = Verdict()
        self._open: Disturbance | None = None
        self._last_bad = 0
        self._last_good_ns = 0
        self._first_ns = 0
        self._started = self._placed = False

    def judge(self, recordings: list[Recording]) -> Verdict:
        verdict = self.verdict
        for number, recording in enumerate(recordings):
            if number:
                before = recordings[number - 1].ended_ns
                verdict.silences_between.append((before, (recording.began_ns - before) / 1e9))
            self._first_ns = self._first_ns or recording.began_ns
            verdict.recordings += 1
            self._judge_one(recording)
        if self.log.lost:
            verdict.problems.append(f"{self.log.lost} events of the engine were not seen in time")
        verdict.problems += sorted(set(self.log.problems)) + sorted(set(self.replay.problems))
        return verdict

    def _judge_one(self, recording: Recording) -> None:
        line = timeline(recording.cycles)
        self._note_machine(recording, line)
        self.verdict.recorded += int(line.frames.sum())
        offsets = self._offsets(recording)
        if not offsets:
            second = self._second(recording.began_ns)
            self.verdict.problems.append(f"no engine was seen during the recording that begins at {second:.1f} s")
            return
        offset, self._placed = offsets[0], False
        for first in range(0, len(line), CHUNK_CYCLES):
            rows = slice(first, min(first + CHUNK_CYCLES, len(line)))
            offset = self._judge_chunk(recording, line, rows, offset, offsets)
        self._close()

    def _second(self, monotonic_ns: int) -> float:
        return (monotonic_ns - self._first_ns) / 1e9

    def _note_machine(self, recording: Recording, line: Timeline) -> None:
        for k in np.flatnonzero(line.gaps):
            self.verdict.gaps.append(Gap(int(recording.cycles[k, 2]), int(line.gaps[k])))
        due_ns = recording.cycles[:-1, 2] + line.frames[:-1] * 1e9 / self.rate
        late = recording.cycles[1:, 2] - due_ns
        for k in np.flatnonzero(late > LATE_SHARE * line.frames[:-1] * 1e9 / self.rate):
            self.verdict.late.append((int(recording.cycles[k + 1, 2]), float(late[k]) / 1e6))

    def _offsets(self, recording: Recording) -> list[int]:
        """What may stand between the server's time and the engine's frames in this recording, in the order in which it was
        seen."""
        anchors = self.log.anchors
        if any(anchor.server > 0 for anchor in anchors):  # else it plays by the clock
            anchors = [anchor for anchor in anchors if anchor.server > 0]
        inside: list[Anchor] = [a for a in anchors if recording.began_ns - 5e7 <= a.monotonic_ns <= recording.ended_ns + 5e7]
        before = [a for a in anchors if a.monotonic_ns < recording.began_ns - 5e7]
        found = ([before[-1]] if before else []) + inside
        base = int(recording.cycles[0, 0])
        offsets: list[int] = []
        for anchor in found:
            # both counters are known modulo 2^32 only: the engine's frame tells which turn it is
            offset = anchor.offset
            turn = round((anchor.frame - (base + offset)) / (1 << 32))
            offsets.append(offset + turn * (1 << 32))
        return list(dict.fromkeys(offsets))

    # -- a piece

    def _judge_chunk(self, recording: Recording, line: Timeline, rows: slice, offset: int, offsets: list[int]) -> int:
        starts = self._starts(recording, line, rows, offset)
        heard, wanted, known = self._pieces(recording, line, rows, starts, offset)
        bad = ((heard != wanted).any(axis=1) | ~known) & self._judged(line, rows, starts + offset)
        bad = self._without_overtaken(line, rows, starts + offset, offset, heard, bad)
        if bad.mean() > 0.9:
            for other in offsets:
                if other != offset and self._fits(recording, line, rows, other):
                    if self._placed:  # else this is the first that is heard on a new server, which counts anew
                        self._begin_or_go_on(rows.start, 0, recording, line, starts, offset).grid_error += offset - other
                    return self._judge_chunk(recording, line, rows, other, offsets)
        self.verdict.compared += int(known.sum())
        self.verdict.blank += int((known & (wanted == 0).all(axis=1)).sum())
        self._placed = self._placed or bad.mean() < 0.1
        if bad.any():
            self._find_runs(recording, line, rows, starts, offset, heard, wanted, known, bad)
        else:
            self._last_good_ns = int(recording.cycles[rows.stop - 1, 2])
        self._close_if_over(recording, line, rows)
        self._begin_anew_if_lost(recording, line, rows, starts, offset)
        return offset

    def _starts(self, recording: Recording, line: Timeline, rows: slice, offset: int) -> np.ndarray:
        """The server's time of each cycle's sound; after a gap, the one of two at which it is right."""
        starts = line.starts[rows].copy()
        for k in np.flatnonzero(line.starts[rows] != line.others[rows]):
            row = rows.start + int(k)
            sound = recording.sound[line.at[row] : line.at[row] + line.frames[row]]
            frames = np.arange(line.frames[row])
            good = [np.count_nonzero((self.replay.at(start + offset + frames)[0] == sound).all(axis=1))
                    for start in (int(line.starts[row]), int(line.others[row]))]
            starts[k] = line.others[row] if good[1] > good[0] else line.starts[row]
        return starts

    def _pieces(self, recording: Recording, line: Timeline, rows: slice, starts: np.ndarray,
                offset: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        counts = line.frames[rows]
        begin = int(line.at[rows.start])
        heard = np.asarray(recording.sound[begin : begin + int(counts.sum())])
        within = np.arange(len(heard)) - np.repeat(line.at[rows] - begin, counts)
        wanted, known = self.replay.at(np.repeat(starts + offset, counts) + within)
        return heard, wanted, known

    def _without_overtaken(self, line: Timeline, rows: slice, starts: np.ndarray, offset: int, heard: np.ndarray,
                           bad: np.ndarray) -> np.ndarray:
        if not bad.any():
            return bad
        counts = line.frames[rows]
        cycle = np.repeat(np.arange(len(counts)), counts)
        within = np.arange(len(heard)) - np.repeat(line.at[rows] - line.at[rows.start], counts)
        wanted, known = self.replay.at(line.times[rows][cycle] + offset + within)
        on_time, _ = self.replay.at(np.repeat(starts, counts) + within)
        wrong = bad & (((heard != wanted) & (heard != on_time)).any(axis=1) | ~known)
        quick = overtaken(np.bincount(cycle, weights=bad, minlength=len(counts)) > 0,
                          np.bincount(cycle, weights=wrong, minlength=len(counts)) == 0)
        self.verdict.overtaken += int(quick.sum())
        return bad & ~quick[cycle]

    def _judged(self, line: Timeline, rows: slice, starts: np.ndarray) -> np.ndarray:
        """What was recorded before the first and after the last look at the engine is not judged."""
        first, last = self.log.snapshots[0], self.log.last_frame
        if self._started:
            return np.repeat(starts < last - line.frames[rows], line.frames[rows])
        inside = starts >= first.frame
        self._started = bool(inside.all())
        return np.repeat(inside, line.frames[rows])

    def _fits(self, recording: Recording, line: Timeline, rows: slice, offset: int) -> bool:
        heard, wanted, known = self._pieces(recording, line, rows, line.starts[rows], offset)
        return bool(((heard == wanted).all(axis=1) & known).mean() > 0.5)

    def _find_runs(self, recording: Recording, line: Timeline, rows: slice, starts: np.ndarray, offset: int, heard: np.ndarray,
                   wanted: np.ndarray, known: np.ndarray, bad: np.ndarray) -> None:
        begin = int(line.at[rows.start])
        for k in range(rows.stop - rows.start):
            row = rows.start + k
            at, count = int(line.at[row]) - begin, int(line.frames[row])
            wrong = bad[at : at + count]
            if not wrong.any():
                self._last_good_ns = int(recording.cycles[row, 2])
                continue
            piece = slice(at, at + count)
            one = self._begin_or_go_on(row, int(np.argmax(wrong)), recording, line, starts, offset, k)
            before = recording.sound[int(line.at[row - 1]) : int(line.at[row])] if row else np.zeros((0, 2), np.float32)
            self._classify(one, heard[piece], wanted[piece], known[piece], wrong, before, int(starts[k]) + offset)
            one.ended_ns = int(recording.cycles[row, 2])
            self._last_bad = int(line.at[row]) + int(np.flatnonzero(wrong)[-1])

    def _begin_or_go_on(self, row: int, within: int, recording: Recording, line: Timeline, starts: np.ndarray, offset: int,
                        k: int = 0) -> Disturbance:
        where = int(line.at[row]) + within
        if self._open is not None and where - self._last_bad > JOIN_FRAMES:
            self._close()
        if self._open is None:
            heard_ns = int(recording.cycles[row, 2])
            self._open = Disturbance(int(starts[k]) + offset + within, self._second(heard_ns), heard_ns, heard_ns)
            self._last_bad = where
        return self._open

    def _classify(self, one: Disturbance, heard: np.ndarray, wanted: np.ndarray, known: np.ndarray, wrong: np.ndarray,
                  before: np.ndarray, frame: int) -> None:
        one.frames += int(wrong.sum())
        one.unrendered += int((wrong & ~known).sum())
        one.partial_blocks += bool(wrong.sum() < len(wrong))
        left = wrong.copy()
        silent = left & (heard == 0).all(axis=1)
        one.silent += int(silent.sum())
        left &= ~silent
        if len(before) == len(heard):
            again = left & (heard == before).all(axis=1)
            one.repeated += int(again.sum())
            left &= ~again
            mixed = left & known & (np.abs(heard - wanted - before) < 1e-5).all(axis=1)
            one.mixed += int(mixed.sum())
            left &= ~mixed
        first = int(np.argmax(left)) if left.any() else len(left)
        if left[first : first + PROBE_FRAMES].sum() == PROBE_FRAMES and one.frames < LOST_S * self.rate:
            found = self.replay.find(np.ascontiguousarray(heard[first : first + PROBE_FRAMES]), frame + len(heard))
            if found is not None:
                one.displaced += int(left.sum())
                one.moved = frame + first - found
                left[:] = False
        one.other += int(left.sum())
        if (wrong & known).any():
            one.deviation = max(one.deviation, float(np.abs(heard - wanted)[wrong & known].max()))

    def _close_if_over(self, recording: Recording, line: Timeline, rows: slice) -> None:
        end = int(line.at[rows.stop - 1] + line.frames[rows.stop - 1])
        if self._open is not None and end - self._last_bad > JOIN_FRAMES:
            self._close()

    def _close(self) -> None:
        if self._open is not None:
            self.verdict.disturbances.append(self._open)
            self._open = None

    def _begin_anew_if_lost(self, recording: Recording, line: Timeline, rows: slice, starts: np.ndarray, offset: int) -> None:
        one = self._open
        if one is None or one.other + one.mixed + one.displaced < LOST_S * self.rate:
            return
        frame = int(starts[-1]) + offset
        later = [snapshot for snapshot in self.log.snapshots if snapshot.frame > max(frame, self.replay.frame)]
        if later and later[0].frame - frame < 0.5 * self.rate:
            one.diverged = True
            self.replay.resume(later[0])


def verify(recordings: list[Recording], log: Log, rate: float = 48000.0) -> Verdict:
    return Verifier(log, rate).judge(recordings)
