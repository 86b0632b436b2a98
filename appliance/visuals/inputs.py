# SPDX-License-Identifier: GPL-3.0-or-later
"""The inputs that the box itself drives: a scene declares one by name and type and is told what the music does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import moderngl
import numpy as np

from appliance.visuals.analysis import Floats, Heard
from appliance.visuals.gl import Gl
from appliance.visuals.isf.header import Input
from appliance.visuals.isf.scene import Scene

PARAMS = 8


@dataclass(frozen=True)
class Standard:
    """An input by its name: type, range in words and where its value comes from. `scaled` ones follow reactivity."""

    name: str
    type: str
    doc: str
    read: Callable[[Heard], float]
    scaled: bool = False


STANDARD: dict[str, Standard] = {
    s.name: s
    for s in (
        Standard("audioLevel", "float", "loudness of the master, 0…1", lambda h: h.level, True),
        Standard("audioLow", "float", "level below 160 Hz, 0…1", lambda h: h.low, True),
        Standard("audioMid", "float", "level 160…2500 Hz, 0…1", lambda h: h.mid, True),
        Standard("audioHigh", "float", "level above 2500 Hz, 0…1", lambda h: h.high, True),
        Standard("audioKick", "float", "1 at a kick, falling to 0 within 0.3 s", lambda h: h.kick, True),
        Standard("audioHat", "float", "1 at a hi-hat, falling to 0 within 0.3 s", lambda h: h.hat, True),
        Standard("audioKickHit", "event", "true for the one picture after a kick", lambda h: h.kick_hit),
        Standard("audioHatHit", "event", "true for the one picture after a hi-hat", lambda h: h.hat_hit),
        Standard("audioLowTime", "float", "seconds, running as fast as the low level", lambda h: h.low_time),
        Standard("audioMidTime", "float", "seconds, running as fast as the mid level", lambda h: h.mid_time),
        Standard("audioHighTime", "float", "seconds, running as fast as the high level", lambda h: h.high_time),
        Standard("beatCount", "float", "beats since the start, with fraction", lambda h: h.beat),
        Standard("beatPhase", "float", "0…1 within the beat", lambda h: h.beat_phase),
        Standard("barPhase", "float", "0…1 within the bar", lambda h: h.bar_phase),
        Standard("phrasePhase", "float", "0…1 within eight bars", lambda h: h.phrase_phase),
        Standard("bpm", "float", "tempo in beats a minute", lambda h: h.bpm),
        Standard("playing", "bool", "true while the clock runs", lambda h: h.playing),
    )
}


def is_standard(item: Input) -> bool:
    """True when the box drives this input: the name is in the table and the type fits."""
    known = STANDARD.get(item.name)
    return known is not None and item.type == known.type


def controls(scene: Scene) -> list[Input]:
    """The scene's own floats in its author's order: `/visuals/param/1/value` … move the first eight."""
    return [i for i in scene.inputs if i.type == "float" and not is_standard(i)][:PARAMS]


def from_control(item: Input, position: float) -> float:
    """A control's travel 0…1 on an input's range, with the author's default in the middle of the travel."""
    position = min(max(position, 0.0), 1.0)
    default = min(max(float(item.default), item.minimum), item.maximum)
    if position < 0.5:
        return item.minimum + (default - item.minimum) * position * 2
    return default + (item.maximum - default) * (position - 0.5) * 2


def drive(scene: Scene, heard: Heard, reactivity: float, positions: list[float]) -> None:
    """Writes what was heard and where the controls stand into the scene's inputs."""
    for item in scene.inputs:
        if is_standard(item):
            standard = STANDARD[item.name]
            value = standard.read(heard)
            scene.values[item.name] = min(1.0, value * reactivity) if standard.scaled else value
    for item, position in zip(controls(scene), positions, strict=False):
        scene.values[item.name] = from_control(item, position)


class SoundTextures:
    """The sound as pictures one pixel high, for inputs of type audio and audioFFT.

    `audioFFT` is the linear spectrum, 512 bins, 0…1; one named `audioBands` the 64 logarithmic bands. `audio` is the wave of
    the last 512 frames, 0.5 in silence. With MAX an author asks for another width.
    """

    def __init__(self, gl: Gl) -> None:
        self._gl = gl
        self._textures: dict[tuple[str, int], moderngl.Texture] = {}

    def of(self, scene: Scene, heard: Heard, reactivity: float) -> dict[str, moderngl.Texture]:
        """Up-to-date textures for the scene's sound inputs, by the inputs' names."""
        return {i.name: self._texture(i, heard, reactivity) for i in scene.inputs if i.type in ("audio", "audioFFT")}

    def _texture(self, item: Input, heard: Heard, reactivity: float) -> moderngl.Texture:
        if item.type == "audio":
            kind, values = "wave", heard.wave * 0.5 + 0.5
        elif item.name == "audioBands":
            kind, values = "bands", np.minimum(heard.bands * reactivity, 1.0)
        else:
            kind, values = "spectrum", np.minimum(heard.spectrum * reactivity, 1.0)
        width = item.maximum or values.size
        texture = self._textures.get((kind, width))
        if texture is None:
            texture = self._gl.context.texture((width, 1), 1, dtype="f4")
            texture.swizzle = "RRR1"
            texture.repeat_x = texture.repeat_y = False
            self._textures[kind, width] = texture
        texture.write(_resized(values, width).astype("f4").tobytes())
        return texture

    def release(self) -> None:
        """Gives the textures back; on the thread that owns the context."""
        for texture in self._textures.values():
            texture.release()
        self._textures.clear()


def _resized(values: Floats, width: int) -> Floats:
    """`values` at another width: the peak of what falls together, or what lies between."""
    if width == values.size:
        return values
    if width < values.size:
        return np.maximum.reduceat(values, np.arange(width) * values.size // width)
    return np.interp(np.linspace(0, values.size - 1, width), np.arange(values.size), values).astype(np.float32)
