# SPDX-License-Identifier: GPL-3.0-or-later
"""The process: opens the output, shows the logo, then the scene, and keeps drawing whatever happens around it."""

from __future__ import annotations

import datetime as dt
import logging
import os
import queue
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from appliance.bus.box import Box, Role
from appliance.bus.safeform import safe_form
from appliance.config import Visuals as VisualsConfig
from appliance.config import cache_folder
from appliance.errors import Unavailable
from appliance.visuals.analysis import Analysis
from appliance.visuals.director import Director
from appliance.visuals.graph import Controls, Frame
from appliance.visuals.hearing import Ear
from appliance.visuals.inputs import PARAMS
from appliance.visuals.library import SceneLibrary
from appliance.visuals.link import Link, Picture
from appliance.visuals.logo import logo_png
from appliance.visuals.output import Offscreen, Output, display_answers, open_output
from appliance.visuals.pacing import Pacer
from appliance.visuals.pulse import Pulse

log = logging.getLogger(__name__)

SOFTWARE_SIZE, SOFTWARE_FPS = (640, 360), 30
"""Where the processor draws, most of it belongs to the sound."""
HARDWARE_SIZE, HARDWARE_FPS = (1280, 720), 60
NICE = 5
STATE_S = 1.0
RETRY_S = 3.0
"""How often a display that could not be had is asked for again."""
SAFE_MESSAGE = f"the safe form after crashes: {safe_form('visuals', 1)}"
LONGEST_DELTA_S = 0.25
"""A scene does not leap further than this after a stall."""


def run(path: Path, *, safe: bool = False) -> int:
    """The whole life of the process; returns its exit status. `safe`: the logo, until another scene is chosen."""
    use_shader_cache()
    box = Box.attach(path, "visuals")
    library = SceneLibrary(box.data / "scenes")
    pulse = Pulse(box.beat)
    pulse.start()
    link = Link(box.hub_path, library)
    link.begin()
    try:
        while not pulse.stopping.is_set():
            _one_output(box, library, pulse, link, safe)
    finally:
        link.end()
        pulse.end()
    return 0


def use_shader_cache() -> None:
    """Names a folder that may be written to for the driver's compiled shaders; the helper process shares it."""
    folder = cache_folder() / "shaders"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("visuals: no cache for shaders (%s); scenes take longer to appear", error)
        return
    os.environ.setdefault("MESA_SHADER_CACHE_DIR", str(folder))
    os.environ.setdefault("__GL_SHADER_DISK_CACHE_PATH", str(folder))


def be_there(box: Box, pulse: Pulse) -> None:
    """There is a picture: say so, and draw from now on behind what sounds. Until then the supervisor lets us hurry."""
    if not pulse.beating:
        pulse.begin()
        box.say_role(Role.RUNNING)
        draw_behind()


def draw_behind() -> None:
    """Niceness counts by thread: all that are there get it. None of the driver's may run only when nothing else wants to, as
    that for its cache does: on a busy machine the dead process then waited for its end for up to 1.7 s, and so did the next."""
    for thread in Path("/proc/self/task").iterdir():
        number = int(thread.name)
        with suppress(OSError):  # it has ended; or we may not
            if os.sched_getscheduler(number) in (os.SCHED_IDLE, os.SCHED_BATCH):
                os.sched_setscheduler(number, os.SCHED_OTHER, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, number, NICE)


def _one_output(box: Box, library: SceneLibrary, pulse: Pulse, link: Link, safe: bool) -> None:
    """Draws to one output until the process ends or a better output can be had."""
    try:
        with pulse.busy():
            output = open_output(box.config.visuals.display)
    except Unavailable as error:
        log.error("visuals: %s", error.message)
        be_there(box, pulse)
        _without_graphics(pulse, link, error.message)
        return
    log.info("visuals: drawing with %s, %s", output.gl.renderer, output.description)
    if output.message:
        log.warning("visuals: %s", output.message)
    stage = Stage(box, output, library, pulse, link, safe=safe)
    try:
        stage.run()
    finally:
        stage.release()
        output.release()


def _without_graphics(pulse: Pulse, link: Link, message: str) -> None:
    """Where nothing can draw: says so, and answers snapshots with the logo."""
    picture = Picture(*SOFTWARE_SIZE, png=logo_png(*SOFTWARE_SIZE))
    link.publish("/visuals/message", message)
    link.publish(
        "/visuals/state", {"scene": "logo", "output": "none", "renderer": "none", "fps": 0.0, "message": message}
    )
    while not pulse.stopping.wait(0.05):
        pulse.progress()
        _answer(link, picture)


def _answer(link: Link, picture: Picture) -> None:
    while True:
        try:
            wish = link.snapshots.get_nowait()
        except queue.Empty:
            return
        if wish.set_running_or_notify_cancel():
            wish.set_result(picture)


def plan(config: VisualsConfig, output: Output) -> tuple[tuple[int, int], int]:
    """Size and rate of the picture: the config's, or what the renderer can carry."""
    software = output.gl.is_software
    native = output.native_size if all(output.native_size) else HARDWARE_SIZE
    size = SOFTWARE_SIZE if software else native
    if config.width and config.height:
        size = config.width, config.height
    elif config.width or config.height:
        ratio = size[0] / size[1]
        size = (
            (config.width, round(config.width / ratio))
            if config.width
            else (round(config.height * ratio), config.height)
        )
    return (max(16, size[0]), max(16, size[1])), config.fps or (SOFTWARE_FPS if software else HARDWARE_FPS)


class Stage:
    """One output with its scenes, and the loop that draws them."""

    def __init__(self, box: Box, output: Output, library: SceneLibrary, pulse: Pulse, link: Link, *, safe: bool = False
                 ) -> None:
        self._safe = safe
        self._box, self._output, self._pulse, self._link = box, output, pulse, link
        self._size, fps = plan(box.config.visuals, output)
        self._pacer = Pacer(fps)
        self._ear = Ear(box.telemetry, lambda: box.rate)
        self._analysis = Analysis(box.rate)
        find = box.values.find
        self._switches = {n: find(f"/visuals/{n}") for n in ("blackout", "freeze", "brightness", "reactivity", "speed")}
        self._positions = [find(f"/visuals/param/{k}/value") for k in range(1, PARAMS + 1)]
        with pulse.busy():
            self._director = Director(output.gl, self._size, library, busy=pulse.busy)
            self._director.draw(Frame(0.0))
            output.present(self._director.graph.picture)
        log.info("visuals: the logo is shown")
        be_there(box, pulse)
        self._told_at = time.monotonic()
        self._told_scene = ""

    def run(self) -> None:
        """Draws until the process ends or the display that was missing is there."""
        wish = ""
        retry_at = time.monotonic() + RETRY_S
        while not self._pulse.stopping.is_set():
            delta_s = min(self._pacer.wait(), LONGEST_DELTA_S)
            self._pulse.progress()
            self._output.poll()
            if self._link.wish != wish and not self._waits:
                wish = self._link.wish
                self._director.want(wish)
            self._director.update()
            self._director.draw(self._frame(delta_s))
            self._output.present(self._director.graph.picture)
            if not self._link.snapshots.empty():
                _answer(self._link, Picture(*self._size, rgb=self._director.graph.read()))
            self._tell()
            if time.monotonic() >= retry_at:
                retry_at += RETRY_S
                if isinstance(self._output, Offscreen) and self._output.message and display_answers():
                    return

    @property
    def _waits(self) -> bool:
        """In the safe form: nobody has chosen another scene than the one that may have killed us."""
        return self._safe and not self._link.chosen

    def _frame(self, delta_s: float) -> Frame:
        values = self._box.values
        switches: dict[str, Any] = {name: values.get(address) for name, address in self._switches.items()}
        positions = tuple(float(values.get(address)) for address in self._positions)
        heard = self._analysis.hear(self._ear.listen())
        return Frame(delta_s, heard, Controls(**switches, positions=positions), dt.datetime.now())

    def _tell(self) -> None:
        """Publishes what people want to know: at once when the scene or the message changes, else once a second."""
        message = SAFE_MESSAGE if self._waits else self._director.message or self._output.message
        self._link.publish("/visuals/message", message)
        now = time.monotonic()
        if now - self._told_at < STATE_S and self._director.shown == self._told_scene:
            return
        self._told_at, self._told_scene = now, self._director.shown
        gl = self._output.gl
        self._link.publish(
            "/visuals/state",
            {
                "scene": self._director.shown,
                "warming": self._director.warming,
                "output": self._output.description,
                "renderer": gl.renderer,
                "software": gl.is_software,
                "width": self._size[0],
                "height": self._size[1],
                "fps": round(self._pacer.measured_fps, 1),
                "fps_wanted": self._pacer.fps,
                "message": message,
            },
        )

    def release(self) -> None:
        """Gives back what was made on the output's context."""
        self._director.release()
