# SPDX-License-Identifier: GPL-3.0-or-later
"""What a soak found: as a tree for programs and as text for people."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.soak.causes import Notes
from tests.soak.faults import Injected
from tests.soak.memory import Growth, Sample
from tests.soak.script import Played
from tests.soak.verify import KINDS, Verdict

GROWTH_LIMIT_PCT = 2.0
GROWTH_FROM_MINUTES = 10.0
"""Of a shorter run the growth is shown and not judged."""
BLANK_SHARE = 0.02
STILL_SHARE = 0.05
"""Of a fault during which the cores stood still for longer nothing is known: it is not judged."""
MOST_UNJUDGED = 0.2
RATE = 48000


def _plain(tree: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in tree.items()}


def _wrong_with(fault: Injected) -> list[str]:
    """Why a fault was not survived as it should be; empty: it was."""
    name = f"fault {fault.name!r} ({fault.target})"
    found = [f"{name}: {fault.problem}"] if fault.problem else []
    if fault.heard_frames > fault.allowed_s * RATE + fault.excused_frames + 0.5:
        found.append(f"{name} was heard for {1000 * fault.heard_frames / RATE:.1f} ms, "
                     f"{1000 * fault.allowed_s:.0f} ms are allowed")
    return found + [f"{name} with an engine standing by: {what}" for what in fault.unclean]


@dataclass
class Report:
    """``restarts``: by process; ``said``: lines of the box's log by which it told of trouble."""

    minutes: float
    seed: int
    every_s: float
    verdict: Verdict
    faults: list[Injected]
    played: Played
    notes: Notes
    memory: list[Growth]
    restarts: dict[str, int]
    skipped: dict[str, int] = field(default_factory=dict)
    events: int = 0
    jumps: int = 0
    stalls: int = 0
    verify_s: float = 0.0
    said: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        """Why the soak is not passed; empty: it is."""
        verdict = self.verdict
        found = [f"{one.at_s:.3f} s: {one.frames} frames {one.kind}: {one.cause}"
                 for one in self.verdict.disturbances if not one.explained]
        found += [line for fault in self.faults if fault.still <= STILL_SHARE for line in _wrong_with(fault)]
        if (unjudged := len(self.unjudged)) > MOST_UNJUDGED * len(self.faults):
            found.append(f"{unjudged} of {len(self.faults)} faults cannot be judged: this machine stood still too often")
        found += [f"the recording: {problem}" for problem in self.verdict.problems]
        found += [f"note lost: {note}" for note in self.notes.lost]
        if self.verdict.compared < 0.5 * self.minutes * 60 * RATE:
            found.append(f"only {self.verdict.compared / RATE:.1f} s of sound could be compared")
        if verdict.blank > BLANK_SHARE * verdict.compared:
            silent_s = verdict.blank / RATE
            found.append(f"the set was silent for {silent_s:.1f} s, which proves nothing; why does its bed not play?")
        if self.minutes >= GROWTH_FROM_MINUTES:
            found += [f"{one.role} has grown by {one.percent:.1f} %" for one in self.memory if one.surely > GROWTH_LIMIT_PCT]
        return found

    @property
    def unjudged(self) -> list[Injected]:
        """Faults that fell into a time in which the machine stood still."""
        return [fault for fault in self.faults if fault.still > STILL_SHARE]

    def tree(self) -> dict[str, Any]:
        verdict = dataclasses.asdict(self.verdict)
        for one, told in zip(self.verdict.disturbances, verdict["disturbances"], strict=True):
            told["kind"] = one.kind
        return {
            "passed": not self.failures, "failures": self.failures, "minutes": self.minutes, "seed": self.seed,
            "every_s": self.every_s, "faults": [dataclasses.asdict(fault) for fault in self.faults], "skipped": self.skipped,
            "verdict": verdict, "played": dataclasses.asdict(self.played), "notes": dataclasses.asdict(self.notes),
            "memory": [_plain(dataclasses.asdict(one)) for one in self.memory],
            "restarts": self.restarts, "events": self.events,
            "jumps": self.jumps, "stalls": self.stalls, "verify_s": self.verify_s, "said": self.said,
            "samples": [dataclasses.astuple(sample) for sample in self.samples],
        }

    def text(self) -> str:
        verdict = self.verdict
        unexplained = [one for one in verdict.disturbances if not one.explained]
        lines = [
            f"soak: {self.minutes:g} minutes, seed {self.seed}, a fault every {self.every_s:g} s",
            f"  recorded {verdict.recorded / RATE:.1f} s in {verdict.recordings} lives of the server; compared to the bit "
            f"{verdict.compared / RATE:.1f} s in {self.verify_s:.1f} s",
            f"  played {self.played.moves} moves, {self.played.requests} requests; {self.events} events obeyed; "
            f"not answered: {self.played.failures or 'none'}",
            f"  notes over MIDI: {self.notes.sent} sent, {self.notes.obeyed} obeyed at their frame, "
            f"{self.notes.lost_in_faults} lost in faults, {self.notes.lost_by_machine} by the machine, "
            f"{len(self.notes.lost)} otherwise",
            f"  the machine: {len(verdict.gaps)} times cycles lost ({sum(g.frames for g in verdict.gaps) / RATE:.2f} s), "
            f"{len(verdict.late)} times woken late, cores stood still {self.stalls} times",
            f"  the engine announced {self.jumps} jumps; the loopback driver was overtaken {verdict.overtaken} times",
            "",
            f"faults: {len(self.faults)}",
        ]
        lines += [self._faults_line(name) for name in dict.fromkeys(fault.name for fault in self.faults)]
        lines += [f"  {name}: could not be injected {count} times" for name, count in self.skipped.items()]
        lines += [f"  not judged, for the cores stood still for {100 * fault.still:.0f} % of it: {line}"
                  for fault in self.unjudged for line in _wrong_with(fault)]
        lines += ["", f"disturbances: {len(verdict.disturbances)}, unexplained: {len(unexplained)}"]
        lines += [f"  frames {kind}: {verdict.total(kind)}" for kind in KINDS if verdict.total(kind)]
        lines += [
            f"  {one.at_s:9.3f} s  frame {one.frame:>11}  {one.frames:7d} frames ({1000 * one.frames / RATE:8.1f} ms)  "
            f"{one.kind:9s} {'' if one.explained else 'UNEXPLAINED: '}{one.cause}"
            + (f"; late by {one.moved} frames" if one.moved else "")
            + (f"; the grid moves by {-one.grid_error} frames" if one.grid_error else "")
            for one in verdict.disturbances
        ]
        lines += [f"  no server for {seconds:.2f} s" for _, seconds in verdict.silences_between]
        lines += ["", "memory (private MB, PSS MB, growth over the run):"]
        lines += [f"  {one.role:11s} {one.private_mb:7.1f} {one.pss_mb:7.1f} "
                  + ("too few samples" if math.isnan(one.percent) else f"{one.percent:+.2f} ± {one.spread:.2f} %")
                  for one in self.memory]
        lines += ["", "restarts: " + ", ".join(f"{name} {count}" for name, count in self.restarts.items() if count)]
        lines += ["", "passed" if not self.failures else "NOT PASSED"]
        lines += [f"  {failure}" for failure in self.failures]
        return "\n".join(lines) + "\n"

    def _faults_line(self, name: str) -> str:
        ours = [fault for fault in self.faults if fault.name == name]
        longest = max(fault.back_s for fault in ours)
        heard = max(fault.heard_frames for fault in ours)
        may = f"heard at most {1000 * heard / RATE:.1f} ms" if any(fault.audible for fault in ours) else "must not be heard"
        return f"  {len(ours):3d} × {name}: over after at most {longest:.2f} s, {may}"

    def write(self, folder: Path) -> None:
        (folder / "report.json").write_text(json.dumps(self.tree(), indent=1, allow_nan=False) + "\n")
        (folder / "report.txt").write_text(self.text())
