# SPDX-License-Identifier: GPL-3.0-or-later
"""A scene on the graphics card: its program, its buffers with what they remember, and the drawing of one picture."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import moderngl
from PIL import Image, UnidentifiedImageError

from appliance.visuals.gl import Gl
from appliance.visuals.isf import glsl
from appliance.visuals.isf.errors import Problem, SceneError
from appliance.visuals.isf.expression import ExpressionError
from appliance.visuals.isf.header import Header, Input, Pass
from appliance.visuals.isf.header import parse as parse_header

MAX_FILE = 1_000_000


@dataclass(frozen=True)
class SceneFile:
    """A scene as it stands on disk: read and parsed, not yet compiled."""

    path: Path
    text: str
    header: Header
    vertex_path: Path | None
    vertex_text: str | None
    stamp: tuple[int, ...]

    @property
    def name(self) -> str:
        """How people call it: the file's name without `.fs`."""
        return self.path.stem


def stamp_of(path: Path) -> tuple[int, ...]:
    """Changes whenever the scene file or its vertex shader does; empty when the scene is gone."""
    numbers: list[int] = []
    for file in (path, path.with_suffix(".vs")):
        try:
            status = file.stat()
        except OSError:
            continue
        numbers += [status.st_mtime_ns, status.st_size, status.st_ino]
    return tuple(numbers)


def read_scene(path: Path) -> SceneFile:
    """Reads and parses a scene file with the `.vs` beside it. Raises SceneError."""
    stamp = stamp_of(path)
    text = _read(path)
    vertex_path = path.with_suffix(".vs")
    has_vertex = vertex_path.is_file() and vertex_path != path
    vertex_text = _read(vertex_path) if has_vertex else None
    header = parse_header(text, path).header
    return SceneFile(path, text, header, vertex_path if has_vertex else None, vertex_text, stamp)


def _read(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SceneError(
            path, 0, f"the scene cannot be read ({reason})", "check the name and that the file is there"
        ) from None
    if len(raw) > MAX_FILE or b"\0" in raw:
        raise SceneError(path, 0, "this is no scene: too large or not text", "choose an ISF file, usually named .fs")
    if not raw.strip():
        raise SceneError(path, 0, "the scene file is empty", "save it again, or take another scene")
    return raw.decode("utf-8-sig", "replace")


@dataclass(frozen=True)
class Moment:
    """When a picture is drawn, by the injected clock: seconds since the scene began, seconds since its last picture."""

    time_s: float
    delta_s: float
    date: dt.datetime = dt.datetime(2000, 1, 1)

    @property
    def date_vector(self) -> tuple[float, float, float, float]:
        """Year, month, day, seconds since midnight, as the format has them."""
        d = self.date
        return (
            float(d.year),
            float(d.month),
            float(d.day),
            d.hour * 3600 + d.minute * 60 + d.second + d.microsecond * 1e-6,
        )


@dataclass
class _Buffer:
    """Two pictures of one size: the one to read and the one being drawn."""

    front: moderngl.Framebuffer
    back: moderngl.Framebuffer

    @property
    def texture(self) -> moderngl.Texture:
        texture = self.front.color_attachments[0]
        assert isinstance(texture, moderngl.Texture)
        return texture

    def swap(self) -> None:
        self.front, self.back = self.back, self.front

    def release(self) -> None:
        for framebuffer in (self.front, self.back):
            for attachment in framebuffer.color_attachments:
                attachment.release()
            framebuffer.release()


class Scene:
    """A compiled scene. `values` holds what its inputs are at the next drawing, by name; write into it freely.

    Made on the thread that owns the context; raises SceneError when the shader does not compile. The first drawing may
    take seconds, see warm.py.
    """

    def __init__(self, gl: Gl, source: SceneFile) -> None:
        self.source = source
        self.header = source.header
        self.warnings: list[Problem] = []
        self._gl = gl
        self._program = _compile(gl, source)
        self._strip = gl.strip(self._program)
        self.values: dict[str, Any] = {i.name: i.default for i in self.header.inputs if not i.is_texture}
        self._numeric = tuple(i.name for i in self.header.inputs if i.type in ("float", "long", "bool", "event"))
        self._uniforms = {name for name in self._program if isinstance(self._program[name], moderngl.Uniform)}
        self._blank = gl.context.texture((1, 1), 4, bytes(4))
        self._imported = {name: self._import(name, file) for name, file in self.header.imported.items()}
        self._buffers: dict[str, _Buffer] = {}
        self._frame = 0

    @property
    def name(self) -> str:
        """How people call it."""
        return self.source.name

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What the scene can be told, in its author's order."""
        return self.header.inputs

    def draw(
        self, target: moderngl.Framebuffer, moment: Moment, textures: Mapping[str, moderngl.Texture] | None = None
    ) -> None:
        """Draws the next picture into `target`, at its size; `textures` are its image and sound inputs by name."""
        width, height = target.size
        sizes = self._sizes(width, height)
        shared = {**self._imported, **(textures or {})}
        for step, size in zip(self.header.passes, sizes, strict=True):
            if step.target:
                self._buffer(step, size)
        self._set("TIME", float(moment.time_s))
        self._set("TIMEDELTA", float(moment.delta_s))
        self._set("FRAMEINDEX", self._frame)
        self._set("DATE", moment.date_vector)
        for item in self.header.inputs:
            if not item.is_texture:
                self._set(item.name, _uniform_value(item, self.values[item.name]))
        for index, (step, size) in enumerate(zip(self.header.passes, sizes, strict=True)):
            self._draw_pass(index, step, size, shared, target)
        last = self.header.passes[-1].target
        if last:
            self._gl.copy(self._buffers[last].texture, target)
        self._frame += 1

    def _draw_pass(
        self,
        index: int,
        step: Pass,
        size: tuple[int, int],
        shared: Mapping[str, moderngl.Texture],
        target: moderngl.Framebuffer,
    ) -> None:
        buffer = self._buffers.get(step.target)
        destination = target if buffer is None else buffer.back
        self._set("PASSINDEX", index)
        self._set("RENDERSIZE", (float(size[0]), float(size[1])))
        unit = 0
        for name in (*self._sampled, *self.header.targets):
            if name not in self._uniforms:
                continue
            known = self._buffers.get(name)
            texture = known.texture if known else shared.get(name, self._blank)
            texture.use(unit)
            self._set(name, unit)
            unit += 1
        destination.use()
        destination.clear()
        self._gl.draw(self._program, self._strip)
        if buffer is not None:
            buffer.swap()

    @property
    def _sampled(self) -> tuple[str, ...]:
        return (*(i.name for i in self.header.inputs if i.is_texture), *self.header.imported)

    def _sizes(self, width: int, height: int) -> list[tuple[int, int]]:
        known = {name: float(self.values[name]) for name in self._numeric} | {
            "WIDTH": float(width),
            "HEIGHT": float(height),
        }
        try:
            return [
                (
                    step.width.pixels(known) if step.width and step.target else width,
                    step.height.pixels(known) if step.height and step.target else height,
                )
                for step in self.header.passes
            ]
        except ExpressionError as error:
            raise SceneError(self.source.path, 1, str(error), "correct WIDTH and HEIGHT of its PASSES") from None

    def _buffer(self, step: Pass, size: tuple[int, int]) -> _Buffer:
        buffer = self._buffers.get(step.target)
        if buffer is not None and buffer.front.size == size:
            return buffer
        fresh = _Buffer(self._framebuffer(size, step.floating), self._framebuffer(size, step.floating))
        if buffer is not None:
            # What it remembers survives a change of size.
            self._gl.copy(buffer.texture, fresh.front)
            buffer.release()
        self._buffers[step.target] = fresh
        return fresh

    def _framebuffer(self, size: tuple[int, int], floating: bool) -> moderngl.Framebuffer:
        texture = self._gl.context.texture(size, 4, dtype="f4" if floating else "f1")
        texture.repeat_x = texture.repeat_y = False
        framebuffer = self._gl.context.framebuffer([texture])
        framebuffer.use()
        framebuffer.clear()
        return framebuffer

    def _import(self, name: str, file: str) -> moderngl.Texture:
        path = self.source.path.parent / file
        try:
            with Image.open(path) as image:
                picture = image.convert("RGBA").transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError):
            line = self.source.text.count("\n", 0, max(0, self.source.text.find(file))) + 1
            problem = Problem(
                self.source.path, line, f"the picture {file} cannot be read", "put it beside the scene file", "warning"
            )
            self.warnings.append(problem)
            return self._gl.context.texture((1, 1), 4, bytes(4))
        return self._gl.context.texture(picture.size, 4, picture.tobytes())

    def _set(self, name: str, value: Any) -> None:
        if name in self._uniforms:
            self._program[name].value = value  # type: ignore[union-attr]

    def release(self) -> None:
        """Gives its memory on the graphics card back; on the thread that made it."""
        for buffer in self._buffers.values():
            buffer.release()
        for texture in (*self._imported.values(), self._blank):
            texture.release()
        self._strip.release()
        self._program.release()


def _uniform_value(item: Input, value: Any) -> Any:
    match item.type:
        case "float":
            return float(value)
        case "long":
            return int(value)
        case "bool" | "event":
            return bool(value)
        case _:
            return tuple(float(v) for v in value)


def _compile(gl: Gl, source: SceneFile) -> moderngl.Program:
    """The program in the first GLSL version that takes it; a fault is told as the first version saw it."""
    first_log = ""
    for version in glsl.VERSIONS:
        if version > gl.context.version_code:
            continue
        shaders = glsl.translate(source.text, source.vertex_text, source.header, version)
        try:
            return gl.context.program(vertex_shader=shaders.vertex, fragment_shader=shaders.fragment)
        except moderngl.Error as error:
            first_log = first_log or str(error)
    raise glsl.explain_compiler(first_log, source.path, source.vertex_path)
