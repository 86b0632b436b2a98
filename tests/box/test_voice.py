# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole box that speaks, heard through JACK: the voice is in the headphones, and on the master not a sample is another."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from benchmarks.boxes import wait_for
from tests.box.test_heard import BAR, Stage, expected_phase
from tests.servers import jack_or_skip
from tests.signals import RATE

jackgear = pytest.importorskip("tests.jackgear", reason="the JACK library is not installed")
pytestmark = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A box of its own, with the ramp on pad 1."""
    with jack_or_skip("voice") as server, closing(Stage(tmp_path, server, standby=False)) as made:
        made.http("POST", "/pad/1/load", [str(tmp_path / "ramp.wav"), {"bpm": 120, "beats": 4}])
        made.http("PUT", "/clock/quantize", "off")
        yield made


def hear(stage: Stage, texts: list[str], cued: bool) -> tuple[np.ndarray, np.ndarray]:
    """Master and cue as they were recorded while the loop plays and all texts are said, one after the other."""
    stage.http("PUT", "/channel/5/cue", cued)
    _fallen_silent(stage)
    recorder = jackgear.Recorder(stage.server, 60)
    try:
        recorder.listen("appliance-a:master_1", "appliance-a:master_2", "appliance-a:cue_1", "appliance-a:cue_2")
        time.sleep(0.8)
        start = max(int(recorder.words[13]) - RATE // 2, 0)  # half a second of music alone
        for text in texts:
            stage.http("POST", "/voice/say", [text])
            wait_for(lambda: stage.box.telemetry.snapshot()["voice"]["speaking"] == 1, 20, f"{text!r} is said")
            wait_for(lambda: stage.box.telemetry.snapshot()["voice"]["speaking"] == 0, 10, "it ends")
        time.sleep(1.0)  # until the others are back
        heard = recorder.take()[1][start:]
    finally:
        recorder.close()
    return heard[:, :2], heard[:, 2:]


def _fallen_silent(stage: Stage) -> None:
    """Wait: the box may be saying something of its own, whose end is not that of what is said next."""
    quiet_since = time.monotonic()
    end = quiet_since + 20
    while time.monotonic() - quiet_since < 1.0:
        if stage.box.telemetry.snapshot()["voice"]["speaking"]:
            quiet_since = time.monotonic()
        assert time.monotonic() < end, "it does not fall silent"
        time.sleep(0.01)


def test_it_is_in_the_headphones_and_nowhere_else(stage: Stage) -> None:
    stage.http("POST", "/pad/1/trigger")
    wait_for(lambda: stage.box.telemetry.snapshot()["pad"]["sounding"][0] == 1, 5, "the loop plays")
    time.sleep(0.3)
    master, cue = hear(stage, ["hello", "deck one is damaged after three seconds"], cued=False)
    lost = np.isnan(master[:, 0])
    phase = expected_phase(master, stage.clip)
    assert (phase[~lost] >= 0).all(), "something else than the loop was on the master"
    steps = np.diff(phase)[~(lost[1:] | lost[:-1])] % BAR
    assert (steps == 1).all(), "the loop was not played on frame by frame"
    spoken = np.abs(cue[~np.isnan(cue[:, 0]), 0]) > 1e-3
    assert 0.3 * RATE < np.count_nonzero(spoken) < 2 * 2.5 * RATE
    assert 0.2 < np.nanmax(np.abs(cue)) <= 0.51
    np.testing.assert_array_equal(cue[~lost, 0], cue[~lost, 1])


def test_what_is_cued_steps_back_by_12_db(stage: Stage) -> None:
    """The ramp is known in every frame; a voice is as often above as below it, so the middle ratio is what is left."""
    stage.http("POST", "/pad/1/trigger")
    wait_for(lambda: stage.box.telemetry.snapshot()["pad"]["sounding"][0] == 1, 5, "the loop plays")
    time.sleep(0.3)
    master, cue = hear(stage, ["one. two. three. four. five"], cued=True)
    # the master is later than the cue by its limiter's look-ahead; what a lost cycle did not record counts nowhere
    delay = min(range(256), key=lambda frames: np.nanmean(np.abs(master[frames : 20000, 0] - cue[: 20000 - frames, 0])))
    loop, cued = master[delay:, 0].astype(np.float64), cue[: len(cue) - delay, 0].astype(np.float64)
    said = np.abs(cued - loop) > 1e-3  # never where one of both is not known
    often = np.convolve(said, np.ones(RATE // 10), "same") > RATE // 40  # a block that came late is no voice
    first, last = np.flatnonzero(often)[[0, -1]]
    middle = slice(first + RATE // 10, last - RATE // 10)
    loud = (loop[middle] > 0.02) & (np.abs(np.gradient(cued[middle])) < 5e-5)  # between the words
    factor = float(np.median(cued[middle][loud] / loop[middle][loud]))
    assert 20 * np.log10(factor) == pytest.approx(-12.0, abs=0.5)
    after = np.abs(cued - loop)[last + RATE // 5 :]
    assert np.count_nonzero(~np.isnan(after)) > RATE // 20
    assert np.nanmax(after) < 1e-6
