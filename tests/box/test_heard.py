# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole box, started as a person starts it, played over its sockets and heard through a real JACK server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from appliance.bus.box import Box, Role
from benchmarks.boxes import wait_for
from tests.servers import jack_or_skip
from tests.signals import RATE, ramp, sine

jackgear = pytest.importorskip("tests.jackgear", reason="the JACK library is not installed")
BAR = 2 * RATE


class Stage:
    """A running box on a JACK server of its own, with a loop of which every frame is known on pad 1."""

    def __init__(self, folder: Path, server: str, *, standby: bool = True) -> None:
        self.folder, self.server = folder, server
        config = folder / "config.yaml"
        config.write_text("gen: {fill: false, look_ahead_cpu: 0}\naudio: {connect: false}\n"
                          f"engine: {{standby: {str(standby).lower()}}}\n")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "appliance", "run", "--config", str(config), "--data", str(folder / "data"),
             "--audio", "jack", "--jack-server", server, "--display", "none", "--http", "127.0.0.1:0", "--osc", "127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=(folder / "log").open("w"), text=True,
        )
        assert self.process.stdout
        words = self.process.stdout.readline().split()
        assert words[:1] == ["ready"], (folder / "log").read_text()
        self.said = dict(word.split("=", 1) for word in words[1:])
        self.box = Box.attach(folder / "data", "test")
        self.clip = ramp(BAR)
        sf.write(folder / "ramp.wav", self.clip, RATE, "FLOAT")

    def http(self, method: str, address: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.said['http']}/api/v1{address}", data, {"Content-Type": "application/json"},
                                         method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or b"null")

    def pid(self, name: str) -> int:
        return int(self.box.process(name)["pid"])

    def kill(self, name: str) -> float:
        """SIGKILL; returns the seconds until the process that replaces it works."""
        old, row = self.pid(name), self.box.process(name)
        os.kill(old, signal.SIGKILL)
        return wait_for(lambda: int(row["pid"]) not in (0, old) and int(row["role"]) in (2, 3) and int(row["beat_ns"]), 20,
                        f"{name} is back")

    def close(self) -> None:
        self.process.terminate()
        try:
            assert self.process.wait(10) == 0
        finally:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def stage(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """``standby`` False as the fixture's parameter: a box with one engine."""
    with jack_or_skip("heard") as server, closing(Stage(tmp_path, server, standby=getattr(request, "param", True))) as made:
        made.http("POST", "/pad/1/load", [str(tmp_path / "ramp.wav"), {"bpm": 120, "beats": 4}])
        made.http("PUT", "/clock/quantize", "1 bar")
        yield made


def launch_and_record(stage: Stage, seconds: float) -> Any:
    recorder = jackgear.Recorder(stage.server, seconds + 5)
    recorder.listen("appliance-a:master_1", "appliance-a:master_2")
    stage.http("POST", "/pad/1/trigger")
    wait_for(lambda: stage.box.telemetry.snapshot()["pad"]["sounding"][0] == 1, 5, "the loop starts")
    time.sleep(0.1)
    return recorder


def expected_phase(heard: np.ndarray, clip: np.ndarray) -> np.ndarray:
    """For every frame heard, which frame of the clip it is; -1 where it is none."""
    index = np.round(np.nan_to_num(heard[:, 0].astype(np.float64)) * (1 << 20)).astype(np.int64) - 1
    known = (index >= 0) & (index < len(clip)) & (np.abs(heard[:, 0] - clip[np.clip(index, 0, len(clip) - 1), 0]) < 2e-7)
    return np.where(known, index, -1)


def test_nobody_hears_control_gen_or_visuals_die(stage: Stage) -> None:
    recorder = launch_and_record(stage, 20)
    stage.http("PUT", "/channel/5/fader", 1.0)
    try:
        start = int(recorder.words[13])
        for name in ("control", "gen", "visuals"):
            assert stage.kill(name) < 6
        time.sleep(0.3)
        heard = recorder.take()[1][start:, :2]
    finally:
        recorder.close()
    lost = np.isnan(heard[:, 0])
    phase = expected_phase(heard, stage.clip)
    assert (phase[~lost] >= 0).all(), "something else than the loop was heard"
    steps = np.diff(phase)[~(lost[1:] | lost[:-1])] % BAR
    assert (steps == 1).all(), "the loop was not played on frame by frame"
    wait_for(lambda: _answers(stage), 10, "control answers over HTTP")
    assert stage.http("GET", "/pad/1/state")["value"] == "playing"


def _answers(stage: Stage) -> bool:
    try:
        return stage.http("GET", "/clock/bpm")["value"] == 120
    except OSError:
        return False


@pytest.mark.parametrize("stage", [False], indirect=True, ids=["one engine"])
def test_a_killed_engine_is_back_on_the_beat_with_its_state(stage: Stage) -> None:
    stage.http("PUT", "/channel/5/pan", 0.0)
    recorder = launch_and_record(stage, 15)
    try:
        time.sleep(0.5)
        assert stage.kill("engine-a") < 6
        wait_for(lambda: stage.box.telemetry.snapshot()["pad"]["sounding"][0] == 1, 5, "the pad plays again")
        time.sleep(1.5)  # it connects itself to the recorder again
        heard = recorder.take()[1]
    finally:
        recorder.close()
    _one_gap_on_the_grid(heard[:, :2], stage.clip)
    _beats_are_frames(stage)


def test_the_other_engine_goes_on_when_one_is_killed(stage: Stage) -> None:
    """The recorder is a client: JACK stalls it with the dead engine for a moment. Nothing but that is missing."""
    standby = stage.box.process("engine-b")
    wait_for(lambda: int(standby["role"]) == Role.STANDBY, 20, "the second engine stands by")
    recorder = launch_and_record(stage, 15)
    try:
        time.sleep(1.0)  # the second engine connects itself to the recorder as the first one is
        os.kill(stage.pid("engine-a"), signal.SIGKILL)
        wait_for(lambda: int(standby["role"]) == Role.PLAYING, 5, "the second engine plays")
        time.sleep(0.7)
        heard = recorder.take()[1]
        row = stage.box.process("engine-a")
        wait_for(lambda: int(row["role"]) == Role.STANDBY and int(row["pid"]), 20, "the first one is back and stands by")
    finally:
        recorder.close()
    assert _one_gap_on_the_grid(heard[:, :2], stage.clip) < 0.15 * RATE
    _beats_are_frames(stage)


def _one_gap_on_the_grid(heard: np.ndarray, clip: np.ndarray) -> int:
    """The loop is heard before and after one gap, and stands where it would have been; returns the gap in frames."""
    phase = expected_phase(heard, clip)
    known = np.flatnonzero(phase >= 0)
    steps = np.diff(known)
    gap = int(np.argmax(steps))
    before, after = known[max(gap - 500, 0)], known[min(gap + 500, len(known) - 1)]
    assert (phase[after] - phase[before] - (after - before)) % BAR == 0, "it is not back on the grid"
    assert np.sum(steps > RATE // 20) <= 1, "one gap at most"
    return int(steps[gap])


def _beats_are_frames(stage: Stage) -> None:
    clock = stage.box.telemetry.snapshot()["clock"]
    assert float(clock["beat"]) == pytest.approx(int(clock["frame"]) * 2 / RATE, abs=1e-6)


def test_a_refused_hit_says_why(stage: Stage) -> None:
    done = subprocess.run([sys.executable, "-m", "appliance", "send", "/pad/9/trigger", "--data", str(stage.folder / "data")],
                          capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "/bank/1/pad/9/trigger: nothing is loaded there" in done.stderr
    with pytest.raises(urllib.error.HTTPError) as refused:
        stage.http("POST", "/pad/9/trigger")
    assert refused.value.code == 409


def recorded_set(stage: Stage) -> tuple[Path, np.ndarray]:
    """Play a little of everything; the events file that the box has written of it, and what came out of JACK."""
    stage.http("POST", "/pad/2/trigger")
    stage.http("POST", "/deck/1/play", [True])
    time.sleep(0.7)
    recorder = jackgear.Recorder(stage.server, 30)
    try:
        recorder.listen("appliance-a:master_1", "appliance-a:master_2")
        time.sleep(0.2)
        stage.http("POST", "/system/events/record", [True])
        for step in range(12):
            stage.http("PUT", "/mixer/crossfader", step / 6 - 1)
            stage.http("PUT", "/channel/5/filter", (step % 5) / 5 - 0.4)
            if step % 4 == 1:
                stage.http("POST", "/clock/tap")
            if step == 3:
                stage.http("POST", "/scene/2/launch")
            if step == 4:
                stage.http("POST", "/deck/1/loop/auto", [True])
            if step == 8:
                stage.http("POST", "/pad/2/load", [str(stage.folder / "440.wav"), {"bpm": 120, "beats": 4}])
                stage.http("POST", "/pad/2/trigger")
            time.sleep(0.15)
        file = Path(stage.http("POST", "/system/events/record", [False])["result"]["file"])
        time.sleep(0.2)
        return file, recorder.take()[1][:, :2]
    finally:
        recorder.close()


def test_a_recorded_set_renders_to_the_same_bits(stage: Stage) -> None:
    """What people did is written down with its frames; off line it gives what JACK gave, bit for bit."""
    for pad, hz in ((2, 220), (5, 330), (6, 440)):
        sf.write(stage.folder / f"{hz}.wav", sine(2.0, hz, 0.2), RATE, "FLOAT")
        stage.http("POST", f"/pad/{pad}/load", [str(stage.folder / f"{hz}.wav"), {"bpm": 120, "beats": 4}])
    stage.http("POST", "/deck/1/load", [str(stage.folder / "220.wav")])
    stage.http("PUT", "/clock/quantize", "1/4")
    for _ in range(4):
        file, heard = recorded_set(stage)
        if "address: skip" not in file.read_text() and not np.isnan(heard).any():
            break
    else:
        pytest.skip("this machine lost audio cycles every time")
    done = subprocess.run([sys.executable, "-m", "appliance", "render", str(file), str(stage.folder / "out.wav")],
                          capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    rendered = sf.read(stage.folder / "out.wav", dtype="float32")[0]
    assert np.abs(rendered).max() > 0.1
    probe = rendered[: RATE // 10]
    starts = np.flatnonzero((heard[: -len(rendered)] == probe[0]).all(axis=1))
    fits = [start for start in starts if np.array_equal(heard[start : start + len(probe)], probe)]
    assert fits, "the rendering's beginning is not in the recording"
    np.testing.assert_array_equal(rendered, heard[fits[0] : fits[0] + len(rendered)])
