# SPDX-License-Identifier: GPL-3.0-or-later
"""The default picture: the box's mark, drawn from a handful of lines and arcs with no file and no font.

It is there before any scene is compiled, when every scene fails, and, as a plain PNG, where nothing can draw at all.
"""

from __future__ import annotations

import io

import moderngl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from appliance.visuals.gl import Gl
from appliance.visuals.graph import Frame

Floats = NDArray[np.float32]
Point = tuple[float, float]

WIDTH_EM, HEIGHT_EM = 19.2, 10.8
"""The canvas in heights of a small letter; the word is 10 wide and stands in its middle."""
STROKE_EM = 0.052
_SPACE_EM = 0.42

_VERTEX = """#version 330
in vec2 isf_corner;
out vec2 corner;
void main() { corner = isf_corner; gl_Position = vec4(isf_corner, 0.0, 1.0); }
"""
_FRAGMENT = """#version 330
uniform sampler2D distances;
uniform vec2 canvas;
uniform vec2 fit;
uniform float stroke;
uniform float sharpness;
uniform float breath;
uniform float now;
in vec2 corner;
out vec4 colour;
void main() {
  vec2 place = corner * fit;
  float d = texture(distances, place * 0.5 + 0.5).r;
  float line = smoothstep(stroke + sharpness, stroke - sharpness, d);
  vec2 em = place * canvas * 0.5;
  float sheen = 0.5 + 0.5 * sin(em.x * 0.35 - now * 0.7);
  vec3 ink = mix(vec3(0.72, 0.86, 0.95), vec3(0.98, 0.90, 0.80), sheen);
  vec3 light = ink * line * (0.62 + 0.38 * breath);
  light += vec3(0.16, 0.34, 0.50) * exp(-d * 3.2) * (0.10 + 0.35 * breath);
  light += vec3(0.020, 0.030, 0.052) * (0.6 + 0.4 * breath) * exp(-dot(em, em) * 0.016);
  float grain = fract(sin(dot(gl_FragCoord.xy, vec2(12.9898, 78.233))) * 43758.5453) - 0.5;
  colour = vec4(light + grain / 200.0, 1.0);
}
"""


def breath_at(time_s: float) -> float:
    """How bright the mark stands, 0…1: one calm breath in six seconds, begun at full."""
    return float(0.5 + 0.5 * np.cos(time_s * 2 * np.pi / 6.0))


class Logo:
    """The mark as a source of pictures, like a scene."""

    name = "logo"

    def __init__(self, gl: Gl) -> None:
        self._gl = gl
        # Distances are smooth: a coarse field gives sharp lines at any size, and is there at once.
        distances = distance_field(384, 216)
        self._texture = gl.context.texture((384, 216), 1, distances.tobytes(), dtype="f4")
        self._texture.repeat_x = self._texture.repeat_y = False
        self._program = gl.context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
        self._strip = gl.strip(self._program)
        self._set("canvas", (WIDTH_EM, HEIGHT_EM))
        self._set("stroke", STROKE_EM)
        self._set("distances", 0)

    def draw(self, target: moderngl.Framebuffer, frame: Frame, time_s: float) -> None:
        """Draws the mark in the middle of `target`, whatever its shape."""
        width, height = target.size
        aspect, own = width / height, WIDTH_EM / HEIGHT_EM
        fit = (1.0, own / aspect) if aspect < own else (aspect / own, 1.0)
        self._set("fit", fit)
        self._set("sharpness", 0.7 * WIDTH_EM * fit[0] / width)
        self._set("breath", breath_at(time_s))
        self._set("now", time_s)
        self._texture.use(0)
        target.use()
        self._gl.draw(self._program, self._strip)

    def _set(self, name: str, value: float | Point) -> None:
        self._program[name].value = value  # type: ignore[union-attr]

    def release(self) -> None:
        """Gives its memory on the graphics card back."""
        for thing in (self._strip, self._program, self._texture):
            thing.release()


def logo_png(width: int = 640, height: int = 360) -> bytes:
    """The mark as a PNG, drawn by the processor alone."""
    scale = max(WIDTH_EM / width, HEIGHT_EM / height)
    distances = distance_field(width, height, scale)[::-1]
    line = np.clip((STROKE_EM + 0.7 * scale - distances) / (1.4 * scale), 0, 1)[..., None]
    glow = np.exp(-3.2 * distances)[..., None] * 0.3
    picture = (
        line * np.array([0.86, 0.90, 0.90]) + glow * np.array([0.16, 0.34, 0.50]) + np.array([0.008, 0.012, 0.020])
    )
    buffer = io.BytesIO()
    Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8)).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def distance_field(width: int, height: int, scale: float | None = None) -> Floats:
    """height × width: how far each pixel (rows from the bottom) is from the nearest stroke, in em; `scale` is em a pixel."""
    scale = WIDTH_EM / width if scale is None else scale
    x = ((np.arange(width, dtype=np.float32) + 0.5 - width / 2) * np.float32(scale))[None, :]
    y = ((np.arange(height, dtype=np.float32) + 0.5 - height / 2) * np.float32(scale))[:, None]
    field = np.full((height, width), 99.0, np.float32)
    for distances in _mark(x, y - 1.25):
        np.minimum(field, distances, out=field)
    for distances in _word("appliance", x, y + 3.75):
        np.minimum(field, distances, out=field)
    return field


def _line(x: Floats, y: Floats, a: Point, b: Point) -> Floats:
    dx, dy = b[0] - a[0], b[1] - a[1]
    along = np.clip(((x - a[0]) * dx + (y - a[1]) * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
    return np.hypot(x - a[0] - along * dx, y - a[1] - along * dy)


def _arc(x: Floats, y: Floats, centre: Point, radius: float, start_deg: float, sweep_deg: float) -> Floats:
    px, py = x - centre[0], y - centre[1]
    on_arc = np.abs(np.hypot(px, py) - radius)
    if sweep_deg >= 360:
        return on_arc
    angle = np.mod(np.degrees(np.arctan2(py, px)) - start_deg, 360.0)
    ends = [np.radians(start_deg), np.radians(start_deg + sweep_deg)]
    at_ends = np.minimum(*(np.hypot(px - radius * np.cos(e), py - radius * np.sin(e)) for e in ends))
    return np.where(angle <= sweep_deg, on_arc, at_ends)


def _mark(x: Floats, y: Floats) -> list[Floats]:
    """A record seen from above, with a burst of sound in its middle."""
    bars = [_line(x, y, (0.42 * k, -h), (0.42 * k, h)) for k, h in zip(range(-3, 4), _BURST, strict=True)]
    return [
        _arc(x, y, (0, 0), 2.25, 62, 326),
        _arc(x, y, (0, 0), 2.62, 70, 70),
        _arc(x, y, (0, 0), 2.62, 250, 70),
        *bars,
    ]


_BURST = (0.10, 0.42, 0.90, 1.28, 0.72, 0.34, 0.10)


def _word(text: str, x: Floats, y: Floats) -> list[Floats]:
    total = sum(_LETTERS[letter][0] for letter in text) + _SPACE_EM * (len(text) - 1)
    left, strokes = -total / 2, []
    for letter in text:
        width, shapes = _LETTERS[letter]
        for kind, *numbers in shapes:
            strokes.append((_line if kind == "line" else _arc)(x - left, y, *numbers))
        left += width + _SPACE_EM
    return strokes


_BOWL = ("arc", (0.5, 0.5), 0.5, 0, 360)
_LETTERS: dict[str, tuple[float, tuple[tuple, ...]]] = {
    "a": (1.0, (_BOWL, ("line", (1, 0), (1, 1)))),
    "p": (1.0, (_BOWL, ("line", (0, -0.6), (0, 1)))),
    "l": (0.0, (("line", (0, 0), (0, 1.6)),)),
    "i": (0.0, (("line", (0, 0), (0, 1)), ("line", (0, 1.42), (0, 1.42)))),
    "n": (0.8, (("line", (0, 0), (0, 1)), ("line", (0.8, 0), (0.8, 0.6)), ("arc", (0.4, 0.6), 0.4, 0, 180))),
    "c": (0.9, (("arc", (0.5, 0.5), 0.5, 42, 276),)),
    "e": (1.0, (("arc", (0.5, 0.5), 0.5, 0, 315), ("line", (0, 0.5), (1, 0.5)))),
}
