# SPDX-License-Identifier: GPL-3.0-or-later
"""What all parts of a request agree on: key, progression, groove, room. It follows from style and harmony seed alone, so
clips made apart go together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar, cast

import numpy as np

from appliance.gen.backends.procedural.grid import Grid
from appliance.gen.backends.procedural.styles import Style, table
from appliance.gen.maths import generator
from appliance.gen.request import GenRequest
from appliance.gen.theory import Key, parse_key, voice_lead
from appliance.gen.vocabulary import INSTRUMENT_PARTS, Part, Section

T = TypeVar("T")
Aspect = Literal["sound", "rhythm", "melody"]


@dataclass(frozen=True, slots=True)
class Song:
    """The frame that the parts are played in. With ``bar``, only what begins in that bar is played: it stands first on the
    canvas, and behind it rings what lasts longer, for ``tail_bars``. All bars laid one after the other are the whole."""

    request: GenRequest
    style: Style
    grid: Grid
    key: Key
    degrees: tuple[int, ...]  # root of the chord in each bar, as a degree of the scale
    chord_degrees: tuple[int, ...]  # steps above the root that sound in a chord
    kick_hz: float
    room_seed: int
    poll: Callable[[], None] = lambda: None  # called between sounds; raises when the job was cancelled
    bar: int | None = None
    tail_bars: int = 0

    @property
    def canvas(self) -> Grid:
        """What sounds are laid on: the loop, or one bar and its tail."""
        if self.bar is None:
            return self.grid
        bars = 1 + self.tail_bars
        return replace(self.grid, frames=round(self.grid.frames * bars / self.grid.bars), bars=bars)

    def frame(self, step: int, drift_frames: int = 0) -> int | None:
        """Where on the canvas something at a sixteenth of the loop stands; None when it is not played."""
        if self.bar is None:
            return self.grid.frame(step) + drift_frames
        step -= self.bar * self.grid.steps_per_bar
        if not 0 <= step < self.grid.steps_per_bar:
            return None
        return max(self.canvas.frame(step) + drift_frames, 0)

    @property
    def sample_rate(self) -> int:
        return self.grid.sample_rate

    def rng(self, part: str) -> np.random.Generator:
        """The part's own random generator: equal seeds and parts give equal choices."""
        return generator(self.request.seed or 0, self.request.style, part)

    @property
    def section(self) -> Section:
        return self.request.section or "drop"

    def instruments(self, part: Part) -> list[str]:
        """What the request names for a part. Each instrument plays the first of its parts that none before it took; any number
        go into drums and percussion."""
        taken: dict[Part, list[str]] = {}
        for name in self.request.instruments or ():
            for place in INSTRUMENT_PARTS[name]:
                if place in ("drums", "percussion") or place not in taken:
                    taken.setdefault(place, []).append(name)
                    break
        return taken.get(part, [])

    def drawn(self, aspect: Aspect, part: str, rng: np.random.Generator, draw: Callable[[np.random.Generator], T]) -> T:
        """What ``draw`` makes of the part's ``rng``, or, where the request has another seed for the aspect, of that. ``rng`` is
        drawn from in both cases: the other aspects stay what they are."""
        first = draw(rng)
        asked = self.request
        seed = {"sound": asked.sound_seed, "rhythm": asked.rhythm_seed, "melody": asked.melody_seed}[aspect]
        if seed is None:
            return first
        other = generator(seed, self.request.style, f"{part}/{aspect}")
        drawn = draw(other)
        return cast("T", turned(drawn, other)) if isinstance(drawn, str) else drawn

    def patch(self, part: Part, patches: tuple[str, ...], rng: np.random.Generator) -> str:
        """The patch of a tonal part: the instrument asked for, or one of the style's; another one of them when the request has
        another seed for the sound."""
        first = patches[int(rng.integers(len(patches)))]
        if asked := self.instruments(part):
            return asked[0]
        others = [patch for patch in patches if patch != first]
        if self.request.sound_seed is None or not others:
            return first
        return others[int(generator(self.request.sound_seed, self.request.style, f"{part}/patch").integers(len(others)))]

    def chord(self, bar: int) -> list[int]:
        """Pitch classes of the chord of a bar, root first, without doubles."""
        root = self.degrees[bar]
        notes = [(self.key.tonic + self.key.degree(root + step)) % 12 for step in self.chord_degrees]
        return list(dict.fromkeys(notes))

    def voicings(self, low: int, high: int) -> list[list[int]]:
        """The chord of every bar as MIDI notes with the least movement; the last bar leads back to the first."""
        chords: list[list[int]] = []
        previous: list[int] = []
        for bar in range(self.grid.bars):
            previous = voice_lead(previous, self.chord(bar), low, high)
            chords.append(previous)
        return chords


def compose(request: GenRequest, poll: Callable[[], None] = lambda: None) -> Song:
    """The song of a resolved request; ``poll`` as in :class:`Song`."""
    style = table()[str(request.style)]
    rng = generator(request.harmony_seed or 0, request.style, "song")
    low, high = style.swing
    swing = low + (high - low) * float(rng.random())
    progression = pick(rng, style.progressions)
    chord_degrees = style.chord_degrees[int(rng.integers(len(style.chord_degrees)))]
    kick_hz = style.kick_hz[0] + (style.kick_hz[1] - style.kick_hz[0]) * float(rng.random())
    room_seed = int(rng.integers(1 << 30))
    bars = int(request.bars or 4)
    grid = Grid(request.frames, request.sample_rate, bars, request.beats_per_bar, swing)
    key = parse_key(str(request.key))
    roots = tuple(_rooted(key, degree) for degree in progression)
    degrees = tuple(roots[bar * len(roots) // bars if bars < 4 else bar % len(roots)] for bar in range(bars))
    return Song(request, style, grid, key, degrees, chord_degrees, kick_hz, room_seed, poll)


def pick(rng: np.random.Generator, weighted: tuple[tuple[T, float], ...]) -> T:
    """One of the first members, by the weights in the second."""
    point = float(rng.random()) * sum(weight for _, weight in weighted)
    for value, weight in weighted:
        point -= weight
        if point < 0:
            return value
    return weighted[-1][0]


def graded(choices: tuple[T, ...], level: float, rng: np.random.Generator, spread: float = 0.2) -> T:
    """A choice of a table that goes from plain to busy: at ``level`` 0…1, give or take ``spread``."""
    position = min(max(level + (float(rng.random()) * 2 - 1) * spread, 0.0), 0.999)
    return choices[int(position * len(choices))]


def turned(rhythm: str, rng: np.random.Generator) -> str:
    """A rhythm string with a few eighths more and a few hits less; the first of each bar stays. A style has few rhythms,
    and a variation is to be another one each time."""
    chances = rng.random(len(rhythm))
    marks = [
        "5" if mark == "." and step % 2 == 0 and chance < 0.12 else "." if mark != "." and step % 16 and chance < 0.15 else mark
        for step, (mark, chance) in enumerate(zip(rhythm, chances, strict=True))
    ]  # fmt: skip
    return "".join(marks) if any(mark != "." for mark in marks) else rhythm


def velocities(rhythm: str, bar: int, steps_per_bar: int) -> list[float]:
    """The velocities 0…1 of one bar of a rhythm string."""
    start = bar * steps_per_bar if len(rhythm) > steps_per_bar else 0
    marks = [rhythm[(start + step) % len(rhythm)] for step in range(steps_per_bar)]
    return [0.0 if mark == "." else int(mark) / 9 for mark in marks]


def _rooted(key: Key, degree: int) -> int:
    """The degree, or where its triad is diminished (II of minor, VII of major) the one two below: nobody rests on that, and
    the other leads to the same place."""
    diminished = key.degree(degree + 4) - key.degree(degree) == 6
    return degree - 2 if diminished and degree >= 2 else degree + 2 if diminished else degree
