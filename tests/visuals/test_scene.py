# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenes of all ages on a real GL: translation, passes, buffers that remember, faults on the author's own line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from appliance.visuals.check import check_scene
from appliance.visuals.gl import Gl
from appliance.visuals.isf.errors import SceneError
from appliance.visuals.isf.scene import Moment, Scene, read_scene


def write(folder: Path, text: str, vertex: str | None = None) -> Path:
    path = folder / "scene.fs"
    path.write_text(text)
    if vertex is not None:
        path.with_suffix(".vs").write_text(vertex)
    return path


def picture(gl: Gl, scene: Scene, count: int = 1, size: tuple[int, int] = (8, 4)) -> np.ndarray:
    """The `count`-th picture, height × width × 4 from the bottom, 0…1."""
    target = gl.context.simple_framebuffer(size)
    for k in range(count):
        scene.draw(target, Moment(k / 30, 1 / 30))
    return np.frombuffer(target.read(components=4), np.uint8).reshape(size[1], size[0], 4) / 255


def test_a_scene_of_the_first_version_of_everything(gl: Gl, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """/*{"INPUTS": [{"NAME": "inputImage", "TYPE": "image"}]}*/
#version 120
#extension GL_ARB_texture_rectangle : enable
precision highp float;
varying vec2 place;
void main() {
  vec4 seen = IMG_NORM_PIXEL(inputImage, vv_FragNormCoord) + IMG_THIS_PIXEL(inputImage) + texture2D(inputImage, place);
  gl_FragColor = seen + vec4(place.x, vv_FragNormCoord.y, IMG_SIZE(inputImage).x * 0.5, 1.0);
}
""",
        "varying vec2 place;\nvoid main() { vv_vertShaderInit(); place = vv_FragNormCoord; }\n",
    )
    seen = picture(gl, Scene(gl, read_scene(path)))
    assert seen[0, 0] == pytest.approx([1 / 16, 1 / 8, 0.5, 1.0], abs=0.01)
    assert seen[3, 7] == pytest.approx([15 / 16, 7 / 8, 0.5, 1.0], abs=0.01)


def test_glsl_of_a_later_version_is_taken_where_330_does_not_do(gl: Gl, tmp_path: Path) -> None:
    path = write(
        tmp_path, "/*{}*/\nconst float a[] = {0.25, 1.0};\nvoid main() { gl_FragColor = vec4(a[0], a[1], 0.0, 1.0); }\n"
    )
    assert picture(gl, Scene(gl, read_scene(path)))[0, 0] == pytest.approx([0.25, 1.0, 0.0, 1.0], abs=0.01)


def test_a_persistent_float_buffer_counts_pictures(gl: Gl, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """/*{"PASSES": [{"TARGET": "count", "PERSISTENT": true, "FLOAT": true, "WIDTH": 1, "HEIGHT": 1}, {}]}*/
void main() {
  if (PASSINDEX == 0) gl_FragColor = IMG_NORM_PIXEL(count, vec2(0.5)) + vec4(1.0);
  else gl_FragColor = vec4(IMG_NORM_PIXEL(count, vec2(0.5)).r / 100.0, float(FRAMEINDEX) / 100.0, RENDERSIZE.x / 100.0, 1.0);
}
""",
    )
    seen = picture(gl, Scene(gl, read_scene(path)), count=40)
    assert seen[0, 0] == pytest.approx([0.40, 0.39, 0.08, 1.0], abs=0.005)


def test_sizes_follow_the_picture_and_the_inputs_and_memory_survives_a_change(gl: Gl, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """/*{"INPUTS": [{"NAME": "part", "TYPE": "float", "DEFAULT": 0.5}],
"PASSES": [{"TARGET": "b", "PERSISTENT": true, "WIDTH": "$WIDTH * $part", "HEIGHT": "$HEIGHT"}, {}]}*/
void main() {
  if (PASSINDEX == 0) gl_FragColor = FRAMEINDEX == 0 ? vec4(0.0, 0.0, 1.0, 1.0) : IMG_THIS_PIXEL(b);
  else gl_FragColor = vec4(IMG_SIZE(b) / 100.0, IMG_THIS_PIXEL(b).b, 1.0);
}
""",
    )
    scene = Scene(gl, read_scene(path))
    assert picture(gl, scene)[0, 0] == pytest.approx([0.04, 0.04, 1.0, 1.0], abs=0.005)
    scene.values["part"] = 0.75
    assert picture(gl, scene)[0, 0] == pytest.approx([0.06, 0.04, 1.0, 1.0], abs=0.005)


def test_a_last_pass_with_a_target_is_shown(gl: Gl, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '/*{"PASSES": [{"TARGET": "only", "WIDTH": 2, "HEIGHT": 2}]}*/\nvoid main() { gl_FragColor = vec4(0.5); }',
    )
    assert picture(gl, Scene(gl, read_scene(path)))[2, 5] == pytest.approx([0.5] * 4, abs=0.01)


def test_imported_pictures_stand_upright_and_a_missing_one_is_a_warning(gl: Gl, tmp_path: Path) -> None:
    Image.fromarray(np.array([[[255, 0, 0]], [[0, 0, 255]]], np.uint8)).save(tmp_path / "flag.png")
    body = "\nvoid main() { gl_FragColor = IMG_THIS_PIXEL(flag); }\n"
    seen = picture(
        gl, Scene(gl, read_scene(write(tmp_path, '/*{"IMPORTED": {"flag": {"PATH": "flag.png"}}}*/' + body)))
    )
    assert seen[3, 0, 0] > 0.7 > 0.3 > seen[3, 0, 2] and seen[0, 0, 2] > 0.7
    scene = Scene(gl, read_scene(write(tmp_path, '/*{\n"IMPORTED": {"flag": {"PATH": "gone.png"}}}*/' + body)))
    assert [(w.line, w.severity) for w in scene.warnings] == [(2, "warning")]
    assert picture(gl, scene).max() == 0.0


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("/*{\n}*/\n\nvoid main() {\n  gl_FragColor = vec4(nowhere);\n}\n", 5, "nowhere"),
        ("// mine\n/*{\n\n}*/\r\nvoid main() {\r\n  float x = 1.0\r\n}\r\n", 7, "syntax error"),
        ('/*{"INPUTS": []}*/\n#version 100\nvoid main() { gl_FragColor = IMG_PIXEL(1.0); }\n', 3, "IMG_PIXEL"),
    ],
)
def test_a_fault_in_the_shader_is_told_on_the_authors_line(
    gl: Gl, tmp_path: Path, text: str, line: int, words: str
) -> None:
    path = tmp_path / "scene.fs"
    path.write_bytes(text.encode())
    with pytest.raises(SceneError) as caught:
        Scene(gl, read_scene(path))
    assert (caught.value.line, caught.value.file) == (line, path)
    assert words in caught.value.message


def test_a_fault_in_the_vertex_shader_is_told_there(gl: Gl, tmp_path: Path) -> None:
    path = write(tmp_path, "/*{}*/\nvoid main() { gl_FragColor = vec4(1.0); }", "void main() {\n  oops();\n}\n")
    with pytest.raises(SceneError) as caught:
        Scene(gl, read_scene(path))
    assert (caught.value.file.name, caught.value.line) == ("scene.vs", 2)


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "empty"), (b"\0\1\2RIFF", "no scene"), (b"x" * 2_000_000, "no scene")]
)
def test_what_is_no_scene_file_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "scene.fs"
    path.write_bytes(content)
    with pytest.raises(SceneError, match=words):
        read_scene(path)


def test_check_tells_what_is_wrong_and_passes_what_is_good(shared_gl: Gl, tmp_path: Path) -> None:
    good = write(
        tmp_path,
        '/*{"INPUTS": [{"NAME": "audioKick", "TYPE": "float"}]}*/\nvoid main() { gl_FragColor = vec4(audioKick); }',
    )
    assert check_scene(good) == []
    odd = write(
        tmp_path, '/*{"INPUTS": [\n{"NAME": "audioKick", "TYPE": "bool"}]}*/\nvoid main() { gl_FragColor = vec4(0.0); }'
    )
    assert [(p.line, p.severity) for p in check_scene(odd)] == [(2, "warning")]
    bad = write(tmp_path, "/*{}*/\nvoid main() {\n gl_FragColor = 1;\n}")
    assert [(p.line, p.severity) for p in check_scene(bad)] == [(3, "error")]
    assert [p.severity for p in check_scene(tmp_path / "gone.fs")] == ["error"]
