# SPDX-License-Identifier: GPL-3.0-or-later
"""From the GLSL that scene authors write (of several decades) to core GLSL, without moving a single line.

The author's text stays as it is, header comment included, behind a prologue and `#line 1`: the compiler's line numbers
are then the author's own. What changed its name between GLSL versions is renamed within its line or by macros.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from appliance.visuals.isf.errors import SceneError
from appliance.visuals.isf.header import Header

VERSIONS = (330, 420)
"""Tried in this order: almost everything compiles as 330; a few scenes need 420's array initialisers."""

_UNIFORM_TYPES = {
    "float": "float",
    "bool": "bool",
    "event": "bool",
    "long": "int",
    "color": "vec4",
    "point2D": "vec2",
    "image": "sampler2D",
    "audio": "sampler2D",
    "audioFFT": "sampler2D",
}

_COMMON = """\
uniform int PASSINDEX;
uniform int FRAMEINDEX;
uniform vec2 RENDERSIZE;
uniform float TIME;
uniform float TIMEDELTA;
uniform vec4 DATE;
"""

_SAMPLING = """\
vec4 isf_at(sampler2D image, vec2 place) { return texture(image, place); }
vec4 isf_at_pixel(sampler2D image, vec2 pixel) { return texture(image, pixel / vec2(textureSize(image, 0))); }
vec2 isf_size(sampler2D image) { return vec2(textureSize(image, 0)); }
#define IMG_NORM_PIXEL isf_at
#define IMG_PIXEL isf_at_pixel
#define IMG_SIZE isf_size
#define IMG_THIS_PIXEL(image) isf_at(image, isf_FragNormCoord)
#define IMG_THIS_NORM_PIXEL(image) isf_at(image, isf_FragNormCoord)
#define texture2D isf_at
#define texture2DRect isf_at_pixel
#define vv_FragNormCoord isf_FragNormCoord
"""

_FRAGMENT_IO = """\
in vec2 isf_FragNormCoord;
out vec4 isf_FragColor;
"""

_FRAGMENT_SAMPLING = """\
vec4 isf_at(sampler2D image, vec2 place, float bias) { return texture(image, place, bias); }
vec4 isf_at_pixel(sampler2D image, vec2 pixel, float bias) {
  return texture(image, pixel / vec2(textureSize(image, 0)), bias);
}
"""

_VERTEX_IO = """\
in vec2 isf_corner;
out vec2 isf_FragNormCoord;
"""

_VERTEX_SETUP = """\
void isf_vertShaderInit() {
  gl_Position = vec4(isf_corner, 0.0, 1.0);
  isf_FragNormCoord = isf_corner * 0.5 + 0.5;
}
#define vv_vertShaderInit isf_vertShaderInit
#define gl_Vertex vec4(isf_corner, 0.0, 1.0)
"""

DEFAULT_VERTEX = "void main() { isf_vertShaderInit(); }\n"

_DROPPED = re.compile(
    r"^[ \t]*#[ \t]*(?:version|extension)\b.*$|^[ \t]*precision[ \t]+\w+[ \t]+\w+[ \t]*;", re.MULTILINE
)
_RENAMED = (
    (re.compile(r"\bgl_FragColor\b"), "isf_FragColor"),
    (re.compile(r"\bgl_FragData\s*\[\s*0\s*\]"), "isf_FragColor"),
    (re.compile(r"\battribute\b"), "in"),
    (re.compile(r"\b_(\w+?)_imgRect\b"), "vec4(0.0, 0.0, 1.0, 1.0)"),
    (re.compile(r"\b_(\w+?)_imgSize\b"), r"isf_size(\1)"),
    (re.compile(r"\b_(\w+?)_flip\b"), "false"),
)
_VARYING = re.compile(r"\bvarying\b")


@dataclass(frozen=True)
class Sources:
    """A scene's two shaders as core GLSL of one version."""

    version: int
    vertex: str
    fragment: str


def translate(source: str, vertex_source: str | None, header: Header, version: int = VERSIONS[0]) -> Sources:
    """Core GLSL for a scene file's text and, where it has one, its vertex shader's text."""
    uniforms = _COMMON + "".join(f"uniform {kind} {name};\n" for name, kind in _declarations(header))
    fragment = f"#version {version}\n{_FRAGMENT_IO}{uniforms}{_SAMPLING}{_FRAGMENT_SAMPLING}"
    vertex = f"#version {version}\n{_VERTEX_IO}{uniforms}{_SAMPLING}{_VERTEX_SETUP}"
    return Sources(
        version,
        f"{vertex}#line 1\n{_modernise(vertex_source or DEFAULT_VERTEX, 'out')}\n",
        f"{fragment}#line 1\n{_modernise(source, 'in')}\n",
    )


def _declarations(header: Header) -> list[tuple[str, str]]:
    inputs = [(i.name, _UNIFORM_TYPES[i.type]) for i in header.inputs]
    return [*inputs, *((name, "sampler2D") for name in (*header.imported, *header.targets))]


def _modernise(text: str, varying: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    # Some drivers refuse bytes above 127 even in comments.
    text = text.encode("ascii", "replace").decode("ascii")
    text = _DROPPED.sub("", text)
    for pattern, replacement in _RENAMED:
        text = pattern.sub(replacement, text)
    return _VARYING.sub(varying, text)


_MESA = re.compile(r"^\d+:(\d+)(?:\(\d+\))?:\s*(.*)$", re.MULTILINE)
_NVIDIA = re.compile(r"^\d+\((\d+)\)\s*:\s*(.*)$", re.MULTILINE)
_ANGLE = re.compile(r"^ERROR:\s*\d+:(\d+):\s*(.*)$", re.MULTILINE)


def explain_compiler(log: str, scene: Path, vertex: Path | None) -> SceneError:
    """The compiler's first complaint as an error on the author's line, whatever driver wrote the log."""
    in_vertex = vertex is not None and re.search(r"vertex_shader|Vertex shader", log) is not None
    file = vertex if in_vertex and vertex is not None else scene
    for pattern in (_ANGLE, _MESA, _NVIDIA):
        complaints = [(int(m[1]), m[2].strip()) for m in pattern.finditer(log)]
        errors = [c for c in complaints if "warning" not in c[1].lower()]
        if errors:
            line, message = errors[0]
            message = re.sub(r"^error(?:\s+C\d+)?:\s*", "", message)
            advice = "correct this line and save; it is tried again at once"
            return SceneError(file, line, _in_author_names(message), advice)
    lines = [line.strip() for line in log.splitlines() if line.strip() and set(line.strip()) != {"="}]
    last = lines[-1] if lines else "no reason given"
    reason = _in_author_names(next((line for line in lines if "error" in line.lower()), last))
    return SceneError(file, 0, f"the shader does not link: {reason}", "check the names shared by both shaders")


_AUTHOR_NAMES = (
    ("isf_FragColor", "gl_FragColor"),
    ("isf_at_pixel", "IMG_PIXEL"),
    ("isf_at", "IMG_NORM_PIXEL"),
    ("isf_size", "IMG_SIZE"),
)


def _in_author_names(message: str) -> str:
    for ours, theirs in _AUTHOR_NAMES:
        message = message.replace(ours, theirs)
    return message
