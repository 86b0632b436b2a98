# SPDX-License-Identifier: GPL-3.0-or-later
"""Spectral room: how much of a clip would be heard beside what plays already, from the balance that an analysis finds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from appliance.library.analysis.spectrum import BANDS
from appliance.library.store import Clip

PARTS = ("drums", "bass", "chords", "lead", "percussion", "texture")
"""In the order in which a groove misses them."""
USUAL_LUFS = -20.0
_WEIGHTS = {"drums": 1.1, "bass": 1.0, "chords": 0.75, "lead": 0.6, "percussion": 0.55, "texture": 0.5}


@dataclass(frozen=True, slots=True)
class Sound:
    """What a clip is in a mix: its part, loudness in LUFS, and shares of its power in ``BANDS`` (empty: as its part is)."""

    role: str
    loudness: float
    balance: tuple[float, ...] = ()

    @property
    def powers(self) -> np.ndarray:
        """In each band, relative to full scale."""
        shares = self.balance if len(self.balance) == len(BANDS) else TYPICAL.get(self.role, _EVEN)
        return np.array(shares) * 10.0 ** (self.loudness / 10.0)


def sound_of(clip: Clip) -> Sound:
    """Of a clip of the store. What its worker has not heard is taken from its part."""
    heard = clip.lineage.get("heard") or {}
    level = heard.get("level", clip.loudness)
    return Sound(clip.role, USUAL_LUFS if level is None else float(level), tuple(heard.get("balance", ())))


def room(sound: Sound, others: Iterable[Sound]) -> float:
    """The share 0…1 of a clip's power that stands clear of the others: in each band its part of all that sounds there, weighted
    by how much of the clip lies in the band. 1: nobody else plays there."""
    own = sound.powers
    if not own.any():
        return 0.0
    all_ = own + sum((other.powers for other in others), np.zeros(len(BANDS)))
    return float(np.sum(own / own.sum() * own / np.maximum(all_, 1e-12)))


def together(sounds: Iterable[Sound]) -> float:
    """Loudness in LUFS of clips that play at once and have nothing to do with each other: their powers add up."""
    total = sum(10.0 ** (sound.loudness / 10.0) for sound in sounds)
    return 10.0 * float(np.log10(total)) if total > 0.0 else -70.0


def most_missed(sounding: Sequence[Sound], offered: Iterable[Sound]) -> list[Sound]:
    """What may be added to what sounds, the most missed first: parts that do not sound yet, by how much a groove needs them and
    how much room there is."""
    there = {sound.role for sound in sounding}
    able = [sound for sound in offered if sound.role in _WEIGHTS and sound.role not in there]
    return sorted(able, key=lambda sound: -_WEIGHTS[sound.role] * (0.5 + 0.5 * room(sound, sounding)))


_EVEN = (1.0 / len(BANDS),) * len(BANDS)
TYPICAL = {
    "drums": (0.28, 0.58, 0.08, 0.03, 0.03), "bass": (0.47, 0.49, 0.04, 0.0, 0.0), "chords": (0.0, 0.17, 0.7, 0.12, 0.01),
    "lead": (0.0, 0.0, 0.87, 0.13, 0.0), "percussion": (0.0, 0.26, 0.45, 0.06, 0.23), "texture": (0.0, 0.26, 0.39, 0.17, 0.18),
}
"""Means of the embedded generator's parts over its styles."""
