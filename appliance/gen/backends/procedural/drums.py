# SPDX-License-Identifier: GPL-3.0-or-later
"""Drums and percussion: which lanes are heard, what they play in the section, and the fill that leads back to the downbeat."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from appliance.gen.backends.procedural.arrangement import velocity_at, voice_of
from appliance.gen.backends.procedural.grid import STEPS_PER_BEAT, lay
from appliance.gen.backends.procedural.kit import EXTRA, hits
from appliance.gen.backends.procedural.shaping import echo, room, smooth
from appliance.gen.backends.procedural.song import Song, graded, velocities
from appliance.gen.backends.procedural.styles import Lane
from appliance.gen.maths import saturate

Samples = NDArray[np.float32]
Pattern = list[list[float]]  # a bar, a step: velocity 0 … 1
_USUAL_PEAK = 1.2  # of a dry kit, where there is one bar of it: one without a kick is not driven as if it had one


def drums(song: Song) -> Samples:
    """The drum stem, (2, frames) float32."""
    rng = song.rng("drums")
    lanes = dict(song.style.drums)
    if "boom" in song.instruments("drums") and "kick" in lanes:
        lanes["kick"] = replace(lanes["kick"], sound="boom")

    def played(rng: np.random.Generator) -> dict[str, Pattern]:
        patterns = _patterns(song, rng, lanes)
        _chop(song, rng, lanes, patterns)
        _fill(song, rng, patterns)
        return patterns

    patterns = song.drawn("rhythm", "drums", rng, played)
    arranged = {lane: _arranged(song, bars, voice_of(lane)) for lane, bars in patterns.items()}
    if song.section == "build" and song.style.roll:
        lanes["roll"] = Lane(("",), 0.0, 0.75, 0.0, 0.3, song.style.roll)
        arranged["roll"] = _arranged(song, _roll(song), "roll")
    if not any(velocity > 0 for bars in arranged.values() for steps in bars for velocity in steps):
        arranged = patterns
    dry = _struck(song, rng, lanes, arranged)
    if song.style.drum_drive > 0:
        peak = float(np.abs(dry).max()) if song.bar is None else _USUAL_PEAK
        if peak > 0:
            dry = saturate(dry * np.float32((1 + 3 * song.style.drum_drive) / peak))
    for _ in range(song.style.drum_dull):
        dry = smooth(dry)
    return dry


def percussion(song: Song) -> Samples:
    """The percussion stem, (2, frames) float32: hands and sticks beside the kit, and what the request names."""
    rng = song.rng("percussion")
    asked = song.instruments("percussion")
    lanes = {name: replace(lane, from_energy=0.0) if name in asked else lane for name, lane in song.style.percussion.items()}
    lanes.update({name: EXTRA[name] for name in asked if name not in lanes})
    patterns = song.drawn("rhythm", "percussion", rng, lambda rng: _patterns(song, rng, lanes))
    if asked:
        patterns = {name: bars for name, bars in patterns.items() if name in asked}
    if not patterns:
        first = next(iter(lanes))
        patterns = _patterns(song, rng, {first: replace(lanes[first], from_energy=-1.0)})
    arranged = {lane: _arranged(song, bars, "percussion") for lane, bars in patterns.items()}
    if not any(velocity > 0 for bars in arranged.values() for steps in bars for velocity in steps):
        arranged = patterns
    return _struck(song, rng, lanes, arranged)


def _struck(song: Song, rng: np.random.Generator, lanes: dict[str, Lane], patterns: dict[str, Pattern]) -> Samples:
    """Patterns to sound: every hit a little different, on time as the style and the request want it, in the room."""
    request, grid, canvas = song.request, song.grid, song.canvas
    humanize = float(request.humanize or 0)
    dry, send = canvas.silence(), canvas.silence()
    for lane, bars in patterns.items():
        settings = lanes[lane]
        sounds = song.drawn("sound", f"drums/{lane}", rng, partial(hits, lane, settings, song))
        strict = lane == "kick"
        for bar, steps in enumerate(bars):
            song.poll()
            for step, velocity in enumerate(steps):
                if velocity <= 0:
                    continue
                shake = 0.0 if strict else (float(rng.random()) - 0.5) * humanize
                drift = 0.0 if strict else (float(rng.random()) + float(rng.random()) - 1.0) * humanize * 0.005
                at = song.frame(bar * grid.steps_per_bar + step, int(drift * grid.sample_rate))
                gain = settings.gain * velocity * (1 + shake * 0.5)
                sound = sounds[int(rng.integers(len(sounds)))]
                if at is None:
                    continue
                lay(dry, at, sound, gain, settings.pan)
                if settings.send > 0:
                    lay(send, at, sound, gain * settings.send, settings.pan)
    effects = request.effects or ()
    if "delay" in effects:
        send += echo(send, round(3 * canvas.frames / canvas.steps), 0.45, 4)
    song.poll()
    amount = 1.0 if "reverb" in effects else 0.5
    dry += room(send, song.sample_rate, song.style.room_s, song.room_seed) * np.float32(amount)
    return dry


def _patterns(song: Song, rng: np.random.Generator, lanes: dict[str, Lane]) -> dict[str, Pattern]:
    energy, complexity = float(song.request.energy or 0), float(song.request.complexity or 0)
    patterns: dict[str, Pattern] = {}
    per_bar = song.grid.steps_per_bar
    places: dict[str, float] = {}
    for lane, settings in lanes.items():
        heard = energy + (float(rng.random()) - 0.5) * 0.3 >= settings.from_energy
        level = 0.7 * complexity + 0.3 * energy
        if settings.group:
            place = places.setdefault(settings.group, min(max(level + (float(rng.random()) * 2 - 1) * 0.4, 0.0), 0.999))
            rhythm = settings.rhythms[int(place * len(settings.rhythms))]
        else:
            rhythm = graded(settings.rhythms, level, rng, 0.3)
        mutate = float(rng.random()) < (0.35 + 0.5 * complexity) * song.style.mutate
        mutate = mutate and not settings.group and lane not in ("kick", "clap", "snare", "crash")
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


def _chop(song: Song, rng: np.random.Generator, lanes: dict[str, Lane], patterns: dict[str, Pattern]) -> None:
    """Cut a break up as a sampler does: in the second half of some bars a beat of the first is heard again, all lanes alike."""
    grouped = [lane for lane in patterns if lanes[lane].group]
    per_bar = song.grid.steps_per_bar
    for bar in range(song.grid.bars):
        chopped = float(rng.random()) < song.style.chop * (0.4 + 0.6 * float(song.request.complexity or 0))
        length = (2, 4)[int(rng.integers(2))]
        source = int(rng.integers(2)) * STEPS_PER_BEAT
        start = per_bar - (STEPS_PER_BEAT if int(rng.integers(2)) else 2 * STEPS_PER_BEAT)
        if not chopped or bar % 2 == 0 or start <= source + length:
            continue
        for lane in grouped:
            steps = patterns[lane][bar]
            for step in range(start, per_bar):
                steps[step] = steps[source + (step - start) % length]


def _fill(song: Song, rng: np.random.Generator, patterns: dict[str, Pattern]) -> None:
    """Mark the end of the phrase in its last bar. Plain clips get less of it; a bar that stands alone gets none."""
    fills, per_bar = song.style.fills, song.grid.steps_per_bar
    number, luck = int(rng.integers(max(len(fills), 1))), float(rng.random())
    if not fills or song.grid.bars < 2 or luck > 0.45 + 0.5 * float(song.request.complexity or 0):
        return
    for lane, marks in fills[number].items():
        if lane not in patterns:
            continue
        marks = marks[-per_bar:]
        last = patterns[lane][-1]
        for step, mark in enumerate(marks, start=per_bar - len(marks)):
            if mark != "-":
                last[step] = 0.0 if mark == "." else int(mark) / 9


def _roll(song: Song) -> Pattern:
    """Blows that get closer: beats, then eighths, then sixteenths in the last quarter."""
    grid = song.grid
    steps = [0.0] * (grid.bars * grid.steps_per_bar)
    for step in range(len(steps)):
        place = step / len(steps)
        apart = 4 if place < 0.625 else 2 if place < 0.8125 else 1
        if step % apart == 0:
            steps[step] = 1.0
    return [steps[bar * grid.steps_per_bar : (bar + 1) * grid.steps_per_bar] for bar in range(grid.bars)]


def _arranged(song: Song, bars: Pattern, voice: str) -> Pattern:
    """The pattern with the velocities of the section."""
    per_bar = song.grid.steps_per_bar
    total = song.grid.bars * per_bar
    return [
        [
            velocity * velocity_at(song.section, voice, (bar * per_bar + step) / total) if velocity > 0 else 0.0
            for step, velocity in enumerate(steps)
        ]
        for bar, steps in enumerate(bars)
    ]
