# SPDX-License-Identifier: GPL-3.0-or-later
"""``/gen/fuse``: from pads, decks or clips of the library to the request of a fusion."""

from __future__ import annotations

import math
from typing import Any

from appliance.errors import BadValue
from appliance.gen.asking import Asking
from appliance.gen.fusion import ALIGNMENTS, FusionRequest, parse_fusion
from appliance.gen.request import MAX_BARS
from appliance.gen.varying import Varying
from appliance.library.store import AudioStore, Clip

OPTIONS = ("align", "weights", "bpm", "bars", "name")


class Fusing:
    """Makes requests of fusions."""

    def __init__(self, asking: Asking, store: AudioStore, varying: Varying) -> None:
        self._asking = asking
        self._store = store
        self._varying = varying

    def request(self, arguments: list[Any]) -> tuple[FusionRequest, str]:
        """``[clips, options, target]``: a list of two to four pads, decks, hashes or paths; an object with ``align``,
        ``weights``, ``bpm`` (else the clock's), ``bars`` (else those of the longest), ``name``. The request and where it goes;
        without a target an empty pad. Raises :class:`BadValue`."""
        clips, options, target = [*arguments[:3], *([None] * (3 - len(arguments)))]
        if not isinstance(clips, list) or not 2 <= len(clips) <= 4 or len(arguments) > 3:
            raise BadValue("a fusion takes a list of two to four pads, decks or clips, then options and a target")
        options = options or {}
        unknown = [name for name in options if name not in OPTIONS] if isinstance(options, dict) else [str(options)[:40]]
        if unknown:
            raise BadValue(f"a fusion has no option {unknown[0]!r}; it has {', '.join(OPTIONS)}, and align is one of "
                           f"{', '.join(ALIGNMENTS)}")
        weights = options.get("weights") or [1.0] * len(clips)
        if not isinstance(weights, list) or len(weights) != len(clips):
            raise BadValue(f"{len(clips)} clips take {len(clips)} weights, not {str(weights)[:60]}")
        found = [self._clip(where) for where in clips]
        fields = {
            "parents": [{"hash": clip.hash, "bpm": clip.bpm, "weight": weight, "exact": bool(clip.lineage.get("backend"))}
                        for clip, weight in zip(found, weights, strict=True)],
            "align": options.get("align") or "downbeat", "bpm": options.get("bpm") or self._asking.bpm,
            "bars": options.get("bars") or self._bars(found), "beats_per_bar": self._asking.beats_per_bar,
            "sample_rate": self._asking.rate, "key": found[0].key if len({clip.key for clip in found}) == 1 else None,
            "role": found[0].role if len({clip.role for clip in found}) == 1 else "mix",
            "name": str(options.get("name") or " + ".join(clip.name for clip in found))[:64],
        }  # fmt: skip
        return parse_fusion(fields), self._asking.target(target) if target else self._varying.empty_pad()

    def _clip(self, where: Any) -> Clip:
        hash_ = self._varying.source(where) if isinstance(where, str) else ""
        clip = self._store.get(hash_) if hash_ else None
        if clip is None:
            raise BadValue(f"{str(where)[:80]}: that is no clip of the store; a fusion takes generated loops")
        if not clip.bpm:
            raise BadValue(f"{clip.name}: its tempo is not known, so it cannot be fused")
        return clip

    def _bars(self, clips: list[Clip]) -> int:
        longest = max((clip.beats or 0) / self._asking.beats_per_bar for clip in clips)
        return min(max(math.ceil(longest), 1), MAX_BARS)
