# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys, scales and chords: what the request parser checks and what the generators play in."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from appliance.errors import BadValue

NOTE_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}

#: Semitones above the tonic, one entry a degree of the scale.
SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
}
_ABOVE_MAJOR = {"major": 0, "minor": 3, "dorian": -2, "phrygian": -4, "lydian": -5, "mixolydian": -7, "locrian": 1,
                "harmonic minor": 3}
"""Semitones from a mode's first note to that of the major scale of the same notes."""
_MODE_WORDS = {
    "maj": "major", "dur": "major", "ionian": "major",
    "min": "minor", "m": "minor", "moll": "minor", "aeolian": "minor",
}  # fmt: skip
_KEY = re.compile(r"\s*([A-Ga-g])\s*(#{1,2}|b{1,2}|♯|♭|-?sharp|-?flat)?\s*[- ]?\s*([A-Za-z][A-Za-z ]*)?\s*$")


@dataclass(frozen=True, slots=True)
class Key:
    """A tonic (0 = C … 11 = B) and a mode out of :data:`SCALES`."""

    tonic: int
    mode: str

    @property
    def name(self) -> str:
        return f"{NOTE_NAMES[self.tonic]} {self.mode}"

    @property
    def scale(self) -> tuple[int, ...]:
        return SCALES[self.mode]

    @property
    def relative_major(self) -> int:
        """Tonic of the major key of the same notes."""
        return (self.tonic + _ABOVE_MAJOR[self.mode]) % 12

    def degree(self, degree: int) -> int:
        """Semitones of a scale degree above the tonic; 0 is the tonic, 7 its octave, negative ones lie below."""
        octave, step = divmod(degree, len(self.scale))
        return 12 * octave + self.scale[step]

    def note(self, degree: int, octave: int) -> int:
        """The MIDI note of a scale degree, counted from the tonic in ``octave`` (4 holds middle C, 60)."""
        return 12 * (octave + 1) + self.tonic + self.degree(degree)


def parse_key(text: str) -> Key:
    """Read a key as people write it: ``A minor``, ``F#m``, ``Bb major``, ``d dorian``, ``C`` (major), ``am``.

    Raises :class:`BadValue` with the nearest key that exists.
    """
    match = _KEY.match(text)
    if match:
        letter, accidental, word = match.groups()
        mode = _mode(letter, word)
        if mode is not None:
            shift = {None: 0, "#": 1, "##": 2, "♯": 1, "b": -1, "bb": -2, "♭": -1}.get(accidental)
            if shift is None:
                shift = 1 if str(accidental).endswith("sharp") else -1
            return Key((_LETTERS[letter.upper()] + shift) % 12, mode)
    raise BadValue(f"there is no key {text[:40]!r}{_nearest_key(text)}")


def _mode(letter: str, word: str | None) -> str | None:
    if not word:
        return "major" if letter.isupper() else "minor"
    if word == "M":
        return "major"
    name = " ".join(word.lower().split())
    return name if name in SCALES else _MODE_WORDS.get(name)


def _nearest_key(text: str) -> str:
    names = [f"{note} {mode}" for note in NOTE_NAMES for mode in SCALES]
    names += [f"{note} {mode}" for note in ("Db", "D#", "Gb", "G#", "A#") for mode in ("major", "minor")]
    lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(" ".join(text.lower().split())[:40], lower, 1, cutoff=0.5)
    return f"; did you mean {lower[close[0]]}?" if close else "; write it like 'A minor' or 'F# major'"


def voice_lead(previous: list[int], pitch_classes: list[int], low: int, high: int) -> list[int]:
    """Place ``pitch_classes`` (0…11) as MIDI notes in ``low … high`` so that the voices move least from ``previous``.

    Every rotation of the chord is tried in every octave of the range; the sum of distances to the nearest old voice
    decides, the first found wins a tie. With no previous chord the one nearest to the middle of the range is taken.
    """
    best: list[int] = []
    best_cost = float("inf")
    centre = (low + high) / 2
    for turn in range(len(pitch_classes)):
        order = pitch_classes[turn:] + pitch_classes[:turn]
        for bottom in range(low, high + 1):
            if bottom % 12 != order[0] % 12:
                continue
            notes = [bottom]
            for pitch_class in order[1:]:
                notes.append(notes[-1] + (pitch_class - notes[-1] - 1) % 12 + 1)
            if notes[-1] > high:
                continue
            if previous:
                cost = float(sum(min(abs(note - old) for old in previous) for note in notes))
                cost += 0.25 * abs(sum(notes) / len(notes) - centre)
            else:
                cost = abs(sum(notes) / len(notes) - centre)
            if cost < best_cost:
                best, best_cost = notes, cost
    return best or [low + (pitch_class - low) % 12 for pitch_class in pitch_classes]
