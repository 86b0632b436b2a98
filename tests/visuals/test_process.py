# SPDX-License-Identifier: GPL-3.0-or-later
"""The process as the supervisor starts it: logo, scene, broken scenes, hub, heartbeat, the end."""

from __future__ import annotations

import base64
import io
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from appliance.errors import ApplianceError

if TYPE_CHECKING:
    from conftest import Stage

GOOD = "/*{}*/\nvoid main() { gl_FragColor = vec4(1.0, 0.5, 0.0, 1.0); }\n"
BROKEN = "/*{}*/\nvoid main() {\n  gl_FragColor = vec4(nowhere);\n}\n"
ENDLESS = """/*{}*/
void main() {
  float x = 0.0;
  for (int i = 0; i >= 0; i = (i + 1) % 7) x += sin(x + TIME);
  gl_FragColor = vec4(x);
}
"""


def snapshot(stage: Stage) -> np.ndarray:
    answer = stage.do("/visuals/snapshot")
    image = Image.open(io.BytesIO(base64.b64decode(answer["png"])))
    assert image.format == "PNG" and image.size == (answer["width"], answer["height"])
    return np.asarray(image.convert("RGB"))


def own_scene(stage: Stage, text: str, name: str = "mine") -> None:
    folder = stage.box.data / "scenes"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.fs").write_text(text)


def is_good(picture: np.ndarray) -> bool:
    return bool(np.abs(picture.astype(int) - [255, 128, 0]).max() <= 1)


def test_from_the_start_to_the_end(stage: Stage) -> None:
    stage.start()
    stage.until(lambda: stage.state.get("scene") == "logo", "the logo")
    assert snapshot(stage).std() > 5.0
    stage.shows("pulse")
    stage.until(lambda: stage.state["fps"] > 5, "a picture rate in the state")
    assert stage.state["output"] == "offscreen" and stage.state["renderer"]
    assert (stage.state["width"], stage.state["height"]) == (160, 90)
    assert stage.do("/visuals/scenes") == ["aurora", "ink", "lattice", "pulse", "ridges", "tunnel"]
    assert stage.do("/visuals/next") == "ridges"
    stage.shows("ridges")
    with pytest.raises(ApplianceError, match="nothing that visuals can do"):
        stage.do("/visuals/nonsense")
    assert stage.message == ""
    stage.set("/visuals/blackout", True)
    stage.until(lambda: snapshot(stage).max() == 0, "black")
    assert stage.stop() == 0


def test_no_thread_of_it_is_before_the_sound_nor_behind_all(stage: Stage) -> None:
    """One that runs only when nobody else wants to would keep the dead process from its end."""
    stage.start()
    stage.shows("pulse")
    threads = [int(path.name) for path in Path(f"/proc/{stage.process.pid}/task").iterdir()]
    assert {os.sched_getscheduler(thread) for thread in threads} == {os.SCHED_OTHER}
    niceness = {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads}
    assert min(niceness) >= 5 and max(niceness) < 19


def test_a_broken_scene_leaves_the_last_good_one_and_says_which_line_and_a_mended_one_is_shown(stage: Stage) -> None:
    own_scene(stage, GOOD)
    stage.start()
    stage.set("/visuals/scene", "mine")
    stage.shows("mine")
    stage.until(lambda: is_good(snapshot(stage)), "the good picture")
    own_scene(stage, BROKEN)
    stage.until(lambda: "mine.fs:3" in stage.message, "the fault with its line")
    assert "mine stays" in stage.message and is_good(snapshot(stage))
    own_scene(stage, GOOD.replace("0.5", "1.0"))
    stage.until(lambda: snapshot(stage)[..., 1].min() == 255, "the mended picture")
    stage.until(lambda: stage.message == "", "no message any more")
    (stage.box.data / "scenes" / "mine.fs").unlink()
    stage.set("/visuals/scene", "mein")
    stage.until(lambda: "no scene of this name" in stage.message, "the unknown name")
    assert snapshot(stage)[..., 1].min() == 255
    stage.set("/visuals/scene", str(stage.box.data / "scenes" / "gone.fs"))
    stage.until(lambda: "no such scene file" in stage.message, "the unknown path")


def test_started_with_a_broken_scene_it_shows_one_of_its_own(stage: Stage) -> None:
    own_scene(stage, BROKEN)
    stage.desk.values["/visuals/scene"] = "mine"
    stage.start()
    stage.shows("pulse")
    assert "mine.fs:3" in stage.log.read_text()
    own_scene(stage, GOOD)
    stage.set("/visuals/scene", "mine.fs")
    stage.shows("mine")


def test_a_scene_that_never_ends_is_not_seen_and_the_heart_beats_on(stage: Stage) -> None:
    own_scene(stage, ENDLESS)
    stage.start(APPLIANCE_SCENE_LIMIT_S="2")
    stage.shows("pulse")
    stage.set("/visuals/scene", "mine")
    ages = []
    stage.until(lambda: ages.append(stage.beat_age_s()) or "no picture within 2 s" in stage.message, "refused")
    assert max(ages) < 2.0
    assert "pulse stays" in stage.message
    snapshot(stage)


def test_killed_it_leaves_no_helper_and_comes_back_to_the_same_scene(stage: Stage) -> None:
    stage.start()
    stage.set("/visuals/scene", "tunnel")
    stage.shows("tunnel")
    assert stage.process is not None
    helpers = _children(stage.process.pid)
    assert helpers
    stage.process.kill()
    stage.process.wait()
    stage.process = None
    stage.until(lambda: not any(_alive(pid) for pid in helpers), "the helper gone, too", 3.0)
    stage.desk.values["/visuals/state"] = {}
    stage.start()
    stage.shows("tunnel")


def test_the_controls_reach_the_picture(stage: Stage) -> None:
    own_scene(
        stage,
        '/*{"INPUTS": [{"NAME": "red", "TYPE": "float"}]}*/\nvoid main() { gl_FragColor = vec4(red, 0.0, 0.0, 1.0); }',
    )
    stage.start()
    stage.set("/visuals/scene", "mine")
    stage.shows("mine")
    stage.set("/visuals/param/1/value", 1.0)
    stage.until(lambda: snapshot(stage)[..., 0].min() == 255, "all red")
    stage.set("/visuals/brightness", 0.5)
    stage.until(lambda: abs(int(snapshot(stage)[..., 0].max()) - 128) <= 1, "half as bright")


def test_the_music_reaches_the_picture(stage: Stage, drums: Callable[..., np.ndarray]) -> None:
    own_scene(
        stage,
        """/*{"INPUTS": [{"NAME": "audioLow", "TYPE": "float"}, {"NAME": "beatPhase", "TYPE": "float"},
{"NAME": "playing", "TYPE": "bool"}]}*/
void main() { gl_FragColor = vec4(audioLow, beatPhase, playing ? 1.0 : 0.0, 1.0); }""",
    )
    stage.start()
    stage.set("/visuals/scene", "mine")
    stage.shows("mine")
    stage.until(lambda: max(snapshot(stage)[0, 0, [0, 2]]) <= 1, "no engine, no sound")
    sound = drums(3.0)
    telemetry, scope = stage.box.record["telemetry"][0], stage.box.record["scope"][0]
    seen: list[Any] = []
    begin = time.monotonic()
    while (frame := int((time.monotonic() - begin) * 48000)) < 2 * 48000:
        last = np.arange(max(0, frame - 4096), frame)
        scope[last % scope.size] = sound[last]
        clock = telemetry["clock"]
        clock["frame"], clock["monotonic_ns"], clock["beat"] = frame, time.monotonic_ns(), frame / 24000
        clock["bpm"], clock["running"], clock["bar_length"] = 120, 1, 4
        if not seen or frame - seen[-1][0] > 4800:
            seen.append((frame, *snapshot(stage)[0, 0]))
        time.sleep(0.005)
    values = np.array(seen)[4:]
    assert values[:, 1].max() > 120 and np.ptp(values[:, 1]) > 60, "the bass is seen"
    assert np.ptp(values[:, 2]) > 100, "the beat goes round"
    assert values[:, 3].min() == 255, "it plays"
    stage.until(
        lambda: snapshot(stage)[0, 0, 0] < 5 and snapshot(stage)[0, 0, 2] == 0, "silence when the engine is gone"
    )


def test_where_nothing_can_draw_it_lives_on_with_the_logo(stage: Stage) -> None:
    stage.start(__EGL_VENDOR_LIBRARY_FILENAMES="/nonexistent.json")
    stage.until(lambda: "nothing can draw here" in stage.message, "the message")
    assert snapshot(stage).std() > 5.0
    time.sleep(0.5)
    assert stage.beat_age_s() < 0.5
    assert stage.state["output"] == "none"
    assert stage.stop() == 0


def test_stopped_while_a_scene_is_tried(stage: Stage) -> None:
    own_scene(stage, ENDLESS)
    stage.start()
    stage.shows("pulse")
    assert stage.process is not None
    stage.set("/visuals/scene", "mine")
    stage.until(lambda: stage.state.get("warming") == "mine", "the scene is being tried")
    helpers = _children(stage.process.pid)
    assert helpers
    assert stage.stop() == 0
    stage.until(lambda: not any(_alive(pid) for pid in helpers), "the helper gone, too", 3.0)


def test_a_scene_that_brings_the_driver_down_is_refused(stage: Stage) -> None:
    own_scene(stage, ENDLESS)
    stage.start()
    stage.shows("pulse")
    assert stage.process is not None
    stage.set("/visuals/scene", "mine")
    stage.until(lambda: stage.state.get("warming") == "mine", "the scene is being tried")
    for helper in _children(stage.process.pid):
        os.kill(helper, signal.SIGSEGV)
    stage.until(lambda: "brought the graphics driver down (SIGSEGV)" in stage.message, "refused")
    stage.set("/visuals/scene", "tunnel")
    stage.shows("tunnel")


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [int(child) for child in children.read().split()]


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as status:
            return status.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
