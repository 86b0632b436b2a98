# SPDX-License-Identifier: GPL-3.0-or-later
"""Tempos that a file tells of itself, in its name or its tags: not believed, but taken where the music agrees."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from appliance.library.analysis.tempo import HIGHEST_BPM, LOWEST_BPM

_BPM = r"(\d{2,3}(?:[.,]\d{1,3})?)"
_NAMED = re.compile(rf"(?<![\d.]){_BPM}[-_ ]*bpm|bpm[-_ ]*{_BPM}(?![\d.])", re.IGNORECASE)
_NUMBER = re.compile(r"(?:^|[\s_\-(\[])(\d{2,3}(?:\.\d{1,2})?)(?=$|[\s_\-)\]])")
_TAGS = ("TBPM", "bpm", "tmpo", "tempo")


def told_tempos(path: Path) -> tuple[float, ...]:
    """Of the tags, then of the name; those that a beat can have."""
    found = [*_tagged(path), *_numbers(_NAMED, path.stem), *_numbers(_NUMBER, path.stem)]
    return tuple(dict.fromkeys(bpm for bpm in found if LOWEST_BPM <= bpm <= HIGHEST_BPM))


def _numbers(pattern: re.Pattern[str], text: str) -> list[float]:
    return [float(next(part for part in match.groups() if part).replace(",", ".")) for match in pattern.finditer(text)]


def _tagged(path: Path) -> list[float]:
    import mutagen

    try:
        tags: Any = mutagen.File(path) or {}  # pyright: ignore[reportPrivateImportUsage]
    except mutagen.MutagenError:  # a damaged tag says nothing; the sound counts
        return []
    found: list[float] = []
    for name in _TAGS:
        values = tags.get(name) or []
        for value in list(getattr(values, "text", values)):
            try:
                found.append(float(str(value).replace(",", ".")))
            except ValueError:
                continue
    return found
