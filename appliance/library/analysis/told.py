# SPDX-License-Identifier: GPL-3.0-or-later
"""Tempos that a file tells of itself, in its name or its tags: not believed, but taken where the music agrees."""

from __future__ import annotations

import re
from pathlib import Path

from appliance.library.analysis.tempo import HIGHEST_BPM, LOWEST_BPM

_NAMED = re.compile(r"(?<![\d.])(\d{2,3}(?:[.,]\d{1,3})?)\s*[-_ ]?\s*bpm|bpm\s*[-_ ]?\s*(\d{2,3}(?:[.,]\d{1,3})?)(?![\d.])", re.IGNORECASE)
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
        tags = mutagen.File(path)  # pyright: ignore[reportPrivateImportUsage]
    except Exception:  # a damaged tag of any kind says nothing; the sound counts
        return []
    found: list[float] = []
    for name in _TAGS if tags else ():
        values = tags.get(name) or []
        for value in list(getattr(values, "text", values)):
            try:
                found.append(float(str(value).replace(",", ".")))
            except ValueError:
                continue
    return found
