# SPDX-License-Identifier: GPL-3.0-or-later
"""The short form of the soak: half a minute of a set with a few faults, by the same code as ``make soak``. And is the judge
awake? What is planted in its recording is found and named, and nothing else."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from tests.soak.faults import SHORT
from tests.soak.stage import can_soak

if why := can_soak():
    pytest.skip(why, allow_module_level=True)

from tests.soak.causes import explain
from tests.soak.recorder import Recording, recordings
from tests.soak.report import Report
from tests.soak.soak import soak
from tests.soak.verify import Disturbance, Verdict, verify
from tests.soak.watcher import Log

QUIET_CYCLES = 400


@dataclass
class Played:
    report: Report
    recording: Recording
    log: Log


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("soak") / "set"
    folder.mkdir()
    report = soak(folder, 0.55, seed=7, every_s=3.5, names=SHORT, hogs=1)
    print(report.text())
    log = pickle.loads((folder / "log.pickle").read_bytes())[0]
    recording = max(recordings(folder / "recording"), key=lambda one: len(one.cycles))
    return Played(report, recording, log)


def test_every_disturbance_of_a_set_with_faults_is_explained(played: Played) -> None:
    assert played.report.failures == [], played.report.text()
    assert len(played.report.faults) >= 4
    assert played.report.events > 100


def test_processes_that_do_not_play_die_unheard(played: Played) -> None:
    for fault in played.report.faults:
        if not fault.audible:
            assert fault.heard_frames == 0, fault


def quiet_places(played: Played, count: int) -> list[int]:
    """Cycles in the middle of stretches in which nothing is wrong."""
    cycles = played.recording.cycles
    busy = [(one.began_ns, one.ended_ns) for one in played.report.verdict.disturbances]
    busy += [(gap.monotonic_ns, gap.monotonic_ns) for gap in played.report.verdict.gaps]
    first_ns = played.log.snapshots[0].monotonic_ns + 1_000_000_000
    apart_ns = 400_000_000
    found: list[int] = []
    for cycle in range(0, len(cycles) - 3 * QUIET_CYCLES, 50):
        when = int(cycles[cycle, 2])
        if when > first_ns and all(end + apart_ns < when or when + 2 * apart_ns < begin for begin, end in busy):
            if not found or cycle - found[-1] > QUIET_CYCLES:
                found.append(cycle)
    if len(found) < count:
        pytest.skip(f"this machine left {len(found)} quiet stretches of {count}")
    return found[:count]


def test_what_is_planted_is_found_and_named(played: Played) -> None:
    sound, cycles = played.recording.sound.copy(), played.recording.cycles
    at = np.concatenate([[0], np.cumsum(cycles[:, 1])])
    places = quiet_places(played, 5)
    silent, repeated, clicked, displaced, mixed = (slice(int(at[c]), int(at[c + 1])) for c in places)
    n = silent.stop - silent.start
    sound[silent] = 0
    sound[repeated] = sound[repeated.start - n : repeated.start]
    sound[clicked.start + 50 : clicked.start + 53] += 0.2
    late = slice(displaced.start, displaced.start + 20 * n)
    sound[late] = played.recording.sound[late.start - 37 : late.stop - 37]
    sound[mixed] += played.recording.sound[mixed.start - n : mixed.start]
    before = verify([played.recording], played.log)
    after = verify([Recording(sound, cycles)], played.log)
    known = {one.frame for one in before.disturbances}
    new = [one for one in after.disturbances if one.frame not in known]
    assert [(one.kind, one.frames) for one in new] == [
        ("silent", n), ("repeated", n), ("click", 3), ("displaced", 20 * n), ("mixed", n)]
    assert new[3].moved == 37
    assert [one.at_s for one in new] == pytest.approx(
        [(int(cycles[c, 2]) - int(cycles[0, 2])) / 1e9 for c in places], abs=0.01)
    unexplained(new, played.log)


def unexplained(new: list[Disturbance], log: Log) -> None:
    quiet = Log(events=[events[(events["kind"] & 0xFF) != 8] for events in log.events])
    verdict = Verdict(disturbances=new)
    explain(verdict, [], quiet, [], np.zeros((0, 2), np.int64))
    assert not any(one.explained for one in new)


def test_a_missing_event_is_noticed(played: Played) -> None:
    """The judge does not believe the recording: without one of the moves it does not fit any more."""
    events = played.log.all_events
    bed = [n for n, event in enumerate(events) if int(event["kind"]) & 0xFF == 1][len(events) // 8 :]
    for number in bed[:40:8]:
        without = Log(**{**vars(played.log), "events": [np.delete(events, number)]})
        found = verify([played.recording], without)
        if sum(one.frames for one in found.disturbances) > sum(one.frames for one in played.report.verdict.disturbances) + 4800:
            return
    pytest.fail("five moves were taken away and nobody missed them")


def test_the_report_is_written_for_programs_and_for_people(played: Played) -> None:
    text = played.report.text()
    assert "faults: " in text and "memory" in text and "restarts" in text
    assert played.report.tree()["passed"] is not bool(played.report.failures)
