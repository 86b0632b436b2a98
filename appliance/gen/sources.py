# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds what a person means by a sound: a pad, a deck, a clip of the store by its hash, or a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from appliance.errors import BadFile, BadValue
from appliance.gen.asking import Asking
from appliance.gen.material import Material, stamp_of
from appliance.library.decode import probe
from appliance.library.store import AudioStore

_HASH = re.compile(r"[0-9a-f]{64}")


class Sources:
    """``loaded`` are the files of pads and decks by ``/bank/1/pad/3/file``; relative paths begin in ``data``."""

    def __init__(self, asking: Asking, store: AudioStore, loaded: dict[str, str], data: Path) -> None:
        self._asking = asking
        self._store = store
        self._loaded = loaded
        self._data = data

    def find(self, where: Any) -> Material:
        """Raises :class:`BadValue` for an empty pad or deck, :class:`BadFile` for a file that is not there or no audio."""
        if not isinstance(where, str) or not where:
            raise BadValue(f"takes a file, a pad, a deck or a clip's hash, not {str(where)[:60]!r}")
        if where.startswith(("/pad/", "/bank/", "/deck/")):
            place = self._asking.target(where)
            where = self._loaded.get(f"{place}/file", "")
            if not where:
                raise BadValue(f"{place} is empty; load or generate something there first", status=409)
        stem = Path(where).stem
        if _HASH.fullmatch(stem) and (clip := self._store.get(stem)) is not None:
            exact = bool(clip.lineage.get("backend"))
            return Material(hash=stem, name=clip.name, bpm=clip.bpm, bars=clip.bars, beats=clip.beats, key=clip.key,
                            exact=exact)
        if _HASH.fullmatch(where):
            raise BadFile(f"{where[:12]}…: no stored clip has this hash; generate it again or name a file", status=404)
        path = Path(where).expanduser()
        path = (path if path.is_absolute() else self._data / path).resolve()
        probe(path)
        return Material(path=str(path), stamp=stamp_of(path), name=path.stem[:64])
