# SPDX-License-Identifier: GPL-3.0-or-later
"""One bar of the stream from the embedded generator, with all that rings on behind it. Equal questions give equal bytes.

Prompts that name styles are voices; the two heaviest are heard, by weight, in the harmony of the heavier one. Prompts that name
none add their words to every voice. Levels are those of the style as it usually is: what a knob thins out gets softer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.gen.backends.procedural import MAKERS
from appliance.gen.backends.procedural.drumheads import boom, cymbal
from appliance.gen.backends.procedural.grid import Grid, lay
from appliance.gen.backends.procedural.shaping import scale_spectrum
from appliance.gen.backends.procedural.song import Song, compose
from appliance.gen.backends.procedural.texture import riser
from appliance.gen.live.steering import Steering
from appliance.gen.maths import decibels, fast_length, generator
from appliance.gen.prompt import read_prompt
from appliance.gen.request import STYLE_BPM, GenRequest, parse_request
from appliance.gen.vocabulary import PARTS

Samples = NDArray[np.float32]
TAIL_S = 3.5
"""What rings longer is faded out until then."""
FADE_S = 0.005
LEVEL_DB = -2.0
"""Of the styles' mixes, which stand at -12 LUFS: the stream is as loud as loops are."""
SILENCE_BEATS = 1.0
"""Before a drop."""
_TEXTURE_BARS = 4
_RISER_DB, _IMPACT_DB = -9.0, -7.0
_SHELF_HZ, _SHELF_DB = 2500.0, 14.0
_VARIATIONS_A_PHRASE = 0.45
_MAX_TEMPERATURE = 2.2


@dataclass(frozen=True, slots=True)
class Place:
    """Which bar: ``frames`` long (not whole), ``beats`` quarter notes, bar ``bar`` (from 0) of the ``bars`` of phrase number
    ``phrase`` since the beginning. ``build``: bar and length of a build; ``drop``: the bar after one."""

    frames: float
    beats: float
    bar: int = 0
    bars: int = 8
    phrase: int = 0
    build: tuple[int, int] | None = None
    drop: bool = False


@dataclass(frozen=True, slots=True)
class Voice:
    """A style that is heard: its request, the same as it usually is (for the levels), and its gain."""

    request: GenRequest
    usual: GenRequest
    gain: float


def voices(state: Steering) -> list[Voice]:
    """The one or two styles that are heard, the heavier one first."""
    styles: dict[str, tuple[list[str], float]] = {}
    others: list[str] = []
    for text, weight in state.prompts:
        style = read_prompt(text).get("style")
        if style is None:
            others.append(text)
            continue
        texts, before = styles.get(style, ([], 0.0))
        styles[style] = ([*texts, text], before + weight)
    if not styles:
        styles[state.style] = ([], 1.0)
    chosen = sorted(styles.items(), key=lambda entry: -entry[1][1])[:2]
    whole = math.fsum(weight for _, (_, weight) in chosen)
    return [
        _voice(state, style, ", ".join([*texts, *others]), math.sqrt(weight / whole))
        for style, (texts, weight) in chosen if weight > 0.02 * whole
    ]  # fmt: skip


def _voice(state: Steering, style: str, text: str, gain: float) -> Voice:
    """The words say what a style is in itself; the knobs, from their middle on, what it is now."""
    read = read_prompt(text)
    fields: dict[str, Any] = {
        "prompt": text or style.replace("_", " "), "style": style, "key": state.key, "seed": state.seed, "bars": 2,
        "bpm": STYLE_BPM[style], "energy": read.get("energy", 0.6), "complexity": read.get("complexity", 0.5),
        "mood": read.get("mood", 0.4), "humanize": 0.3,
    }  # fmt: skip
    usual = parse_request(fields).resolved()
    turned = state.density - 0.5
    request = usual.model_copy(update={
        "energy": _within(fields["energy"] + 0.8 * turned), "complexity": _within(fields["complexity"] + turned),
        "mood": _within(fields["mood"] + state.brightness - 0.5), "humanize": _within(0.27 * state.temperature),
        "parts": tuple(part for part in usual.parts or PARTS if part in state.parts),
    })  # fmt: skip
    return Voice(request, usual.model_copy(update={"parts": PARTS, "section": "drop"}), gain)


def _within(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def bar(state: Steering, place: Place, rate: int, poll: Callable[[], None] = lambda: None) -> Samples:
    """The bar and its tail, (frames, 2) float32. ``poll`` is called between sounds and may raise."""
    heard = voices(state)
    lead = compose(_asked(heard[0].request, state, place))
    mix = np.zeros((2, _length(place, rate)), np.float32)
    for voice in heard:
        song = _placed(compose(_asked(voice.request, state, place), poll), place, rate, lead.degrees)
        gains = _gains(voice.usual, place.beats, rate)  # pyright: ignore[reportArgumentType]  # frozen, so it has a hash
        for part in voice.request.parts or ():
            stem = _texture(song, place) if part == "texture" else MAKERS[part](song)
            count = min(stem.shape[1], mix.shape[1])
            mix[:, :count] += stem[:, :count] * np.float32(gains[part] * voice.gain)
    if not state.parts:
        return np.ascontiguousarray(mix.T)
    mix = _shelved(mix, _SHELF_DB * (state.brightness - 0.5), rate)
    return np.ascontiguousarray(_ended(mix * np.float32(decibels(LEVEL_DB)), rate).T)


def effects(state: Steering, place: Place, rate: int) -> Samples | None:
    """What a drop lays over the music, whoever plays that: the riser of a build's bar, or the blow; None elsewhere."""
    if place.build is None and not place.drop:
        return None
    rng = generator(state.seed, "drop")
    mix = np.zeros((2, _length(place, rate)), np.float32)
    if place.build is not None:
        song = _placed(compose(_asked(voices(state)[0].request, state, place)), place, rate)
        first = round(place.build[0] * place.frames)
        piece = riser(replace(song, bar=None), rng)[:, first : first + round(place.frames)]
        mix[:, : piece.shape[1]] += piece * np.float32(decibels(_RISER_DB))
    else:
        lay(mix, 0, cymbal(rng, rate, 0.28, 0.1, 1.3), decibels(_IMPACT_DB))
        lay(mix, 0, boom(rate, 48.0, 0.8), decibels(_IMPACT_DB))
    return np.ascontiguousarray(_ended(mix, rate).T)


def _length(place: Place, rate: int) -> int:
    return math.ceil(place.frames * (1 + _tail_bars(place, rate)))


def _tail_bars(place: Place, rate: int) -> int:
    return max(math.ceil(TAIL_S * rate / place.frames), 1)


def _asked(request: GenRequest, state: Steering, place: Place) -> GenRequest:
    """The request of the phrase or build that the bar stands in; another melody and rhythm as the phrases go by."""
    variation = int(place.phrase * _VARIATIONS_A_PHRASE * min(state.temperature, _MAX_TEMPERATURE))
    return request.model_copy(update={
        "bars": place.build[1] if place.build else place.bars, "beats_per_bar": place.beats,
        "section": "build" if place.build else request.section,
        "melody_seed": variation or None, "rhythm_seed": variation // 2 or None,
    })  # fmt: skip


def _placed(song: Song, place: Place, rate: int, degrees: tuple[int, ...] = ()) -> Song:
    """The song at the clock's tempo, of which one bar is played."""
    bars = song.grid.bars
    grid = Grid(round(bars * place.frames), rate, bars, place.beats, song.grid.swing)
    number = place.build[0] if place.build else place.bar
    return replace(song, grid=grid, bar=number, tail_bars=_tail_bars(place, rate), degrees=degrees or song.degrees)


def _texture(song: Song, place: Place) -> Samples:
    """A bar out of a bed that goes round and round, with a fade that the next bar's takes up."""
    bars = min(song.grid.bars, _TEXTURE_BARS)
    asked = song.request.model_copy(update={"bars": bars, "section": "drop"})
    bed = _bed(asked, round(bars * place.frames), song.sample_rate)  # pyright: ignore[reportArgumentType]
    first = round((song.bar or 0) % bars * place.frames)
    fade = round(0.05 * song.sample_rate)
    piece = np.take(bed, np.arange(first, first + math.ceil(place.frames) + fade), axis=1, mode="wrap")
    return faded(piece, fade)


@lru_cache(maxsize=4)
def _bed(request: GenRequest, frames: int, rate: int) -> Samples:
    song = compose(request)
    return MAKERS["texture"](replace(song, grid=Grid(frames, rate, song.grid.bars, request.beats_per_bar, song.grid.swing)))


def faded(piece: Samples, fade: int) -> Samples:
    """In and out over ``fade`` frames, so that two pieces of one sound that overlap by so much are that sound again.
    (2, frames), in place."""
    rise = (np.arange(fade, dtype=np.float32) + np.float32(0.5)) / np.float32(fade)
    piece[:, :fade] *= rise
    piece[:, -fade:] *= rise[::-1]
    return piece


@lru_cache(maxsize=16)
def _gains(usual: GenRequest, beats: float, rate: int) -> dict[str, float]:
    """What brings every part to its level in the style's mix, by its first two bars."""
    frames = beats * 60.0 / float(usual.bpm or 120) * rate
    place = Place(frames, beats, bars=2)
    song = _placed(compose(usual.model_copy(update={"beats_per_bar": beats})), place, rate)
    gains = {}
    for part in PARTS:
        bars = (_texture(song, place),) if part == "texture" else (MAKERS[part](replace(song, bar=number)) for number in (0, 1))
        energies = [float(np.sum(bar * bar, dtype=np.float64)) for bar in bars]
        level = math.sqrt(math.fsum(energies) / (2 * frames * len(energies)))
        gains[part] = decibels(song.style.levels_db[part]) / level if level > 1e-9 else 0.0
    return gains


def _shelved(mix: Samples, db: float, rate: int) -> Samples:
    """``db`` more (or less) above the shelf's corner, without phase."""
    if abs(db) < 0.05:
        return mix
    length = fast_length(mix.shape[1] + rate // 50)
    hz = np.arange(length // 2 + 1) * (rate / length / _SHELF_HZ)
    square = hz * hz
    gain = ((1.0 + decibels(db) * square) / (1.0 + square)).astype(np.float32)
    spectrum = np.fft.rfft(mix, length, axis=-1).astype(np.complex64, copy=False)
    scale_spectrum(spectrum, gain)
    return np.fft.irfft(spectrum, length, axis=-1)[:, : mix.shape[1]].astype(np.float32, copy=False)


def _ended(mix: Samples, rate: int) -> Samples:
    """The last half second of the tail goes to nothing."""
    fade = min(rate // 2, mix.shape[1])
    mix[:, -fade:] *= np.arange(fade, 0, -1, dtype=np.float32) / np.float32(fade)
    return mix
