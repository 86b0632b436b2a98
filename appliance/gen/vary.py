# SPDX-License-Identifier: GPL-3.0-or-later
"""Variations of a clip from its recipe, the request that made it: one thing becomes another, all else stays."""

from __future__ import annotations

import hashlib
from typing import Any

from appliance.errors import BadValue
from appliance.gen.request import MAX_BARS, PARTS, GenRequest, parse_request
from appliance.library.store import Clip
from appliance.nodes.pad import VARIATIONS

STEP = 0.25
"""How much more or less complex a variation is, of 0…1."""
_SEEDS = {"instrument": "sound_seed", "rhythm": "rhythm_seed", "melody": "melody_seed"}
_WORDS = ("style", "mood", "energy", "bpm", "key", "parts", "texture", "complexity", "effects", "bars")


def has_recipe(clip: Clip | None) -> bool:
    """It was generated from a request."""
    return clip is not None and isinstance(clip.lineage.get("request"), dict)


def recipe(clip: Clip | None, where: str) -> GenRequest:
    """The request that made a clip. Raises :class:`BadValue` (409) for one that was not generated from a request."""
    asked = clip.lineage.get("request") if clip else None
    if not isinstance(asked, dict):
        raise BadValue(f"{where[:80]}: its clip has no recipe, so it cannot be varied: audio-to-audio needs a model; generate "
                       "a clip here, then vary that", status=409)
    return parse_request(asked).resolved()


def varied(request: GenRequest, kind: str, value: Any = None, number: int = 0) -> GenRequest:
    """The request of a variation. ``kind`` is one of VARIATIONS; ``value``: the words of ``text``, the bars of ``length``.
    ``number`` counts variations of one kind from 0; each is another. Raises :class:`BadValue`."""
    changes: dict[str, Any]
    match kind:
        case "complex" | "simple":
            changes = _more_or_less(request, STEP if kind == "complex" else -STEP)
        case "instrument" | "rhythm" | "melody":
            changes = _another(request, kind, number)
        case "like":
            tuned = {"bass", "chords", "lead"} & set(request.parts or PARTS)
            changes = _another(request, "melody" if tuned else "rhythm", number)
        case "length":
            changes = {"bars": _bars(request, value)}
        case "text":
            changes = _by_words(request, value, number)
        case _:
            raise BadValue(f"there is no variation {str(kind)[:40]!r}; there is {', '.join(VARIATIONS)}")
    fields = request.model_dump(exclude_none=True) | changes
    return parse_request(fields | {"candidates": 1, "name": _name(request, kind)}).resolved()


def _more_or_less(request: GenRequest, step: float) -> dict[str, Any]:
    now = request.complexity if request.complexity is not None else 0.5
    wanted = round(min(max(now + step, 0.0), 1.0), 4)
    if wanted == now:
        most = "complex" if step > 0 else "simple"
        raise BadValue(f"it is as {most} as can be already; vary its rhythm or melody", status=409)
    return {"complexity": wanted}


def _another(request: GenRequest, kind: str, number: int) -> dict[str, Any]:
    parts = request.parts or PARTS
    if kind == "melody" and not {"bass", "chords", "lead"} & set(parts):
        raise BadValue(f"{' and '.join(parts)} have no melody; ask for another rhythm or instrument", status=409)
    if set(parts) == {"texture"}:
        return {"seed": _seed(request, kind, number)}
    return {_SEEDS[kind]: _seed(request, kind, number)}


def _bars(request: GenRequest, value: Any) -> Any:
    """As said, else twice as many, and half where that would be too long."""
    if value is not None:
        return value
    bars = request.bars or 4
    return bars * 2 if bars * 2 <= MAX_BARS else bars // 2


def _by_words(request: GenRequest, value: Any, number: int) -> dict[str, Any]:
    """What the words say of style, mood, tempo … is changed; words that say nothing of it make another take of the same."""
    if not isinstance(value, str) or not value.strip():
        raise BadValue("a variation by text takes the words that say what is to be different")
    said, plain = parse_request(value).resolved(), parse_request({"prompt": "-"}).resolved()
    changes = {name: getattr(said, name) for name in _WORDS if getattr(said, name) != getattr(plain, name)}
    changes = {name: new for name, new in changes.items() if new != getattr(request, name)}
    return {"prompt": f"{request.prompt}, {value}"} | (changes or {"seed": _seed(request, value, number)})


def _seed(request: GenRequest, kind: str, number: int) -> int:
    said = f"{request.seed}/{request.sound_seed}/{request.rhythm_seed}/{request.melody_seed}/{kind}/{number}"
    return int.from_bytes(hashlib.sha256(said.encode()).digest()[:6], "big")


def _name(request: GenRequest, kind: str) -> str:
    """The clip's name with what was done to it, within 64 characters."""
    plain = request.title().split(" · ")[0]
    return f"{plain[: 61 - len(kind)]} · {kind}"
