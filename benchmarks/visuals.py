# SPDX-License-Identifier: GPL-3.0-or-later
"""What the picture costs: every scene of the box at 640 × 360 on an injected clock, and how soon there is one.

The peer of a scene is the cheapest picture of that size, the logo's program on the same context in the same run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from appliance.bus.box import Box
from appliance.bus.memory import unlink
from appliance.config import Config
from appliance.visuals.analysis import Analysis, Heard, Listening
from appliance.visuals.gl import Gl, open_headless
from appliance.visuals.graph import Frame, Graph, SceneLayer, Source
from appliance.visuals.isf.scene import Scene, read_scene, stamp_of
from appliance.visuals.library import OWN_SCENES, SceneLibrary
from appliance.visuals.logo import Logo
from appliance.visuals.warm import Trial, Warmer

SIZE = (640, 360)
FRAMES = 120
RATE = 48000


def rows() -> list[dict[str, Any]]:
    """The figures; every `limit` is the most that will do."""
    heard, analysis_us = _music()
    gl = open_headless()
    found = [_row("analysis_frame_us", analysis_us, "us a picture", 3000)]
    found += _scenes(gl, heard)
    found.append(_row("visuals_logo_s", _logo_s(), "s", 2.0))
    cold, warm = _warming()
    found.append(_row("scene_warm_up_cold_s", cold, "s", 4.0))
    found.append(_row("scene_warm_up_s", warm, "s", 2.0))
    gl.context.release()
    return found


def _row(name: str, value: float, unit: str, limit: float | None, peer: float | None = None) -> dict[str, Any]:
    return {"id": name, "value": round(value, 3), "unit": unit, "limit": limit, "peer": peer}


def _music() -> tuple[list[Heard], float]:
    """Four seconds of noise in beats, as heard once a picture, and what hearing costs."""
    rng = np.random.default_rng(1)
    frames = np.arange(5 * RATE)
    sound = (rng.standard_normal(frames.size) * np.exp(-(frames % (RATE // 2)) / 4000) * 0.3).astype(np.float32)
    analysis, heard, took = Analysis(RATE), [], []
    for k in range(FRAMES):
        end = 4096 + k * RATE // 30
        listening = Listening(sound[end - 4096 : end], end, RATE, end / RATE * 2, 4.0, 120.0, True)
        began = time.perf_counter()
        heard.append(analysis.hear(listening))
        took.append(time.perf_counter() - began)
    return heard, float(np.median(took)) * 1e6


def _scenes(gl: Gl, heard: list[Heard]) -> list[dict[str, Any]]:
    logo = Logo(gl)
    peer = _times(gl, logo, heard)
    found = [_row("logo_frame_ms_p50", float(np.median(peer)), "ms", None)]
    limit = 50.0 if gl.is_software else 8.0  # 20 pictures a second without a graphics card, 120 with one
    for name, path in SceneLibrary().all().items():
        scene = Scene(gl, read_scene(path))
        times = _times(gl, logo, heard, scene)
        p50, p99 = (float(v) for v in np.percentile(times, [50, 99]))
        found.append(_row(f"scene_{name}_frame_ms_p50", p50, "ms", limit, round(float(np.median(peer)), 3)))
        found.append(_row(f"scene_{name}_frame_ms_p99", p99, "ms", None, round(float(np.percentile(peer, 99)), 3)))
        scene.release()
    logo.release()
    return found


def _times(gl: Gl, logo: Logo, heard: list[Heard], scene: Scene | None = None) -> np.ndarray:
    """Milliseconds of every picture after the first three, drawn to the end."""
    graph = Graph(gl, *SIZE, logo)
    source: Source = logo if scene is None else SceneLayer(gl, scene, graph.sound)
    graph.show(source, fade=False)
    took = []
    for what in heard:
        began = time.perf_counter()
        graph.draw(Frame(1 / 30, what))
        gl.finish()
        took.append((time.perf_counter() - began) * 1000)
    graph.release()
    return np.array(took[3:])


def _logo_s() -> float:
    """Seconds from the start of the process until the logo is on the output."""
    with tempfile.TemporaryDirectory() as folder:
        config = Config()
        config.visuals.display = "none"
        box = Box.create(Path(folder), config)
        began = time.monotonic()
        command = [sys.executable, "-m", "appliance.visuals", "--box", str(box.run / "box.json")]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        logo_s = next(
            (time.monotonic() - began for line in process.stderr if "the logo is shown" in line), float("nan")
        )
        process.terminate()
        process.wait(5)
        process.stderr.close()
        unlink(box.segment.name)
    return logo_s


def _warming() -> tuple[float, float]:
    """Seconds from the wish for the dearest scene to its verdict: with an empty cache for shaders, and with a full one."""
    path = OWN_SCENES / "ridges.fs"
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("MESA_SHADER_CACHE_DIR")
        os.environ["MESA_SHADER_CACHE_DIR"] = folder
        try:
            return _trial_s(path), _trial_s(path)
        finally:
            if before is None:
                del os.environ["MESA_SHADER_CACHE_DIR"]
            else:
                os.environ["MESA_SHADER_CACHE_DIR"] = before


def _trial_s(path: Path) -> float:
    warmer = Warmer(*SIZE)
    began = time.perf_counter()
    warmer.try_scene(path, stamp_of(path))
    trial: Trial | None = None
    while trial is None:
        trial = warmer.poll()
        time.sleep(0.005)
    warmer.close()
    if trial.problem is not None:
        raise RuntimeError(str(trial.problem))
    return time.perf_counter() - began


if __name__ == "__main__":
    import json

    print(json.dumps(rows(), indent=1))
