# SPDX-License-Identifier: GPL-3.0-or-later
"""The texture part: drones, wind, crackle and shimmer behind the beat. All of it is periodic in the loop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from appliance.gen.backends.procedural.grid import lay
from appliance.gen.backends.procedural.instruments import PATCHES
from appliance.gen.backends.procedural.oscillators import fm, octaves_of, subtractive
from appliance.gen.backends.procedural.patches import Tone
from appliance.gen.backends.procedural.shaping import attack_decay, duck_curve, echo, loop_noise, room
from appliance.gen.backends.procedural.song import Song
from appliance.gen.backends.procedural.tonal import brightness
from appliance.gen.maths import decay, noise, note_hz, sin_turns

Samples = NDArray[np.float32]


def texture(song: Song) -> Samples:
    """The texture stem, (2, frames): a bed, and a detail on it when the clip is not plain."""
    rng = song.rng("texture")
    complexity = float(song.request.complexity or 0)
    beds = [name for name in song.style.textures if name in _BEDS]
    details = [name for name in song.style.textures if name in _DETAILS]
    bed = beds[int(rng.integers(len(beds)))]
    detail = details[int(rng.integers(len(details)))]
    if song.request.texture == "vinyl":
        detail = "crackle"
    result = _BEDS[bed](song, rng)
    song.poll()
    if float(rng.random()) < 0.45 + 0.5 * complexity or song.request.texture == "vinyl":
        result += _DETAILS[detail](song, rng) * np.float32(0.9 if detail == "crackle" else 0.6)
    grid = song.grid
    if song.style.beat_duck > 0 and song.section != "break":
        result *= grid.beat_curve(duck_curve(grid.beat_frames, grid.sample_rate, song.style.beat_duck, 0.2))
    if song.section == "build":
        result += riser(song, rng)
    return result


def riser(song: Song, rng: np.random.Generator) -> Samples:
    """Noise that rises in level and pitch until the last 30 ms, which it leaves to the drop."""
    frames, rate = song.grid.frames, song.sample_rate
    place = np.arange(frames, dtype=np.float32) * np.float32(1 / frames)
    result = song.grid.silence()
    for number, (low_hz, high_hz) in enumerate(((400, 1200), (1200, 3600), (3000, min(9000, 0.42 * rate)))):
        song.poll()
        share = np.maximum(1.0 - np.abs(place * 2.0 - number), 0.0)
        result += loop_noise(rng, 2, frames, low_hz, min(high_hz, 0.42 * rate), rate) * (share * place)
    end = min(int(0.03 * rate), frames)
    result[:, frames - end :] *= np.arange(end, 0, -1, dtype=np.float32) / np.float32(end)
    return result * np.float32(1.6)


def _slow(song: Song, cycles: int, phase: float) -> NDArray[np.float32]:
    """A sine of whole cycles a loop, (frames,)."""
    turns = np.arange(song.grid.frames, dtype=np.float32) * np.float32(cycles / song.grid.frames) + np.float32(phase)
    return sin_turns(turns)


def _drone(song: Song, rng: np.random.Generator) -> Samples:
    """Root and fifth as saws whose frequencies are whole cycles a loop, under a filter that breathes."""
    frames, rate = song.grid.frames, song.sample_rate
    breath = _slow(song, int(rng.integers(1, 3)), float(rng.random()))
    cutoff = np.float32(octaves_of(350 + 1300 * brightness(song))) + breath * np.float32(0.9)
    wave = ("saw", "triangle", "organ")[int(rng.integers(3))]
    out = song.grid.silence()
    upper = (4, 7)[int(rng.integers(2))]
    for degree, level, pan in ((0, 0.5, -0.5), (upper, 0.32, 0.1), (0, 0.5, 0.6)):
        hz = note_hz(song.key.note(degree, 3)) * (1 + 0.0012 * float(rng.random()))
        hz = round(hz * frames / rate) * rate / frames
        song.poll()
        voice = _whole_cycles(wave, hz, cutoff, rate, frames, float(rng.random()))
        lay(out, 0, voice, level, pan)
    return out


def _whole_cycles(wave: str, hz: float, cutoff: Samples, rate: int, frames: int, phase: float) -> Samples:
    voice = subtractive(wave, hz, cutoff, rate, resonance=1.6, high_pass_hz=160, phase=phase)
    return voice[:frames]


def _wind(song: Song, rng: np.random.Generator) -> Samples:
    """Two bands of noise that take turns."""
    frames, rate = song.grid.frames, song.sample_rate
    bright = brightness(song)
    dark = loop_noise(rng, 2, frames, 300, min(900 + 900 * bright, 0.4 * rate), rate)
    song.poll()
    air = loop_noise(rng, 1, frames, min(2200 + 1800 * bright, 0.25 * rate), min(9000, 0.42 * rate), rate)[0]
    share = _slow(song, 1 + int(rng.integers(2)), float(rng.random())) * np.float32(0.45) + np.float32(0.5)
    result = dark * (1 - share)
    far = np.roll(air, frames // 3)
    result[0] += air * share * np.float32(0.5)
    result[1] += far * share * np.float32(0.5)
    return result.astype(np.float32, copy=False)


def _crackle(song: Song, rng: np.random.Generator) -> Samples:
    """Dust of a record: sparse clicks of many sizes."""
    frames, rate = song.grid.frames, song.sample_rate
    out = song.grid.silence()
    count = int(frames / rate * (9 + 14 * float(rng.random())))
    length = int(0.004 * rate)
    clicks = []
    for _ in range(4):
        half_life_s = 0.0003 + 0.0004 * float(rng.random())
        clicks.append(noise(rng, length) * attack_decay(length, 0.0001, half_life_s, rate, 0.001))
    for _ in range(count):
        size = float(rng.random())
        at, pan = int(rng.integers(frames)), float(rng.random()) * 1.6 - 0.8
        lay(out, at, clicks[int(rng.integers(4))], 0.15 + 0.75 * size * size * size, pan)
    return out


def _shimmer(song: Song, rng: np.random.Generator) -> Samples:
    """Sparse high bells on the grid, mostly room."""
    grid = song.grid
    send = grid.silence()
    for _ in range(3 * grid.bars):
        degree = (0, 2, 4, 6, 7)[int(rng.integers(5))]
        tone = Tone(song.key.note(degree, 6), 0.3, 0.4 + 0.4 * float(rng.random()), 0.3, 0.0, grid.sample_rate)
        step = int(rng.integers(grid.steps))
        lay(send, grid.frame(step), PATCHES["bell"](tone), 0.5, float(rng.random()) * 1.4 - 0.7)
    return send * np.float32(0.25) + room(send, grid.sample_rate, song.style.room_s, song.room_seed)


def _rumble(song: Song, rng: np.random.Generator) -> Samples:
    """Dark noise in slow waves: a street at night, or the sea."""
    frames, rate = song.grid.frames, song.sample_rate
    waves = _slow(song, 1 + int(rng.integers(2)), float(rng.random())) * np.float32(0.4) + np.float32(0.6)
    low = loop_noise(rng, 2, frames, 120, 420, rate)
    song.poll()
    hiss = loop_noise(rng, 2, frames, 900, min(3200, 0.4 * rate), rate)
    return (low * waves + hiss * (np.float32(0.22) - np.float32(0.12) * waves)).astype(np.float32, copy=False)


def _tape(song: Song, rng: np.random.Generator) -> Samples:
    """The hiss of a tape and the hum of the amplifier it runs through."""
    frames, rate = song.grid.frames, song.sample_rate
    hiss = loop_noise(rng, 2, frames, min(2500, 0.2 * rate), min(9500, 0.42 * rate), rate)
    hum_hz = round(100.0 * frames / rate) * rate / frames
    turns = np.arange(frames) * (hum_hz / rate)
    hum = (sin_turns(turns) + 0.4 * sin_turns(turns * 2)).astype(np.float32) * np.float32(0.12)
    return (hiss * np.float32(0.5) + hum).astype(np.float32, copy=False)


def _siren(song: Song, rng: np.random.Generator) -> Samples:
    """A dub siren: a square that wails up and down once, and goes into the echo."""
    grid = song.grid
    frames = min(int(4 * grid.step_s * grid.sample_rate), grid.frames)
    hz = note_hz(song.key.note((0, 4)[int(rng.integers(2))], 5))
    seconds = np.arange(frames) * (1.0 / grid.sample_rate)
    wail = sin_turns(seconds * (2.0 / (4 * grid.step_s)) - 0.25) * (hz * 0.02)
    tone = sin_turns(seconds * hz + wail).astype(np.float32) * attack_decay(frames, 0.02, 1.0, grid.sample_rate, 0.08)
    out = grid.silence()
    lay(out, grid.frame(4 * int(rng.integers(max(grid.steps // 4, 1))) + 2), tone, 0.3, float(rng.random()) - 0.5)
    return out + echo(out, round(3 * grid.frames / grid.steps), 0.7, 6)


def _grains(song: Song, rng: np.random.Generator) -> Samples:
    """A cloud of short FM grains off the grid."""
    grid = song.grid
    out = grid.silence()
    frames = int(0.09 * grid.sample_rate)
    index = decay(frames, 0.02, grid.sample_rate) * np.float32(4.0)
    envelope = attack_decay(frames, 0.01, 0.03, grid.sample_rate, 0.03)
    grains = [
        fm(note_hz(song.key.note(degree, octave)), ratio, index, grid.sample_rate) * envelope
        for degree, octave, ratio in ((0, 4, 1.41), (4, 5, 2.76), (2, 6, 0.5), (7, 4, 3.3))
    ]
    for _ in range(10 * grid.bars):
        at, level = int(rng.integers(grid.frames)), float(rng.random())
        lay(out, at, grains[int(rng.integers(4))], 0.1 + 0.4 * level * level, float(rng.random()) * 1.8 - 0.9)
    return out


_BEDS: dict[str, Callable[[Song, np.random.Generator], Samples]] = {
    "drone": _drone, "wind": _wind, "rumble": _rumble, "tape": _tape,
}  # fmt: skip
_DETAILS: dict[str, Callable[[Song, np.random.Generator], Samples]] = {
    "crackle": _crackle, "shimmer": _shimmer, "siren": _siren, "grains": _grains,
}  # fmt: skip
