# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries a scene in a process of its own before the live picture touches it.

A scene's first drawing may compile for seconds, hang the driver or bring it down. Here that happens to a helper: it
compiles the scene, draws it a few times with the very code that the live picture uses, and leaves the machine code in
the driver's cache on disk, where the live process finds it in milliseconds. A helper that takes too long is killed.

Run as a module it is the helper: one JSON line in (`{"id", "path", "width", "height"}`), one JSON line out.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.errors import ApplianceError
from appliance.visuals.isf.errors import Problem, SceneError

log = logging.getLogger(__name__)

LIMIT_S = float(os.environ.get("APPLIANCE_SCENE_LIMIT_S", "20"))
"""A scene that has not drawn a picture by then is refused."""
IDLE_S = 30.0
"""The helper's memory is given back when it has had nothing to do for this long; it starts again when needed."""
FRAMES = 4
ROUNDS, ROUNDS_S, WARM_S = 4, 6.0, 0.05
"""Drawn again up to this often, within this time, until the first picture comes within that."""


@dataclass(frozen=True)
class Trial:
    """What came of a scene. `problem` is None when it can be shown; `tested` is False when no helper could try it."""

    path: Path
    stamp: tuple[int, ...]
    tested: bool
    problem: Problem | None = None
    first_s: float = 0.0
    frame_ms: float = 0.0


class Warmer:
    """The live process's side. Everything is polled; nothing waits. One scene is tried at a time, the newest wish next."""

    def __init__(
        self, width: int, height: int, clock: Callable[[], float] = time.monotonic, limit_s: float = LIMIT_S
    ) -> None:
        self._size = (width, height)
        self._clock = clock
        self._limit_s = limit_s
        self._helper: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self._running: tuple[int, Path, tuple[int, ...], float] | None = None
        self._next: tuple[Path, tuple[int, ...]] | None = None
        self._count = 0
        self._used_at = clock()

    @property
    def busy(self) -> bool:
        """True while a scene is being tried or waits for it."""
        return self._running is not None or self._next is not None

    def try_scene(self, path: Path, stamp: tuple[int, ...]) -> None:
        """Asks for a trial of the scene as it now is; replaces a wish that has not begun."""
        self._next = (path, stamp)

    def poll(self) -> Trial | None:
        """A finished trial, or None. Call once a picture."""
        if self._running is None and self._next is not None:
            self._send()
        if self._running is None:
            if self._helper is not None and self._clock() - self._used_at > IDLE_S:
                self._stop()
            return None
        self._used_at = self._clock()
        number, path, stamp, deadline = self._running
        answer = self._receive(number)
        if answer is not None:
            self._running = None
            return _trial(path, stamp, answer)
        helper = self._helper
        if helper is not None and helper.poll() is not None:
            return self._lost(path, stamp, helper.returncode)
        if self._clock() > deadline:
            self._stop()
            self._running = None
            advice = "make its loops shorter, or take another scene"
            return Trial(path, stamp, True, Problem(path, 0, f"no picture within {self._limit_s:g} s", advice))
        return None

    def _lost(self, path: Path, stamp: tuple[int, ...], status: int) -> Trial:
        """The helper ended in the middle of a trial: by the scene's fault if a signal killed it."""
        self._running = None
        self._stop()
        if status < 0:
            name = signal.Signals(-status).name
            advice = "take another scene; this one must not reach the live picture"
            return Trial(path, stamp, True, Problem(path, 0, f"it brought the graphics driver down ({name})", advice))
        log.warning("visuals: scenes cannot be tried apart (helper ended with status %d)", status)
        return Trial(path, stamp, False)

    def _send(self) -> None:
        assert self._next is not None
        (path, stamp), self._next = self._next, None
        self._count += 1
        self._running = (self._count, path, stamp, self._clock() + self._limit_s)
        request = {"id": self._count, "path": str(path), "width": self._size[0], "height": self._size[1]}
        if self._helper is None or self._helper.poll() is not None:
            self._stop()
            self.start()
        helper = self._helper
        if helper is None or helper.stdin is None:
            return
        try:
            helper.stdin.write(json.dumps(request).encode() + b"\n")
            helper.stdin.flush()
        except OSError:
            pass  # it has ended; poll sees that and says why

    def _receive(self, number: int) -> dict[str, Any] | None:
        helper = self._helper
        if helper is None or helper.stdout is None:
            return {"tested": False}
        try:
            self._rest += os.read(helper.stdout.fileno(), 65536)
        except BlockingIOError:
            pass
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            # A driver may print, too.
            answer = json.loads(line) if line.startswith(b'{"id"') else {}
            if answer.get("id") == number:
                return answer
        return None

    def start(self) -> None:
        """Starts the helper ahead of the first trial; else it starts with it."""
        command = [sys.executable, "-m", "appliance.visuals.warm"]
        root = str(Path(__file__).parents[2])
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        }
        self._rest = b""
        try:
            helper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        except OSError as error:
            log.warning("visuals: scenes cannot be tried apart (%s)", error)
            self._helper = None
            return
        assert helper.stdout is not None
        os.set_blocking(helper.stdout.fileno(), False)
        self._helper = helper

    def _stop(self) -> None:
        helper, self._helper = self._helper, None
        if helper is None:
            return
        helper.kill()
        helper.wait()
        for pipe in (helper.stdin, helper.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass  # what was not yet sent is of no use any more

    def close(self) -> None:
        """Ends the helper at once."""
        self._stop()


def _trial(path: Path, stamp: tuple[int, ...], answer: dict[str, Any]) -> Trial:
    problem = answer.get("problem")
    if problem is not None:
        problem = Problem(Path(problem["file"]), problem["line"], problem["message"], problem["advice"])
    tested, first_s, frame_ms = answer.get("tested", True), answer.get("first_s", 0.0), answer.get("frame_ms", 0.0)
    return Trial(path, stamp, tested, problem, first_s, frame_ms)


def _serve() -> None:
    """The helper's life: until its parent closes the pipe or dies."""
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    os.nice(max(0, 10 - os.nice(0)))
    from appliance.visuals.gl import open_headless

    try:
        gl = open_headless()
    except ApplianceError as error:
        print(f"visuals: {error.message}", file=sys.stderr)
        sys.exit(3)
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {"id": request["id"]}
        try:
            answer["first_s"], answer["frame_ms"] = _draw_once(
                gl, Path(request["path"]), request["width"], request["height"]
            )
        except SceneError as error:
            p = error.problem
            answer["problem"] = {"file": str(p.file), "line": p.line, "message": p.message, "advice": p.advice}
        except Exception as error:  # noqa: BLE001 - whatever a scene does here stays here
            message = f"it cannot be drawn ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"
            answer["problem"] = {"file": request["path"], "line": 0, "message": message, "advice": "take another scene"}
        print(json.dumps(answer), flush=True)


def _draw_once(gl: Any, path: Path, width: int, height: int) -> tuple[float, float]:
    """Seconds from the file to its first picture, and milliseconds of a later one.

    llvmpipe looks machine code up by a shader that its own first compilation alters, so each variant of a shader after
    the first is only found again when it was compiled in a round in which those before it came from the cache.
    """
    began = time.perf_counter()
    first_s, frame_ms = _one_round(gl, path, width, height)
    again_s = first_s
    for _ in range(ROUNDS - 1):
        if time.perf_counter() - began + again_s > ROUNDS_S or again_s < WARM_S:
            break
        again_s, _ = _one_round(gl, path, width, height)
    return first_s, frame_ms


def _one_round(gl: Any, path: Path, width: int, height: int) -> tuple[float, float]:
    from appliance.visuals.graph import Frame, Graph, SceneLayer
    from appliance.visuals.isf.scene import Scene, read_scene
    from appliance.visuals.logo import Logo

    logo = Logo(gl)
    graph = Graph(gl, width, height, logo)
    began = time.perf_counter()
    scene = None
    try:
        scene = Scene(gl, read_scene(path))
        graph.show(SceneLayer(gl, scene, graph.sound), fade=False)
        times = []
        for _ in range(FRAMES):
            graph.draw(Frame(1 / 30))
            gl.finish()
            times.append(time.perf_counter())
    finally:
        graph.release()
        logo.release()
        if scene is not None:
            scene.release()
    return times[0] - began, 1000 * (times[-1] - times[1]) / (FRAMES - 2)


def _die_with_parent() -> None:
    """A helper that is busy in the driver does not see its pipe close: let the kernel end it (prctl PDEATHSIG)."""
    library = ctypes.CDLL(None, use_errno=True)
    if hasattr(library, "prctl"):
        library.prctl(1, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    _serve()
