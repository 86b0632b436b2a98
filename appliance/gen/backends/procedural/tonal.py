# SPDX-License-Identifier: GPL-3.0-or-later
"""Bass, chords and lead: rhythms become notes in key, notes become sound, sound gets its echo and its room."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.gen.backends.procedural.arrangement import velocity_at
from appliance.gen.backends.procedural.grid import STEPS_PER_BEAT, lay
from appliance.gen.backends.procedural.instruments import HELD, PATCHES, ROOTED
from appliance.gen.backends.procedural.patches import Tone
from appliance.gen.backends.procedural.shaping import chorus, duck_curve, echo, room
from appliance.gen.backends.procedural.song import Song, graded, pick, velocities
from appliance.gen.backends.procedural.styles import Tune
from appliance.gen.maths import saturate
from appliance.gen.vocabulary import Part

Samples = NDArray[np.float32]
#: How loud the tones of a chord are, root first: the seventh and ninth colour it, they do not carry it.
_SECTION_BRIGHTNESS = {"intro": -0.12, "break": -0.05, "outro": -0.12}
_CHORD_WEIGHTS = (1.0, 0.75, 0.6, 0.4, 0.25)
_THIRD = 0.8
"""Of a second guitar over a power chord, which has none of its own: without it nobody hears whether it is minor."""


@dataclass(frozen=True, slots=True)
class Note:
    """A note of the score: ``step`` in sixteenths from the start, MIDI ``pitch``, ``velocity`` 0…1."""

    step: int
    pitch: int
    velocity: float
    gate_steps: float


def bass(song: Song) -> Samples:
    """The bass stem, (2, frames): one voice in the middle."""
    rng = song.rng("bass")
    tune = song.style.bass
    patch = song.patch("bass", tune.patches, rng)
    return _play(song, rng, tune, patch, _arranged(song, bass_line(song, rng), "bass"), 0.0)


def chords(song: Song) -> Samples:
    """The chord stem, (2, frames)."""
    rng = song.rng("chords")
    tune = song.style.chords
    patch = song.patch("chords", tune.patches, rng)
    return _play(song, rng, tune, patch, _arranged(song, chord_line(song, rng, patch), "chords"), 0.25)


def lead(song: Song) -> Samples:
    """The lead stem, (2, frames)."""
    rng = song.rng("lead")
    tune = song.style.lead
    patch = song.patch("lead", tune.patches, rng)
    return _play(song, rng, tune, patch, _arranged(song, lead_line(song, rng), "lead"), 0.35)


def _arranged(song: Song, notes: list[Note], part: Part) -> list[Note]:
    """The notes that the section lets the part play, at its velocities; all of them where none would be left."""
    factors = [velocity_at(song.section, part, note.step / song.grid.steps) for note in notes]
    played = [replace(note, velocity=note.velocity * factor) for note, factor in zip(notes, factors, strict=True) if factor > 0]
    return played or notes


def bass_line(song: Song, rng: np.random.Generator) -> list[Note]:
    """A figure of two bars on the chord's root, repeated, with another ending at the end of the phrase."""
    tune, grid = song.style.bass, song.grid
    complexity = float(song.request.complexity or 0)
    level = 0.55 * complexity + 0.45 * float(song.request.energy or 0)
    rhythm = song.drawn("rhythm", "bass", rng, lambda rng: graded(tune.rhythms, level, rng, 0.3))

    def figures(rng: np.random.Generator) -> tuple[list[list[int]], list[int]]:
        steps = range(grid.steps_per_bar)
        figure = [[_bass_degree(rng, tune, complexity, step) for step in steps] for _ in range(2)]
        return figure, [_bass_degree(rng, tune, 1.0, step) for step in steps]

    figure, ending = song.drawn("melody", "bass", rng, figures)
    notes: list[Note] = []
    for bar in range(grid.bars):
        for step, velocity in enumerate(velocities(rhythm, bar, grid.steps_per_bar)):
            if velocity <= 0:
                continue
            last_beat = bar == grid.bars - 1 and grid.bars > 1 and step >= grid.steps_per_bar - 6
            degree = ending[step] if last_beat else figure[bar % 2][step]
            pitch = _in_range(song, song.degrees[bar] + degree, tune.low_note, tune.high_note)
            notes.append(Note(bar * grid.steps_per_bar + step, pitch, velocity, tune.gate_steps))
    return _gated(notes, grid.steps)


def _bass_degree(rng: np.random.Generator, tune: Tune, complexity: float, step: int) -> int:
    degree = pick(rng, tune.degrees)
    stay = float(rng.random()) > 0.15 + 0.5 * complexity
    return 0 if stay or step % 4 == 0 else degree


def chord_line(song: Song, rng: np.random.Generator, patch: str) -> list[Note]:
    """The chord of each bar, voice-led, on the rhythm. A patch that holds plays it for the bar, one that is rooted gets its
    root; a tune with arpeggios plays the notes one by one, but not with those two."""
    tune, grid = song.style.chords, song.grid
    level = float(song.request.complexity or 0)
    rhythm = song.drawn("rhythm", "chords", rng, lambda rng: graded(tune.rhythms, level, rng, 0.35))
    order = tune.arpeggios[int(rng.integers(len(tune.arpeggios)))] if tune.arpeggios and patch not in HELD | ROOTED else ()
    notes: list[Note] = []
    other = song.request.melody_seed
    lift = 0 if other is None else 3 + other % 7  # another inversion: the harmony belongs to all parts
    for bar, pitches in enumerate(song.voicings(tune.low_note + lift, tune.high_note + lift)):
        start = bar * grid.steps_per_bar
        chord = song.chord(bar)
        weights = {pitch: _CHORD_WEIGHTS[min(chord.index(pitch % 12), len(_CHORD_WEIGHTS) - 1)] for pitch in pitches}
        if patch in ROOTED:
            root, third = (_in_range(song, song.degrees[bar] + step, low, low + 11) for step, low in ((0, 40), (2, 57)))
            pitches, weights = [root, third], {root: 1.0, third: _THIRD}
        if patch in HELD:
            notes += [Note(start, pitch, 0.8 * weights[pitch], grid.steps_per_bar - 1.0) for pitch in pitches]
            continue
        played = [(step, v) for step, v in enumerate(velocities(rhythm, bar, grid.steps_per_bar)) if v > 0]
        broken = bool(order) and len(played) >= len(pitches)  # else nobody would hear which chord it is
        for number, (step, velocity) in enumerate(played):
            sounding = [pitches[order[number % len(order)] % len(pitches)]] if broken else pitches
            gate = min(tune.gate_steps, (played[number + 1][0] if number + 1 < len(played) else grid.steps_per_bar) - step)
            notes += [Note(start + step, pitch, velocity * (0.8 if broken else weights[pitch]), gate) for pitch in sounding]
    return notes


def lead_line(song: Song, rng: np.random.Generator) -> list[Note]:
    """A motif that walks over the style's degrees; played twice, the second time with another end."""
    tune, grid = song.style.lead, song.grid
    complexity = float(song.request.complexity or 0)
    level = 0.7 * complexity + 0.3 * float(song.request.energy or 0)
    rhythm = song.drawn("rhythm", "lead", rng, lambda rng: graded(tune.rhythms, level, rng, 0.35))
    ladder = sorted(degree for degree, _ in tune.degrees)

    def walks(rng: np.random.Generator) -> tuple[list[int], list[int]]:
        place = ladder.index(pick(rng, tune.degrees))
        walk: list[int] = []
        for _ in range(2 * grid.steps_per_bar):
            walk.append(ladder[place])
            stride = int(rng.integers(-2, 3)) if float(rng.random()) < 0.35 + 0.45 * complexity else 0
            place = min(max(place + stride, 0), len(ladder) - 1)
        return walk, [ladder[int(rng.integers(len(ladder)))] for _ in range(grid.steps_per_bar)]

    walk, other_end = song.drawn("melody", "lead", rng, walks)
    notes: list[Note] = []
    count = 0
    for bar in range(grid.bars):
        if bar % 2 == 0:
            count = 0
        for step, velocity in enumerate(velocities(rhythm, bar, grid.steps_per_bar)):
            if velocity <= 0:
                continue
            closing = bar % 4 == 3 and step >= grid.steps_per_bar // 2
            degree = other_end[step] if closing else walk[count % len(walk)]
            count += 1
            if step % (2 * STEPS_PER_BEAT) == 0:
                degree = _consonant(degree, song.degrees[bar])
            pitch = _in_range(song, degree, tune.low_note, tune.high_note)
            notes.append(Note(bar * grid.steps_per_bar + step, pitch, velocity, tune.gate_steps))
    return _gated(notes, grid.steps)


def _consonant(degree: int, root: int) -> int:
    """The nearest degree of the triad on ``root``, for notes on strong beats; downwards where two are as near."""
    return next(degree + step for step in (0, -1, 1, -2, 2) if (degree + step - root) % 7 in (0, 2, 4))


def _in_range(song: Song, degree: int, low: int, high: int) -> int:
    """The pitch of a degree of the key in the octave that fits ``low … high``; its octaves keep their order."""
    pitch = song.key.note(degree, 0)
    root = song.key.note(0, 0)
    shift = -(-(low - root) // 12) * 12
    pitch += shift
    while pitch > high:
        pitch -= 12
    while pitch < low:
        pitch += 12
    return pitch


def _gated(notes: list[Note], steps: int) -> list[Note]:
    """One voice: no note lasts into the next one."""
    result: list[Note] = []
    for number, note in enumerate(notes):
        following = notes[(number + 1) % len(notes)].step
        room_steps = (following - note.step) % steps or steps
        result.append(Note(note.step, note.pitch, note.velocity, min(note.gate_steps, room_steps)))
    return result


def _play(song: Song, rng: np.random.Generator, tune: Tune, patch: str, notes: list[Note], width: float) -> Samples:
    """Notes to a stem: patch, ducking under the kick, echo on dotted eighths, room."""
    request, grid = song.request, song.canvas
    colour = float(rng.random())
    bright = brightness(song)
    humanize = float(request.humanize or 0)
    drive = {"gritty": 0.5, "warm": 0.2}.get(str(request.texture), 0.0) + 0.6 * ("distortion" in (request.effects or ()))
    dry = grid.silence()
    made: dict[tuple[int, float, float], Samples] = {}
    for note in notes:
        drift = int(float(rng.random()) * humanize * 0.006 * grid.sample_rate) if note.step else 0
        gain = (0.15 + 0.85 * note.velocity) * (1 + (float(rng.random()) - 0.5) * 0.4 * humanize)
        at = song.frame(note.step, drift)
        if at is None:
            continue
        tag = (note.pitch, round(note.velocity, 2), round(note.gate_steps, 2))
        if tag not in made:
            song.poll()
            gate_s = note.gate_steps * grid.step_s
            made[tag] = PATCHES[patch](Tone(note.pitch, gate_s, note.velocity, bright, colour, grid.sample_rate))
        pan = width * (((note.pitch * 5) % 7) / 3 - 1)
        lay(dry, at, made[tag], gain, pan)
    if drive > 0:
        dry = saturate(dry * np.float32(1 + 3 * drive)) * np.float32(1 / (1 + drive))
    if "chorus" in (request.effects or ()) and width > 0:
        dry = chorus(dry, grid.sample_rate, max(grid.bars, 1))
    if tune.duck > 0:
        beat_s = grid.beat_frames / grid.sample_rate
        dry *= grid.beat_curve(duck_curve(grid.beat_frames, grid.sample_rate, tune.duck, min(0.24, 0.55 * beat_s)))
    return _spaced(song, tune, dry)


def _spaced(song: Song, tune: Tune, dry: Samples) -> Samples:
    """Echo and room of a stem; more where the request asks, none on a part that has none (the bass stays dry)."""
    song.poll()
    effects, grid = song.request.effects or (), song.canvas
    level = tune.echo * (1.5 if "delay" in effects else 1.0)
    result = dry
    if level > 0:
        delay_frames = round(3 * grid.frames / grid.steps)
        result = dry + echo(dry, delay_frames, min(0.45 * level + 0.2, 0.72), 5)
    send = tune.send * (2.0 if "reverb" in effects else 1.0) * (1.4 if song.request.texture == "airy" else 1.0)
    song.poll()
    if send > 0:
        result = result + room(result, song.sample_rate, song.style.room_s, song.room_seed) * np.float32(send)
    return result


def brightness(song: Song) -> float:
    """How far filters open, 0…1: energy and mood, bent by the texture asked for."""
    request = song.request
    bend = {"warm": -0.12, "dark": -0.25, "airy": 0.15}.get(str(request.texture), 0.0)
    value = 0.15 + 0.5 * float(request.energy or 0) + 0.35 * float(request.mood or 0) + bend
    return min(max(value + _SECTION_BRIGHTNESS.get(song.section, 0.0), 0.05), 1.0)
