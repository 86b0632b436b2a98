# SPDX-License-Identifier: GPL-3.0-or-later
"""Variations as a hand asks for them: of a pad, a deck's loop or a clip of the library, as a new take of a pad."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.errors import BadValue
from appliance.gen.asking import Asking
from appliance.gen.request import GenRequest
from appliance.gen.runner import cached
from appliance.gen.takes import MAX_TAKES, TakeStore
from appliance.gen.taking import is_let_go
from appliance.gen.vary import has_recipe, recipe, varied
from appliance.library.store import AudioStore
from appliance.nodes.pad import PADS, VARIATIONS

Remade = Callable[[str, str, Any, int], GenRequest]
_HASH = re.compile(r"[0-9a-f]{64}")


class Varying:
    """``loaded`` are the files of pads and decks by ``/bank/1/pad/3/file``; ``submit(request, target)`` queues. Where
    ``remakes()``, ``remade(where, kind, words or bars, number)`` varies what has no recipe."""

    def __init__(
        self, asking: Asking, store: AudioStore, takes: TakeStore, loaded: dict[str, str],
        submit: Callable[[GenRequest, str], int], remakes: Callable[[], bool], remade: Remade,
    ) -> None:
        self._asking = asking
        self._store = store
        self._takes = takes
        self._loaded = loaded
        self._submit = submit
        self._remakes = remakes
        self._remade = remade

    def of_place(self, place: str, arguments: list[Any]) -> int | None:
        """``[kind, words or bars, target]`` of what stands on a pad or deck. None: a button let go."""
        if arguments and is_let_go(arguments[-1]) and len(arguments) < 3:
            return None
        return self._vary(self.source(place), place, arguments, place if place.startswith("/bank/") else "")

    def of_library(self, arguments: list[Any]) -> int:
        """``[hash or path or address, kind, words or bars, target]``."""
        if not arguments or not isinstance(arguments[0], str):
            raise BadValue("takes a clip (its hash or path, a pad or a deck), then the kind of variation")
        source = arguments[0]
        return self._vary(self.source(source), source, arguments[1:], "")

    def source(self, where: str) -> str:
        """The hash of the clip on a pad or deck, or of a clip of the store by hash or path. Raises :class:`BadValue`."""
        if where.startswith(("/pad/", "/bank/", "/deck/")):
            place = self._asking.target(where)
            file = self._loaded.get(f"{place}/file", "")
            if not file:
                raise BadValue(f"{place} is empty; load or generate a clip there first", status=409)
            where = file
        stem = Path(where).stem
        return stem if _HASH.fullmatch(stem) else ""

    def _vary(self, hash_: str, where: str, arguments: list[Any], target: str) -> int:
        if not 1 <= len(arguments) <= 3 or not isinstance(arguments[0], str):
            raise BadValue(f"a variation takes its kind ({', '.join(VARIATIONS)}), then words or bars, then where it goes")
        make = self._maker(hash_, where)
        value = arguments[1] if len(arguments) > 1 and arguments[1] != "" else None
        target = self._asking.target(arguments[2]) if len(arguments) > 2 and arguments[2] else target or self.empty_pad()
        there = {take.hash for take in self._takes.of(target)} | {hash_}
        kind = arguments[0].strip().lower()
        number, request = 0, make(kind, value, 0)
        while number < MAX_TAKES and there.intersection(cached(self._store, request) or ()):
            number += 1  # that one is a take already
            request = make(kind, value, number)
        return self._submit(request, target)

    def _maker(self, hash_: str, where: str) -> Callable[[str, Any, int], GenRequest]:
        """From its recipe where it has one, else from its sound. Raises :class:`BadValue` where neither can be."""
        clip = self._store.get(hash_) if hash_ else None
        if has_recipe(clip) or not self._remakes():
            source = recipe(clip, where)
            return lambda kind, value, number: varied(source, kind, value, number)
        return lambda kind, value, number: self._remade(where, kind, value, number)

    def empty_pad(self) -> str:
        """The first of the chosen bank. Raises :class:`BadValue` when all are full."""
        bank = self._asking.chosen_bank
        for pad in range(1, PADS + 1):
            if not self._loaded.get(f"/bank/{bank}/pad/{pad}/file"):
                return f"/bank/{bank}/pad/{pad}"
        raise BadValue(f"bank {bank} has no empty pad; say where it goes, like /pad/3", status=409)
