# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys as places on the Camelot wheel (Mark Davis): twelve fifths around, ``A`` minor and ``B`` the major of the same notes.

Neighbours by number, and the two of one number, go together.
"""

from __future__ import annotations

NOTES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_MINOR_BELOW_MAJOR = 3
_SAME = {"Db": "C#", "D#": "Eb", "Gb": "F#", "G#": "Ab", "A#": "Bb"}


def camelot(key: str) -> str:
    """``8A`` for ``A minor``, ``8B`` for ``C major``; empty for what is no key of :data:`NOTES`."""
    note, _, mode = key.partition(" ")
    if note not in NOTES or mode not in ("major", "minor"):
        return ""
    tonic = NOTES.index(note) + (_MINOR_BELOW_MAJOR if mode == "minor" else 0)
    return f"{(7 * tonic + 7) % 12 + 1}{'A' if mode == 'minor' else 'B'}"


def go_together(one: str, other: str) -> bool:
    """Neighbours on the wheel, or one place, however the black keys are called; also where one is no major or minor key."""
    parts = [key.partition(" ") for key in (one, other)]
    here, there = (camelot(f"{_SAME.get(note, note)} {mode}") for note, _, mode in parts)
    if not here or not there:
        return True
    steps = (int(here[:-1]) - int(there[:-1])) % 12
    return steps == 0 or (here[-1] == there[-1] and steps in (1, 11))
