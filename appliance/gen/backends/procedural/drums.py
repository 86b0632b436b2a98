# SPDX-License-Identifier: GPL-3.0-or-later
"""The drum part: which lanes are heard, what they play, and the fill that leads back to the downbeat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from appliance.gen.backends.procedural import drumkit
from appliance.gen.backends.procedural.grid import STEPS_PER_BEAT, lay
from appliance.gen.backends.procedural.shaping import room
from appliance.gen.backends.procedural.song import Song, graded, velocities
from appliance.gen.maths import note_hz

Samples = NDArray[np.float32]
Pattern = list[list[float]]  # a bar, a step: velocity 0 … 1


def drums(song: Song) -> Samples:
    """The drum stem, (2, frames) float32."""
    rng = song.rng("drums")
    request, grid = song.request, song.grid
    energy, complexity = float(request.energy or 0), float(request.complexity or 0)
    humanize = float(request.humanize or 0)

    def played(rng: np.random.Generator) -> dict[str, Pattern]:
        patterns = _patterns(song, rng, energy, complexity)
        _fill(song, rng, patterns, complexity)
        return patterns

    patterns = song.drawn("rhythm", "drums", rng, played)
    dry, send = grid.silence(), grid.silence()
    for lane, bars in patterns.items():
        settings = song.style.drums[lane]
        hits = song.drawn("sound", f"drums/{lane}", rng, lambda rng, lane=lane: _hits(lane, song, rng, energy))
        strict = lane == "kick"
        for bar, steps in enumerate(bars):
            song.poll()
            for step, velocity in enumerate(steps):
                if velocity <= 0:
                    continue
                shake = 0.0 if strict else (float(rng.random()) - 0.5) * humanize
                drift = 0.0 if strict else (float(rng.random()) + float(rng.random()) - 1.0) * humanize * 0.005
                at = grid.frame(bar * grid.steps_per_bar + step) + int(drift * grid.sample_rate)
                gain = settings.gain * velocity * (1 + shake * 0.5)
                sound = hits[int(rng.integers(len(hits)))]
                lay(dry, at, sound, gain, settings.pan)
                if settings.send > 0:
                    lay(send, at, sound, gain * settings.send, settings.pan)
    amount = 0.5 if "reverb" not in (request.effects or ()) else 1.0
    dry += room(send, song.sample_rate, song.style.room_s, song.room_seed) * np.float32(amount)
    return dry


def _patterns(song: Song, rng: np.random.Generator, energy: float, complexity: float) -> dict[str, Pattern]:
    patterns: dict[str, Pattern] = {}
    per_bar = song.grid.steps_per_bar
    for lane, settings in song.style.drums.items():
        heard = energy + (float(rng.random()) - 0.5) * 0.3 >= settings.from_energy
        rhythm = graded(settings.rhythms, 0.7 * complexity + 0.3 * energy, rng, 0.3)
        mutate = lane not in ("kick", "clap") and float(rng.random()) < 0.35 + 0.5 * complexity
        if not heard and lane != "kick":
            continue
        bars: Pattern = []
        for bar in range(song.grid.bars):
            steps = velocities(rhythm, bar, per_bar)
            if mutate and bar % 2 == 1:
                steps = _mutated(steps, rng)
            bars.append(steps)
        patterns[lane] = bars
    if "open" in patterns and "closed" in patterns:  # an open hat is choked by the closed one: they never sound together
        for opened, closed in zip(patterns["open"], patterns["closed"], strict=True):
            for step, velocity in enumerate(opened):
                if velocity > 0:
                    closed[step] = 0.0
    return patterns


def _mutated(steps: list[float], rng: np.random.Generator) -> list[float]:
    """The answer to a bar: one weak hit left out, one added."""
    steps = list(steps)
    played = [step for step, velocity in enumerate(steps) if velocity > 0]
    silent = [step for step, velocity in enumerate(steps) if velocity <= 0 and step % STEPS_PER_BEAT]
    if len(played) > 2:
        steps[played[int(rng.integers(len(played)))]] = 0.0
    if silent:
        steps[silent[int(rng.integers(len(silent)))]] = 0.35
    return steps


def _fill(song: Song, rng: np.random.Generator, patterns: dict[str, Pattern], complexity: float) -> None:
    """Mark the end of the phrase in the last bar. Plain clips get less of it."""
    kind = int(rng.integers(4))
    per_bar = song.grid.steps_per_bar
    if song.grid.bars < 2 or float(rng.random()) > 0.45 + 0.5 * complexity:
        return
    last = {lane: bars[-1] for lane, bars in patterns.items()}
    if kind == 0 and "kick" in last:
        last["kick"][per_bar - STEPS_PER_BEAT] = 0.0
    elif kind == 1 and "clap" in last:
        for step, velocity in ((per_bar - 3, 0.45), (per_bar - 1, 0.6)):
            last["clap"][step] = velocity
    elif kind == 2:
        for lane in ("conga", "rim"):
            if lane in last:
                for step in range(per_bar - 6, per_bar):
                    last[lane][step] = max(last[lane][step], 0.3 + 0.08 * (step - per_bar + 6) * (step % 2 + 1) / 2)
                break
    elif "kick" in last and complexity > 0.3:
        last["kick"][per_bar - 2] = 0.55


def _hits(lane: str, song: Song, rng: np.random.Generator, energy: float) -> list[Samples]:
    """The sounds of a lane; several where repetition would be heard."""
    rate = song.sample_rate
    tone = 0.35 * float(song.request.mood or 0) + 0.3 * energy + 0.35 * float(rng.random())
    gritty = 0.3 if song.request.texture == "gritty" or "distortion" in (song.request.effects or ()) else 0.0

    def skin(octave: int) -> float:
        degree = (0, 2, 4, 6)[int(rng.integers(4))]
        return note_hz(song.key.note(degree, octave))

    shade, half_life = float(rng.random()), float(rng.random())
    makers: dict[str, Callable[[], list[Samples]]] = {
        "kick": lambda: [drumkit.kick(rng, rate, song.kick_hz, 0.25 + 0.6 * shade, 0.3 + 0.3 * energy + gritty)],
        "clap": lambda: [drumkit.clap(rng, rate, tone) for _ in range(2)],
        "rim": lambda: [drumkit.rim(rng, rate, tone) for _ in range(2)],
        "open": lambda: [drumkit.hat(rng, rate, 0.035 + 0.035 * half_life, tone, 0.24)],
        "closed": lambda: [drumkit.hat(rng, rate, 0.007 + 0.008 * half_life, tone, 0.07) for _ in range(2)],
        "shaker": lambda: [drumkit.shaker(rng, rate, tone) for _ in range(2)],
        "conga": lambda: [
            drumkit.conga(rng, rate, skin(3 if shade < 0.5 else 2) * bend, 0.4 + 0.5 * energy) for bend in (1, 0.75)
        ],
        "blip": lambda: [drumkit.blip(rate, skin(5), (1.41, 2.76, 3.3)[int(shade * 2.999)], 1.5 + 3 * half_life)],
    }
    return makers[lane]()
