# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a picture: sources → layers → mix → master → the output.

One layer is enough for now; more of them are a longer list. Everything runs on the clock in `Frame`, so a test draws
the same pictures every time.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Protocol

import moderngl

from appliance.visuals.analysis import SILENCE, Heard
from appliance.visuals.gl import Gl
from appliance.visuals.inputs import PARAMS, SoundTextures, drive
from appliance.visuals.isf.scene import Moment, Scene

FADE_S = 0.6
"""From one scene to the next."""

_VERTEX = """#version 330
in vec2 isf_corner;
out vec2 place;
void main() { place = isf_corner * 0.5 + 0.5; gl_Position = vec4(isf_corner, 0.0, 1.0); }
"""
_MIX = """#version 330
uniform sampler2D below;
uniform sampler2D layer;
uniform float opacity;
in vec2 place;
out vec4 colour;
void main() {
  vec4 above = texture(layer, place);
  colour = vec4(mix(texture(below, place).rgb, above.rgb, clamp(above.a, 0.0, 1.0) * opacity), 1.0);
}
"""
_MASTER = """#version 330
uniform sampler2D picture;
uniform float gain;
in vec2 place;
out vec4 colour;
void main() { colour = vec4(texture(picture, place).rgb * gain, 1.0); }
"""


@dataclass(frozen=True)
class Controls:
    """Where the hands are: the values under /visuals. `positions` are the eight parameters' travels 0…1."""

    blackout: bool = False
    freeze: bool = False
    brightness: float = 1.0
    reactivity: float = 1.0
    speed: float = 1.0
    positions: tuple[float, ...] = (0.5,) * PARAMS


@dataclass(frozen=True)
class Frame:
    """One picture to draw: how long after the last one, what is heard, where the controls stand."""

    delta_s: float
    heard: Heard = SILENCE
    controls: Controls = field(default_factory=Controls)
    date: dt.datetime = dt.datetime(2000, 1, 1)


class Source(Protocol):
    """Anything that draws pictures on a clock: a scene, the logo."""

    @property
    def name(self) -> str: ...

    def draw(self, target: moderngl.Framebuffer, frame: Frame, time_s: float) -> None: ...

    def release(self) -> None: ...


class SceneLayer:
    """A scene, fed with the sound and the controls."""

    def __init__(self, gl: Gl, scene: Scene, sound: SoundTextures, picture: moderngl.Texture | None = None) -> None:
        self.scene = scene
        self._sound = sound
        self._images = {i.name: picture for i in scene.inputs if i.type == "image" and picture is not None}

    @property
    def name(self) -> str:
        return self.scene.name

    def draw(self, target: moderngl.Framebuffer, frame: Frame, time_s: float) -> None:
        controls = frame.controls
        drive(self.scene, frame.heard, controls.reactivity, list(controls.positions))
        textures = self._sound.of(self.scene, frame.heard, controls.reactivity) | self._images
        self.scene.draw(target, Moment(time_s, frame.delta_s * controls.speed, frame.date), textures)

    def release(self) -> None:
        self.scene.release()


class Layer:
    """One source and the picture that it draws, with its own clock."""

    def __init__(self, source: Source, target: moderngl.Framebuffer) -> None:
        self.source = source
        self.target = target
        self.opacity = 1.0
        self.time_s = 0.0

    @property
    def texture(self) -> moderngl.Texture:
        return _texture_of(self.target)

    def draw(self, frame: Frame) -> None:
        self.source.draw(self.target, frame, self.time_s)
        self.time_s += frame.delta_s * frame.controls.speed


class Graph:
    """Draws `picture` from its layers. Belongs to the thread that owns the context."""

    def __init__(self, gl: Gl, width: int, height: int, first: Source) -> None:
        self.gl = gl
        self.size = (width, height)
        self.sound = SoundTextures(gl)
        self.layers = [Layer(first, self._framebuffer())]
        self._mixed, self._spare, self._left_behind = (self._framebuffer() for _ in range(3))
        self._picture = self._framebuffer()
        self._mix = gl.context.program(vertex_shader=_VERTEX, fragment_shader=_MIX)
        self._master = gl.context.program(vertex_shader=_VERTEX, fragment_shader=_MASTER)
        self._mix_strip, self._master_strip = gl.strip(self._mix), gl.strip(self._master)
        self._mix["below"].value, self._mix["layer"].value = 0, 1  # type: ignore[union-attr]
        self._fade_left_s = 0.0

    def _framebuffer(self) -> moderngl.Framebuffer:
        texture = self.gl.context.texture(self.size, 4)
        texture.repeat_x = texture.repeat_y = False
        framebuffer = self.gl.context.framebuffer([texture])
        framebuffer.use()
        framebuffer.clear()
        return framebuffer

    @property
    def picture(self) -> moderngl.Texture:
        """What the audience is to see."""
        return _texture_of(self._picture)

    def show(self, source: Source, fade: bool = True) -> Source:
        """Puts a source into the layer and fades over from what is seen now. Returns the source it replaces."""
        layer = self.layers[0]
        before, layer.source, layer.time_s = layer.source, source, 0.0
        if fade:
            self._mixed, self._left_behind = self._left_behind, self._mixed
            self._fade_left_s = FADE_S
        return before

    def draw(self, frame: Frame) -> None:
        """Draws the next picture; a frozen one stays, but still obeys blackout and brightness."""
        if not frame.controls.freeze:
            for layer in self.layers:
                layer.draw(frame)
            self._mix_layers(frame.delta_s)
        gain = 0.0 if frame.controls.blackout else frame.controls.brightness
        self._master["gain"].value = float(gain)  # type: ignore[union-attr]
        _texture_of(self._mixed).use(0)
        self._picture.use()
        self.gl.draw(self._master, self._master_strip)

    def _mix_layers(self, delta_s: float) -> None:
        self._mixed.use()
        self._mixed.clear()
        for layer in self.layers:
            self._over(layer.texture, layer.opacity)
        if self._fade_left_s > 0.0:
            self._over(_texture_of(self._left_behind), _smooth(self._fade_left_s / FADE_S))
            self._fade_left_s = max(0.0, self._fade_left_s - delta_s)

    def _over(self, picture: moderngl.Texture, opacity: float) -> None:
        self._mixed, self._spare = self._spare, self._mixed
        _texture_of(self._spare).use(0)
        picture.use(1)
        self._mix["opacity"].value = float(opacity)  # type: ignore[union-attr]
        self._mixed.use()
        self.gl.draw(self._mix, self._mix_strip)

    def read(self) -> bytes:
        """The picture as RGB rows from the bottom, width × height × 3 bytes."""
        return self._picture.read(components=3, alignment=1)

    def release(self) -> None:
        """Gives everything back; on the thread that owns the context."""
        for framebuffer in (
            self._mixed,
            self._spare,
            self._left_behind,
            self._picture,
            *(x.target for x in self.layers),
        ):
            _texture_of(framebuffer).release()
            framebuffer.release()
        self.sound.release()
        for thing in (self._mix_strip, self._master_strip, self._mix, self._master):
            thing.release()


def _texture_of(framebuffer: moderngl.Framebuffer) -> moderngl.Texture:
    texture = framebuffer.color_attachments[0]
    assert isinstance(texture, moderngl.Texture)
    return texture


def _smooth(x: float) -> float:
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)
