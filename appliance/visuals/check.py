# SPDX-License-Identifier: GPL-3.0-or-later
"""What `appliance check scene.fs` says about a scene before it ever reaches a stage."""

from __future__ import annotations

from pathlib import Path

from appliance.errors import Unavailable
from appliance.visuals.gl import open_headless
from appliance.visuals.inputs import STANDARD, is_standard
from appliance.visuals.isf.errors import Problem, SceneError
from appliance.visuals.isf.scene import Moment, Scene, SceneFile, read_scene


def check_scene(path: Path | str) -> list[Problem]:
    """All that is wrong with a scene file: parsed, translated and, where a GL context can be had, compiled and drawn.

    Problems of severity "error" keep it from being shown; "warning" ones do not. An empty list: it is good.
    """
    path = Path(path)
    try:
        source = read_scene(path)
    except SceneError as error:
        return [error.problem]
    return [*_misnamed(source), *_drawn(source)]


def _misnamed(source: SceneFile) -> list[Problem]:
    problems = []
    for item in source.header.inputs:
        known = STANDARD.get(item.name)
        if known is not None and not is_standard(item):
            line = source.text.count("\n", 0, max(0, source.text.find(f'"{item.name}"'))) + 1
            message = f"{item.name} is driven by the box as {known.type}, not as {item.type}"
            advice = f"declare it as {known.type}, or give it another name"
            problems.append(Problem(source.path, line, message, advice, "warning"))
    return problems


def _drawn(source: SceneFile) -> list[Problem]:
    try:
        gl = open_headless()
    except Unavailable as error:
        advice = "it was read and translated; check it again where graphics are installed"
        return [Problem(source.path, 0, f"not compiled: {error.message}", advice, "warning")]
    try:
        scene = Scene(gl, source)
        target = gl.context.simple_framebuffer((64, 36))
        for k in range(2):
            scene.draw(target, Moment(k / 30, 1 / 30))
        gl.finish()
        return list(scene.warnings)
    except SceneError as error:
        return [error.problem]
    finally:
        gl.context.release()
