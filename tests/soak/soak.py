# SPDX-License-Identifier: GPL-3.0-or-later
"""A soak from beginning to end: play, inject, record; then compare, explain, report."""

from __future__ import annotations

import pickle
import random
import time
from collections.abc import Callable
from pathlib import Path

from tests.soak.causes import count_notes, explain, jumps
from tests.soak.faults import FAULTS, Deck, Faults
from tests.soak.memory import MemoryWatch, growth
from tests.soak.recorder import recordings
from tests.soak.report import Report
from tests.soak.script import Player
from tests.soak.stage import Stage
from tests.soak.stalls import read_stalls
from tests.soak.verify import verify
from tests.soak.watcher import Watcher

SETTLE_S = 2.0
"""From the first sound to the first fault, and from the last to the end."""
NOT_NOW_S = 0.3
"""A fault that cannot be injected now (its process does not run) makes room for another so soon."""
TROUBLE = ("killed", "error", "Traceback", "cannot", "lost")


def soak(folder: Path, minutes: float, seed: int = 1, every_s: float = 5.0, *, names: tuple[str, ...] = tuple(FAULTS),
         audio: Path | None = None, hogs: int = 2, in_pitch: bool = True, say: Callable[[str], None] = print) -> Report:
    """Play for ``minutes`` in ``folder`` (empty), with a fault about every ``every_s`` seconds. ``audio``: more files to
    play; ``in_pitch``: pads keep their pitch when the tempo changes."""
    rng = random.Random(seed)
    with Stage(folder, hogs=hogs) as stage:
        player = Player(stage, seed, audio, in_pitch=in_pitch)
        player.begin()
        time.sleep(SETTLE_S)
        watcher, memory = Watcher(stage.box), MemoryWatch(stage)
        faults, deck, skipped = Faults(stage, player, rng), Deck(rng, names), dict[str, int]()
        began = time.monotonic()
        end = began + 60 * minutes
        due = began + SETTLE_S
        while time.monotonic() < end:
            if time.monotonic() < due or time.monotonic() > end - SETTLE_S:
                time.sleep(0.02)
                continue
            due += rng.uniform(0.5, 1.5) * every_s
            name = deck.draw()
            injected = faults.inject(name)
            if injected is None:
                skipped[name] = skipped.get(name, 0) + 1
                due = time.monotonic() + NOT_NOW_S
            else:
                say(f"{injected.began_ns / 1e9 - began:8.2f} s  {name} {injected.target}: over after {injected.back_s:.2f} s"
                    f"{'; ' + injected.problem if injected.problem else ''}")
            due = max(due, time.monotonic())
        played, samples = player.close(), memory.close()
        log = watcher.close()
        restarts = {process["name"]: int(process["restarts"]) for process in _processes(stage)}
        minutes_played = (time.monotonic() - began) / 60
    _keep(folder, log, faults)
    say("comparing …")
    started = time.monotonic()
    verdict = verify(recordings(stage.recording), log)
    xruns = _xruns(stage.recording / "xruns")
    stalls = read_stalls(stage.recording / "stalls")
    explain(verdict, faults.log, log, xruns, stalls)
    report = Report(
        round(minutes_played, 2), seed, every_s, verdict, faults.log, played,
        count_notes(folder / "notes", log, verdict, faults.log, xruns), growth(samples, 120.0 if minutes > 4 else 15.0),
        restarts,
        skipped, len(log.all_events), len(jumps(log)), len(stalls), time.monotonic() - started,
        [line for line in stage.log.read_text(errors="replace").splitlines() if any(word in line for word in TROUBLE)][-200:],
        samples,
    )
    report.write(folder)
    return report


def _processes(stage: Stage) -> list[dict[str, object]]:
    from appliance.supervision.table import status

    return status(stage.box)["processes"]


def _xruns(path: Path) -> list[int]:
    return sorted(int(line) for line in path.read_text().split()) if path.exists() else []


def _keep(folder: Path, log: object, faults: Faults) -> None:
    """What is needed to compare once more."""
    with (folder / "log.pickle").open("wb") as file:
        pickle.dump((log, faults.log), file)
