# SPDX-License-Identifier: GPL-3.0-or-later
"""``/pad/N/stems``, ``/deck/N/stems``, ``/gen/stems``: from a clip or track to the requests of its stems and where they go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.errors import BadValue
from appliance.gen.asking import Asking
from appliance.gen.sources import Sources
from appliance.gen.stems.request import STEM_ROLES, STEMS, StemRequest, parse_stem
from appliance.nodes.pad import PADS


class Stemming:
    """``model()`` is demucs' as a request names it, or empty for filters; ``loaded`` as in :class:`.Sources`."""

    def __init__(self, asking: Asking, sources: Sources, loaded: dict[str, str], model: Callable[[], str]) -> None:
        self._asking = asking
        self._sources = sources
        self._loaded = loaded
        self._model = model

    def requests(self, where: Any, places: list[Any]) -> list[tuple[StemRequest, str]]:
        """The stems of ``where`` and their targets. ``places``: a pad for the first, the others go behind it; or a list of
        pads for drums, bass, vocals and other; or an object that says which stem goes where, and only those are made;
        ``store``: nowhere; none: empty pads. Raises :class:`BadValue`."""
        material = self._sources.find(where)
        if len(places) > 1:
            places = [places]
        targets = self._targets(places[0] if places else None)
        model = self._model()
        return [
            (parse_stem({
                "material": material, "stem": stem, "role": STEM_ROLES[stem], "backend": "demucs" if model else "filters",
                "model": model, "name": f"{material.name[: 61 - len(stem)]} · {stem}",
            }), target)
            for stem, target in targets.items()
        ]  # fmt: skip

    def _targets(self, said: Any) -> dict[str, str]:
        if said in (None, ""):
            return dict(zip(STEMS, self._empty_pads(len(STEMS)), strict=True))
        if said == "store":
            return dict.fromkeys(STEMS, "")
        if isinstance(said, dict) and said and all(stem in STEMS for stem in said):
            return {stem: self._asking.target(said[stem]) for stem in STEMS if stem in said}
        if isinstance(said, list) and 1 <= len(said) <= len(STEMS):
            return {stem: self._asking.target(place) for stem, place in zip(STEMS, said, strict=False)}
        if not isinstance(said, str):
            raise BadValue(f"stems are {', '.join(STEMS)}; they go to a pad and the ones behind it, to a list of pads, to an "
                           f"object of stems and pads, or to the store; not {str(said)[:60]!r}")
        first = self._asking.target(said)
        place, _, number = first.rpartition("/")
        if not first.startswith("/bank/") or int(number) + len(STEMS) - 1 > PADS:
            raise BadValue(f"{said}: four stems need four pads from there on; name one up to {PADS - len(STEMS) + 1}, or each")
        return {stem: f"{place}/{int(number) + step}" for step, stem in enumerate(STEMS)}

    def _empty_pads(self, count: int) -> list[str]:
        bank = self._asking.chosen_bank
        places = [f"/bank/{bank}/pad/{pad}" for pad in range(1, PADS + 1)]
        empty = [place for place in places if not self._loaded.get(f"{place}/file")]
        if len(empty) < count:
            raise BadValue(f"bank {bank} has {len(empty)} empty pads and stems need {count}; say where they go, like /pad/1",
                           status=409)
        return empty[:count]
