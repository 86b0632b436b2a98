# SPDX-License-Identifier: GPL-3.0-or-later
"""What the autopilot knows of the clips on the pads: of the store's, or what an analysis has found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appliance.control.tracks import Tracks
from appliance.errors import ApplianceError
from appliance.library.room import USUAL_LUFS, sound_of
from appliance.library.store import AudioStore

_MOST = 512


@dataclass(frozen=True, slots=True)
class Heard:
    """Loudness in LUFS, shares of the bands, energy 0…1, key; ``recipe``: it was generated and can be had anew."""

    loudness: float = USUAL_LUFS
    balance: tuple[float, ...] = ()
    energy: float = 0.5
    key: str = ""
    recipe: bool = False


class ClipFacts:
    """Remembers what it has looked up, by file."""

    def __init__(self, data: Path, tracks: Tracks | None) -> None:
        self._data = data
        self._tracks = tracks
        self._known: dict[str, Heard] = {}

    def __call__(self, file: str) -> Heard:
        if file not in self._known:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[file] = self._generated(file) or self._analysed(file) or Heard()
        return self._known[file]

    def _generated(self, file: str) -> Heard | None:
        try:
            store = AudioStore(self._data)
            try:
                clip = store.get(Path(file).stem)
            finally:
                store.close()
        except ApplianceError:
            return None
        if clip is None:
            return None
        asked, sound = clip.lineage.get("request") or {}, sound_of(clip)
        return Heard(sound.loudness, sound.balance, float(asked.get("energy", 0.5)), clip.key or "", bool(asked))

    def _analysed(self, file: str) -> Heard | None:
        found = self._tracks.remembered(Path(file)) if self._tracks else None
        if found is None:
            return None
        return Heard(USUAL_LUFS if found.loudness is None else found.loudness, found.balance, found.energy / 10.0, found.key)
