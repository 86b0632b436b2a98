# SPDX-License-Identifier: GPL-3.0-or-later
"""Every scene of the box drawn on an injected clock and compared with its golden picture; the music must be seen.

A golden is made by deleting it and running the test once with `APPLIANCE_WRITE_GOLDENS=1`; look at it before it is kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from appliance.visuals.analysis import SILENCE, Analysis, Heard
from appliance.visuals.gl import Gl
from appliance.visuals.graph import Controls, Frame, Graph, SceneLayer, Source
from appliance.visuals.inputs import STANDARD, controls, from_control
from appliance.visuals.isf.scene import Scene, read_scene
from appliance.visuals.library import OWN_SCENES, SceneLibrary
from appliance.visuals.logo import Logo

GOLDEN = Path(__file__).parent / "golden"
SIZE = (160, 90)
SCENES = sorted(SceneLibrary().all())
MEAN_LIMIT, OUTLIER_LIMIT = 2.0, 0.02
"""Mean absolute error of 255, and the share of values that may differ by more than 16: other rasterisers round otherwise."""


def draw(gl: Gl, source: Callable[[Graph], Source], heard: list[Heard], **hands: object) -> np.ndarray:
    """The last of as many pictures as there are things heard, at 30 a second, height × width × 3 from the top."""
    logo = Logo(gl)
    graph = Graph(gl, *SIZE, logo)
    graph.show(source(graph), fade=False)
    for what in heard:
        graph.draw(Frame(1 / 30, what, Controls(**hands)))  # type: ignore[arg-type]
    seen = np.frombuffer(graph.read(), np.uint8).reshape(SIZE[1], SIZE[0], 3)[::-1]
    graph.release()
    logo.release()
    return seen


def scene(gl: Gl, name: str) -> Callable[[Graph], Source]:
    return lambda graph: SceneLayer(gl, Scene(gl, read_scene(OWN_SCENES / f"{name}.fs")), graph.sound)


@pytest.fixture(scope="module")
def music(drums: Callable[..., np.ndarray], listen: Callable) -> list[Heard]:
    sound, analysis = drums(3.0), Analysis(48000)
    return [analysis.hear(listen(sound, k * 1600)) for k in range(1, 78)]


def compare(seen: np.ndarray, name: str) -> None:
    path = GOLDEN / f"{name}.png"
    if os.environ.get("APPLIANCE_WRITE_GOLDENS") and not path.exists():
        GOLDEN.mkdir(exist_ok=True)
        Image.fromarray(seen).save(path)
    golden = np.asarray(Image.open(path).convert("RGB")).astype(int)
    error = np.abs(seen.astype(int) - golden)
    assert error.mean() <= MEAN_LIMIT
    assert (error > 16).mean() <= OUTLIER_LIMIT


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_looks_as_it_should(gl: Gl, music: list[Heard], name: str) -> None:
    compare(draw(gl, scene(gl, name), music), name)


def test_the_logo_looks_as_it_should(gl: Gl) -> None:
    compare(draw(gl, lambda graph: Logo(gl), [SILENCE] * 20), "logo")


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_shows_the_music_and_is_worth_looking_at_without(gl: Gl, music: list[Heard], name: str) -> None:
    loud = draw(gl, scene(gl, name), music).astype(int)
    calm = draw(gl, scene(gl, name), [SILENCE] * len(music)).astype(int)
    assert np.abs(loud - calm).mean() > 2.0
    assert loud.mean() > 8.0 and loud.std() > 10.0
    assert calm.mean() > 0.5 and calm.std() > 1.0


@pytest.mark.parametrize("name", SCENES)
def test_a_kick_alone_changes_the_picture(gl: Gl, music: list[Heard], name: str) -> None:
    if not any(i.name == "audioKick" for i in read_scene(OWN_SCENES / f"{name}.fs").header.inputs):
        pytest.fail("every scene of the box answers to the kick")
    still = [Heard(beat=1.0)] * 10
    struck = [*still[:-2], *[Heard(beat=1.0, kick=1.0, kick_hit=True)] * 2]
    difference = np.abs(draw(gl, scene(gl, name), still).astype(int) - draw(gl, scene(gl, name), struck).astype(int))
    assert difference.max() > 12


@pytest.mark.parametrize("name", SCENES)
def test_every_control_of_a_scene_does_something(gl: Gl, music: list[Heard], name: str) -> None:
    middle = draw(gl, scene(gl, name), music[:30]).astype(int)
    count = len(controls(Scene(gl, read_scene(OWN_SCENES / f"{name}.fs"))))
    assert 3 <= count <= 8
    for number in range(count):
        turned = tuple(0.9 if k == number else 0.5 for k in range(8))
        assert np.abs(draw(gl, scene(gl, name), music[:30], positions=turned).astype(int) - middle).mean() > 0.1, number


def test_the_middle_of_a_control_is_the_authors_default(gl: Gl) -> None:
    for item in controls(Scene(gl, read_scene(OWN_SCENES / "pulse.fs"))):
        assert from_control(item, 0.5) == pytest.approx(item.default)
        assert (from_control(item, 0.0), from_control(item, 1.0)) == (item.minimum, item.maximum)


def test_blackout_brightness_and_freeze(gl: Gl, music: list[Heard]) -> None:
    assert draw(gl, scene(gl, "aurora"), music[:20], blackout=True).max() == 0
    full = draw(gl, scene(gl, "aurora"), music[:20]).astype(float)
    half = draw(gl, scene(gl, "aurora"), music[:20], brightness=0.5).astype(float)
    assert np.abs(half - full / 2).max() <= 1.0
    logo = Logo(gl)
    graph = Graph(gl, *SIZE, logo)
    graph.show(scene(gl, "aurora")(graph), fade=False)
    pictures = []
    for k, what in enumerate(music[:30]):
        graph.draw(Frame(1 / 30, what, Controls(freeze=10 <= k < 20)))
        pictures.append(graph.read())
    assert len(set(pictures[9:20])) == 1 and pictures[20] != pictures[19]
    graph.release()
    logo.release()


def test_one_scene_fades_into_the_next(gl: Gl, music: list[Heard]) -> None:
    logo = Logo(gl)
    graph = Graph(gl, *SIZE, logo)
    graph.show(scene(gl, "aurora")(graph), fade=False)
    for what in music[:10]:
        graph.draw(Frame(1 / 30, what))
    before = np.frombuffer(graph.read(), np.uint8).astype(int)
    away = [0.0]
    graph.show(logo)
    for _ in range(25):
        graph.draw(Frame(1 / 30))
        away.append(np.abs(np.frombuffer(graph.read(), np.uint8) - before).mean())
    assert away[-1] > 10.0
    assert 0.0 < np.abs(np.diff(away)).max() < 0.2 * away[-1], "no jump"
    graph.release()
    logo.release()


def test_the_page_for_authors_names_every_standard_input() -> None:
    page = (Path(__file__).parents[2] / "docs" / "scenes.md").read_text()
    for standard in STANDARD.values():
        assert f"| `{standard.name}` | {standard.type} |" in page
