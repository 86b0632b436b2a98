# SPDX-License-Identifier: GPL-3.0-or-later
"""Why was it disturbed? A fault that was injected and may be heard, cycles that the machine lost, a jump that the engine
announced; anything else is unexplained."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from appliance.bus.commands import Source
from appliance.bus.events import Kind
from appliance.nodes import NAMESPACE
from tests.soak.faults import Injected
from tests.soak.stalls import SHORT_FRAMES, frames_lost, share_still
from tests.soak.verify import Disturbance, Verdict
from tests.soak.watcher import Log

BEFORE_NS, AFTER_NS = 20_000_000, 400_000_000
"""A fault's window is longer than the fault: JACK plays a dead client's last block for some 50 ms, and a server is heard
late."""
MACHINE_NS = 30_000_000
STILL_BEFORE_NS = 10_000_000_000
"""Processes that were started while the machine stood still are late long after."""
NEAR_FRAMES = 2048
WRITTEN_NS = 200_000_000
"""A note is written down so long after it was played."""
UNEXPLAINED = "nothing that is known"


def jumps(log: Log) -> list[tuple[int, int]]:
    """``(frame, frames)`` of what the engine says it jumped over."""
    events = log.all_events
    found = events[(events["kind"] & 0xFF) == int(Kind.JUMP)]
    return [(int(event["frame"]), int(event["a"])) for event in found]


def explain(verdict: Verdict, faults: list[Injected], log: Log, xruns: list[int], stalls: np.ndarray) -> None:
    """``xruns``: when the server complained; ``stalls``: when cores stood still (stalls.py); all in monotonic ns. Fill in
    ``cause`` and ``explained`` of every disturbance, and how much each fault was heard."""
    jumped, lost_s = jumps(log), _lost_by_machine(verdict, stalls)
    for one in faults:
        one.still = share_still(one.began_ns - STILL_BEFORE_NS, max(one.ended_ns, one.heard_until_ns), stalls)
    for one in verdict.disturbances:
        fault = next((f for f in faults if f.audible and _overlap(one, f.began_ns - BEFORE_NS, _heard_until_ns(f))), None)
        machine = _is_machines(one, lost_s)
        if fault is not None and (fault.grid_may_move or not one.grid_error):
            one.cause, one.explained = fault.name, True
            fault.heard_frames += one.frames
            fault.excused_frames += frames_lost(one.began_ns, one.ended_ns, lost_s)
            if fault.hot and not machine and (one.silent or one.mixed or one.partial_blocks):
                fault.unclean.append(f"silent {one.silent}, mixed {one.mixed} frames, {one.partial_blocks} parts of blocks")
        elif one.grid_error and abs(one.grid_error) <= frames_lost(one.began_ns, one.ended_ns, lost_s):
            one.cause, one.explained = "the machine stood still, and the server's time with it", True
        elif one.grid_error:
            one.cause = f"the grid has moved by {-one.grid_error} frames against the server's time"
            one.cause += f", in {fault.name!r}" if fault else ""
        elif machine:
            one.cause, one.explained = "the machine stood still", True
        elif jump := next(((at, count) for at, count in jumped
                           if at - NEAR_FRAMES <= one.frame + one.frames and one.frame <= at + count + NEAR_FRAMES), None):
            one.cause, one.explained = f"a jump of {jump[1]} frames that the engine announced", True
        elif one.frames <= SHORT_FRAMES and _near(one, xruns) and not _near(one, log.overruns):
            one.cause, one.explained = "the engine was late though its block cost less than a period", True
        else:
            during = next((f for f in faults if _overlap(one, f.began_ns - BEFORE_NS, f.ended_ns + AFTER_NS)), None)
            one.cause = f"{UNEXPLAINED}, during {during.name!r}, which must not be heard" if during else UNEXPLAINED


def _lost_by_machine(verdict: Verdict, stalls: np.ndarray) -> np.ndarray:
    """Rows of begin, end (monotonic ns) in which a core stood still, or the recorder, which needs nothing of the box, lost
    cycles or was kept waiting."""
    gaps = [(gap.monotonic_ns - int(abs(gap.frames) / 48e-6), gap.monotonic_ns) for gap in verdict.gaps]
    late = [(when - int(late_ms * 1e6), when) for when, late_ms in verdict.late]
    return np.array([*gaps, *late, *stalls.tolist()], np.int64).reshape(-1, 2)


def _is_machines(one: Disturbance, lost: np.ndarray) -> bool:
    """Something was lost just before it, and it is not much longer than that."""
    return 0 < one.frames <= frames_lost(one.began_ns, one.ended_ns, lost)


def _heard_until_ns(fault: Injected) -> int:
    return (fault.heard_until_ns or fault.ended_ns) + AFTER_NS


def _overlap(one: Disturbance, began_ns: int, ended_ns: int) -> bool:
    return one.began_ns <= ended_ns and began_ns <= one.ended_ns


def _near(one: Disturbance, times_ns: list[int]) -> bool:
    at = np.searchsorted(times_ns, one.began_ns - MACHINE_NS)
    return bool(at < len(times_ns) and times_ns[at] <= one.ended_ns + MACHINE_NS)


@dataclass
class Notes:
    """Notes that were played over JACK MIDI. ``lost``: sent while the engine played and never seen by it."""

    sent: int = 0
    obeyed: int = 0
    moved: int = 0
    lost_in_faults: int = 0
    lost_by_machine: int = 0
    lost: list[str] = field(default_factory=list)


def count_notes(path: Path, log: Log, verdict: Verdict, faults: list[Injected], xruns: list[int]) -> Notes:
    """Every note has a frame of the server's time; the engine says at which of its frames it obeyed it."""
    notes, events = Notes(), log.all_events
    trigger = int(NAMESPACE.command("pad", "trigger"))
    kinds, codes = events["kind"] & 0xFF, events["kind"] >> 8
    answers = np.isin(kinds, (int(Kind.COMMAND), int(Kind.REFUSED)))
    ours = events[answers & (codes == trigger) & (events["source"] == int(Source.MIDI))]
    seen: dict[int, int] = {}
    for frame in ours["frame"].tolist():
        seen[frame] = seen.get(frame, 0) + 1
    offsets = {anchor.offset for anchor in log.anchors}
    machine = sorted([gap.monotonic_ns for gap in verdict.gaps] + [when for when, _ in verdict.late] + xruns)
    low = {frame & 0xFFFFFFFF: frame for frame in seen}
    rows = [tuple(map(int, line.split())) for line in path.read_text().splitlines() if not line.startswith("#")]
    first_ns, last_ns = log.snapshots[0].monotonic_ns + WRITTEN_NS, log.ended_ns
    for _, when, pad, written_ns in rows:
        if not first_ns < written_ns < last_ns:
            continue
        notes.sent += 1
        if any(((when + offset) & 0xFFFFFFFF) in low for offset in offsets):
            notes.obeyed += 1
        elif any(f.began_ns - BEFORE_NS <= written_ns <= f.ended_ns + AFTER_NS and f.allowed_s for f in faults):
            notes.lost_in_faults += 1
        elif any(abs(m - written_ns) < 2.5e8 for m in machine[max(int(np.searchsorted(machine, written_ns - 2.5e8)), 0) :][:1]):
            notes.lost_by_machine += 1
        else:
            notes.lost.append(f"pad {pad + 1} at frame time {when}")
    return notes
