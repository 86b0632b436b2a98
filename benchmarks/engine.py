# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance bench engine``: what a block costs, alone and under load; the engine's start and memory; rendering off line.

The cost of a block is the CPU time of the audio thread itself (CLOCK_THREAD_CPUTIME_ID), because a virtual machine takes the
processor away for milliseconds at any time; its share is of the period. Even so: while another guest works on the other half of
the core, all code takes up to 1.6 times as long, for seconds. So each figure is the least of some stretches', and
``block_unrest`` tells how far apart their means were.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from appliance.bus.clips import Clip
from appliance.config import Config
from appliance.engine.backends.offline import OfflineEngine
from appliance.errors import Unavailable
from appliance.rendering import BLOCK_FRAMES
from benchmarks import scsynth
from benchmarks.boxes import EngineBox, jack_server, wait_for
from benchmarks.report import Row

RATE = 48000
PERIOD = 128
OTHER_BPM = 123.4
"""The loops are of 120 BPM: every pad interpolates."""
MEASURE_S = 5.0
STRETCHES = 4
SETTLE_S = 4.0
"""After its start an engine makes its pitch shifters."""
OFFLINE_S = 60.0
TAKEOVERS, AFTER_S = 7, 0.3
LOCKED = {"r2": 4, "r3": 2}
"""Decks in key lock, by pitch shifter."""
STRIPS = {"low": -6.0, "mid": 2.0, "high": -3.0, "filter": -0.3, "fader": 0.9}
HOG = "import numpy as np\na = np.random.rand(300, 300)\nwhile True:\n    a = a @ a\n    a /= abs(a).max()\n"


def rows() -> list[Row]:
    made: list[Row] = []
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(jack_server(f"bench-{os.getpid()}", PERIOD))
            backend = "jack"
        except Unavailable:
            server, backend = "default", "clock"
        made += _block_cost(backend, server)
    made.append(_offline())
    return made


def audio(seed: int, seconds: float = 8.0) -> np.ndarray:
    """Music enough for a benchmark: tones and noise, frames × 2."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    wave = 0.2 * np.sin(2 * np.pi * 55 * (seed + 1) * t) + 0.05 * rng.standard_normal(len(t))
    return np.stack([wave, np.roll(wave, 37)], 1).astype(np.float32)


def _perform(engine: EngineBox, clips: list[Clip]) -> None:
    """4 decks at odd speeds, 16 loops at a tempo that is not theirs, every strip's EQ and filter at work, the limiter too."""
    values = engine.box.values
    values.set("/clock/quantize", "off")
    values.set("/clock/bpm", OTHER_BPM)
    values.set("/mixer/master", 6.0)
    for deck in range(1, 5):
        engine.load_deck(deck, clips[deck % len(clips)])
        values.set(f"/deck/{deck}/rate", 0.94 + deck * 0.03)
        engine.do(f"/deck/{deck}/loop/auto")
        engine.do(f"/deck/{deck}/play")
    for pad in range(1, 17):
        engine.load_pad(pad, clips[pad % len(clips)])
        values.set(f"/pad/{pad}/group", 1 + pad % 4)
        values.set(f"/pad/{pad}/gain", -6.0)
        engine.do(f"/pad/{pad}/trigger")
    for channel in range(1, 9):
        for name, value in STRIPS.items():
            values.set(f"/channel/{channel}/{name}", value)


def _block_cost(backend: str, server: str) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, _engine(Path(folder) / "idle", backend, server, busy=False) as engine:
        start_s = engine.start(backend, server)
        _perform(engine, [engine.clip(audio(n), bpm=120, beats=16) for n in range(4)])
        cost = _stretches(engine)
        _sounding(engine)
        for pad in range(1, 17):
            engine.box.values.set(f"/pad/{pad}/filter", 0.2)
        everything = _stretches(engine)
        peer = _beside_scsynth(engine, server, Path(folder))
        for pad in range(1, 17):
            engine.box.values.set(f"/pad/{pad}/filter", 0.0)
        engine.box.values.set("/clock/bpm", 120.0)
        copied = _stretches(engine)
        locked = {name: _locked(engine, name) for name in LOCKED}
    with tempfile.TemporaryDirectory() as folder, _engine(Path(folder) / "pair", backend, server, busy=False) as engine:
        engine.start(backend, server)
        _perform(engine, [engine.clip(audio(n), bpm=120, beats=16) for n in range(4)])
        _stretches(engine, 1)
        pss_mb = memory_mb(engine)
        standby = _standby(engine, backend, server, pss_mb) + _takeovers(engine, backend, server)
    with tempfile.TemporaryDirectory() as folder, _engine(Path(folder) / "busy", backend, server, busy=True) as engine:
        engine.start(backend, server)
        _perform(engine, [engine.clip(audio(n), bpm=120, beats=16) for n in range(4)])
        with hogs(2):
            loaded = _stretches(engine)
    return [
        Row("block_median_pct", least(cost, 50), "% of period", 3.0),
        Row("block_p99_pct", least(cost, 99), "% of period", 10.0),
        Row("block_unrest", float(max(map(np.mean, cost)) / min(map(np.mean, cost))), "× the mean cost in the busiest stretch"),
        Row("block_everything_median_pct", least(everything, 50), "% of period, with 16 pad filters"),
        Row("block_own_tempo_median_pct", least(copied, 50), "% of period, loops at their own tempo"),
        Row("block_loaded_p99_pct", least(loaded, 99), "% of period", 15.0, least(cost, 99)),
        Row("keylock4_p99_pct", least(locked["r2"], 99), "% of period, 4 decks through r2", 35.0),
        Row("keylock4_median_pct", least(locked["r2"], 50), "% of period"),
        Row("keylock2_r3_p99_pct", least(locked["r3"], 99), "% of period, 2 decks through r3", 45.0),
        Row("keylock2_r3_median_pct", least(locked["r3"], 50), "% of period"),
        *peer,
        Row("engine_start_s", start_s, "s", 1.5),
        Row("engine_memory_mb", pss_mb, "MB PSS without clips and JACK's segment", 250.0),
        *standby,
    ]


def _locked(engine: EngineBox, shifter: str) -> list[np.ndarray]:
    """The same mix, with so many decks through this pitch shifter."""
    values, count = engine.box.values, LOCKED[shifter]
    values.set("/clock/bpm", OTHER_BPM)
    for deck in range(1, 5):
        values.set(f"/deck/{deck}/keylock/engine", shifter)
        values.set(f"/deck/{deck}/keylock", deck <= count)
    shares = _stretches(engine)
    assert engine.box.telemetry.snapshot()["deck"]["in_key"].sum() == count, "not all decks are heard in key"
    return shares


def _beside_scsynth(engine: EngineBox, server: str, folder: Path) -> list[Row]:
    """CPU time of the whole engine process against scsynth's, at the same time on the same JACK server."""
    assert engine.process
    try:
        with scsynth.playing(server, folder, [audio(n) for n in range(4)]) as other:
            processes = engine.process.pid, other.process.pid
            before = [cpu_ns(pid) for pid in processes]
            time.sleep(STRETCHES * MEASURE_S)
            ours, theirs = (cpu_ns(pid) - spent for pid, spent in zip(processes, before, strict=True))
    except Unavailable as error:
        print(f"cpu_vs_scsynth is skipped: {error.message}", file=sys.stderr)
        return []
    unit = "× the CPU time of scsynth with the same mix"
    return [Row("cpu_vs_scsynth", ours / theirs, unit, 0.6)]


def _standby(engine: EngineBox, backend: str, server: str, pss_mb: float) -> list[Row]:
    """What the second engine costs while it stands by: memory, CPU against the playing one's, and the playing one's blocks.
    It comes and goes, so that a moment in which the machine is slow is as likely to fall on either."""
    if backend != "jack":
        return []
    alone: list[np.ndarray] = []
    together: list[np.ndarray] = []
    spent, more_mb = np.zeros(2), 0.0
    for _ in range(STRETCHES):
        time.sleep(1.0 + MEASURE_S)
        alone.append(block_shares(engine, MEASURE_S))
        engine.start(backend, server, "b")
        time.sleep(SETTLE_S)
        processes = [engine.processes[letter].pid for letter in "ab"]
        before = np.array([cpu_ns(pid) for pid in processes])
        time.sleep(MEASURE_S)
        together.append(block_shares(engine, MEASURE_S))
        spent += np.array([cpu_ns(pid) for pid in processes]) - before
        more_mb = memory_mb(engine) - pss_mb
        assert engine.playing == "a", "the engine that stood by has taken over"
        engine.kill("b")
        del engine.processes["b"]
    ratio = float(np.percentile(np.concatenate(together), 99) / np.percentile(np.concatenate(alone), 99))
    return [
        Row("standby_cpu_pct", float(100 * spent[1] / spent[0]), "% of the playing engine's CPU time", 25.0),
        Row("standby_memory_mb", more_mb, "MB PSS more, without clips and JACK's segment", 150.0),
        Row("block_p99_with_standby", ratio, "× the cost without", 1.15),
    ]


def _takeovers(engine: EngineBox, backend: str, server: str) -> list[Row]:
    """The first blocks of an engine that takes over four decks in key lock: their shifters begin anew, all at once."""
    if backend != "jack":
        return []
    for deck in range(1, 5):
        engine.box.values.set(f"/deck/{deck}/keylock", True)
    worst: list[float] = []
    engine.start(backend, server, "b")
    for _ in range(TAKEOVERS):
        time.sleep(SETTLE_S)
        assert engine.box.telemetry.snapshot()["deck"]["in_key"].sum() == LOCKED["r2"], "not all decks are heard in key"
        dying = engine.playing
        heir = "ba"["ab".index(dying)]
        engine.kill(dying)
        time.sleep(AFTER_S)
        assert engine.playing == heir, "nobody has taken over"
        worst.append(float(block_shares(engine, AFTER_S, heir).max()))
        engine.start(backend, server, dying)
    unit = f"% of period, worst block within {AFTER_S} s of a take-over with 4 decks through r2"
    return [
        Row("takeover_keylock4_pct", float(np.median(worst)), f"{unit}; median of {TAKEOVERS}", 60.0),
        Row("takeover_keylock4_worst_pct", max(worst), f"{unit}; worst of {TAKEOVERS}"),
    ]


def cpu_ns(pid: int) -> int:
    """CPU time of all threads of a process."""
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in Path(f"/proc/{pid}/task").iterdir())


def memory_mb(engine: EngineBox) -> float:
    """PSS of the engines without clips and JACK's segment."""
    return sum(_pss_mb(process.pid, without=("clip", "jack")) for process in engine.processes.values())


@contextlib.contextmanager
def _engine(data: Path, backend: str, server: str, *, busy: bool) -> Iterator[EngineBox]:
    audio_settings = {"period": PERIOD, "connect": False}
    engine = EngineBox(data, Config.model_validate({"audio": audio_settings, "engine": {"busy_thread": busy}}))
    try:
        yield engine
    finally:
        engine.close()


def _stretches(engine: EngineBox, count: int = STRETCHES) -> list[np.ndarray]:
    """Share of the period (%) of every block, of some stretches of MEASURE_S."""
    time.sleep(1.0)
    found: list[np.ndarray] = []
    for _ in range(count):
        time.sleep(MEASURE_S)
        found.append(block_shares(engine, MEASURE_S))
    return found


def least(stretches: list[np.ndarray], percentile: float) -> float:
    """The percentile in the stretch where it is the least."""
    return min(float(np.percentile(shares, percentile)) for shares in stretches)


def block_shares(engine: EngineBox, seconds: float, letter: str = "a") -> np.ndarray:
    """Share of the period (%) of every block of an engine in the last ``seconds``."""
    path = engine.box.run / f"costs-{letter}.npz"
    path.unlink(missing_ok=True)
    engine.processes[letter].send_signal(signal.SIGUSR1)
    wait_for(path.exists, 10, "the engine writes its costs")
    costs = np.load(path)
    share = 100 * costs["cost_ns"] * 1e-9 * RATE / costs["frames"]
    return share[-round(seconds * RATE / PERIOD) :]


def _sounding(engine: EngineBox) -> None:
    """The figures are of a mix that really plays."""
    told = engine.box.telemetry.snapshot()
    assert told["deck"]["playing"].sum() == 4, "not all decks play"
    assert told["pad"]["sounding"].sum() == 16, "not all pads play"
    assert float(told["master"]["rms"]) > 0.05, "nothing is heard"
    assert float(told["master"]["reduction_db"]) > 0.1, "the limiter is not at work"


def _pss_mb(pid: int, without: tuple[str, ...] = ()) -> float:
    """Proportional set size of a process, without the mappings whose path contains one of the words."""
    total_kb, counted = 0, True
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        first, _, rest = line.partition(" ")
        if "-" in first and not first.endswith(":"):
            path = rest.split(None, 4)[-1] if len(rest.split(None, 4)) == 5 else ""
            counted = not any(f"-{word}" in path for word in without)
        elif first == "Pss:" and counted:
            total_kb += int(rest.split()[0])
    return total_kb / 1000


@contextlib.contextmanager
def hogs(count: int) -> Iterator[None]:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    hogs = [subprocess.Popen([sys.executable, "-c", HOG], env=environment) for _ in range(count)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def _offline() -> Row:
    engine = OfflineEngine(RATE)
    clips = [engine.load(audio(n), bpm=120, beats=16) for n in range(4)]
    engine.set("/clock/quantize", "off")
    engine.set("/clock/bpm", OTHER_BPM)
    engine.set("/mixer/master", 6.0)
    for deck in range(1, 5):
        engine.load_deck(deck, clips[deck % 4])
        engine.set(f"/deck/{deck}/rate", 0.94 + deck * 0.03)
        engine.do(f"/deck/{deck}/loop/auto")
        engine.do(f"/deck/{deck}/play")
    for pad in range(1, 17):
        engine.load_pad(pad, clips[pad % 4])
        engine.set(f"/pad/{pad}/group", 1 + pad % 4)
        engine.do(f"/pad/{pad}/trigger")
    for channel in range(1, 9):
        for name, value in STRIPS.items():
            engine.set(f"/channel/{channel}/{name}", value)
    engine.run(RATE, BLOCK_FRAMES)
    began = time.perf_counter()
    engine.run(round(OFFLINE_S * RATE), BLOCK_FRAMES)
    return Row("offline_x_realtime", OFFLINE_S / (time.perf_counter() - began), "×", 30.0, at_least=True)
