# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what is shown: the scene that is wished for once it has proved itself, until then what was shown before.

A scene goes live only after a trial in the helper process (warm.py). A file that is saved again is tried again. What
fails leaves the last good scene, or the logo, and a message with file and line.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import moderngl

from appliance.visuals.gl import Gl
from appliance.visuals.graph import Frame, Graph, SceneLayer
from appliance.visuals.isf.errors import SceneError
from appliance.visuals.isf.scene import Scene, read_scene, stamp_of
from appliance.visuals.library import SceneLibrary
from appliance.visuals.logo import Logo
from appliance.visuals.warm import Trial, Warmer

log = logging.getLogger(__name__)

LOOK_S = 0.5
"""How often the wished scene's file is looked at for changes."""
SLOW_MS = 80.0
"""A scene that needs longer for a picture is shown, but said to be slow."""
FIRST_CHOICE = "pulse"


class Director:
    """Owns the graph and what is in it. `busy` brackets moments in which the driver may stop the thread for seconds."""

    def __init__(
        self,
        gl: Gl,
        size: tuple[int, int],
        library: SceneLibrary,
        clock: Callable[[], float] = time.monotonic,
        busy: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.gl = gl
        self.library = library
        self.message = ""
        self._clock = clock
        self._busy = busy
        self._logo = Logo(gl)
        self.graph = Graph(gl, *size, self._logo)
        self._mark = gl.context.texture(size, 4)
        framebuffer = gl.context.framebuffer([self._mark])
        self._logo.draw(framebuffer, Frame(0.0), 0.0)
        self.graph.layers[0].target.use()
        framebuffer.release()
        self._warmer = Warmer(*size, clock=clock)
        self._shown: Scene | None = None
        self._wish: Path | None = None
        self._stamp: tuple[int, ...] = ()
        self._fallbacks: list[Path] | None = None
        self._look_at = 0.0

    @property
    def shown(self) -> str:
        """Name of the scene that is seen, `logo` while there is none."""
        return self._shown.name if self._shown else self._logo.name

    @property
    def shown_path(self) -> Path | None:
        """File of the scene that is seen."""
        return self._shown.source.path if self._shown else None

    @property
    def warming(self) -> str:
        """Name of the scene that is being tried, empty when none is."""
        return self._wish.stem if self._wish and self._warmer.busy else ""

    def want(self, wish: str) -> None:
        """Asks for a scene by name or path; it is seen when it is ready. An unknown one is only spoken about."""
        try:
            path = self.library.find(wish)
        except SceneError as error:
            self._refuse(error)
            return
        if path == self._wish and self._stamp == stamp_of(path) and (self._warmer.busy or path == self.shown_path):
            return
        self._try(path)

    def _try(self, path: Path) -> None:
        self._wish, self._stamp = path, stamp_of(path)
        self._warmer.try_scene(path, self._stamp)

    def update(self) -> None:
        """Takes finished trials and looks at the wished file. Call once a picture."""
        trial = self._warmer.poll()
        if trial is not None and trial.path == self._wish:
            self._judge(trial)
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            self._look()

    def _look(self) -> None:
        if self._wish is None:
            return
        stamp = stamp_of(self._wish)
        # An editor may take the file away for a moment while it saves; that is no change.
        if stamp and stamp != self._stamp:
            log.info("visuals: %s has changed, trying it", self._wish.name)
            self._try(self._wish)

    def _judge(self, trial: Trial) -> None:
        if trial.problem is not None:
            p = trial.problem
            self._refuse(SceneError(p.file, p.line, p.message, p.advice))
            return
        try:
            scene = self._compile(trial.path)
        except SceneError as error:
            self._refuse(error)
            return
        self._go_live(scene)
        slow = trial.frame_ms > SLOW_MS
        self.message = "; ".join(str(w) for w in scene.warnings)
        if slow:
            rate = 1000 / trial.frame_ms
            self.message = (
                f"{scene.name} draws only {rate:.0f} pictures a second here; set a smaller visuals.width and height"
            )
        log.info("visuals: showing %s (first picture after %.2f s)", scene.name, trial.first_s)

    def _compile(self, path: Path) -> Scene:
        """The scene with its first picture drawn, where nobody sees it."""
        with self._busy():
            scene = Scene(self.gl, read_scene(path))
            layer = self._layer(scene)
            try:
                layer.draw(self.graph.layers[0].target, Frame(1 / 30), 0.0)
                self.gl.finish()
            except (SceneError, moderngl.Error):
                scene.release()
                raise
        return scene

    def _layer(self, scene: Scene) -> SceneLayer:
        """The scene with what it is fed; a filter gets the mark to work on."""
        return SceneLayer(self.gl, scene, self.graph.sound, self._mark)

    def _go_live(self, scene: Scene) -> None:
        reload = self._shown is not None and self._shown.source.path == scene.source.path
        before = self.graph.show(self._layer(scene), fade=not reload)
        if before is not self._logo:
            before.release()
        self._shown = scene
        self._stamp = scene.source.stamp

    def draw(self, frame: Frame) -> None:
        """Draws the next picture; a scene that fails now is taken off at once."""
        try:
            self.graph.draw(frame)
        except (SceneError, moderngl.Error) as error:
            problem = error if isinstance(error, SceneError) else None
            path = self.shown_path or Path("scene")
            self._take_off()
            self._refuse(problem or SceneError(path, 0, f"drawing failed ({error})", "take another scene"))
            self.graph.draw(frame)

    def _take_off(self) -> None:
        before = self.graph.show(self._logo, fade=False)
        if before is not self._logo:
            before.release()
        self._shown = None

    def _refuse(self, error: SceneError) -> None:
        """Says what is wrong; with nothing to show but the logo, the box's own scenes are tried one after the other."""
        stays = f"{self.shown} stays" if self._shown else "the logo is shown"
        self.message = f"{error.message} ({stays})"
        log.warning("visuals: %s", self.message)
        if self._shown is not None:
            return
        if self._fallbacks is None:
            own = self.library.all()
            self._fallbacks = sorted(own.values(), key=lambda p: p.stem != FIRST_CHOICE)
        while self._fallbacks:
            path = self._fallbacks.pop(0)
            if path != self._wish:
                message = self.message
                self._try(path)
                self.message = message
                return

    def release(self) -> None:
        """Ends the helper and gives everything back."""
        self._warmer.close()
        self._take_off()
        self.graph.release()
        self._mark.release()
        self._logo.release()
