# SPDX-License-Identifier: GPL-3.0-or-later
"""What a prompt says: style, tempo, key, length, section, instruments, mood and energy, by the words of the vocabulary."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from typing import Any

from appliance.gen.theory import SCALES
from appliance.gen.vocabulary import (
    COMPLEXITY_WORDS,
    EFFECT_WORDS,
    EFFECTS,
    ENERGY_WORDS,
    INSTRUMENT_WORDS,
    MOOD_WORDS,
    PART_WORDS,
    PARTS,
    SECTION_WORDS,
    STYLE_WORDS,
    SUGGESTIONS,
    TEXTURE_WORDS,
)

_BPM = re.compile(r"\b(\d{2,3}(?:\.\d+)?)\s*bpm\b", re.IGNORECASE)
_BARS = re.compile(r"\b(\d{1,3})[\s-]*bars?\b", re.IGNORECASE)
_KEY = re.compile(
    r"(?<!\w)([A-G](?:#|b|♯|♭|[ -]?sharp|[ -]?flat)?)\s+(" + "|".join(SCALES) + r"|maj|min)\b", re.IGNORECASE
)


def suggest_prompt(seed: int, style: str | None = None) -> str:
    """A prompt worth trying, of ``style`` where one is wanted; the same one for the same seed."""
    prompts = SUGGESTIONS[style] if style else [prompt for some in SUGGESTIONS.values() for prompt in some]
    return random.Random(seed).choice(prompts)


def read_prompt(prompt: str) -> dict[str, Any]:
    """The fields of a request that a prompt fills. Out-of-range tempo or length is kept, so that it is refused."""
    words = re.findall(r"[a-z0-9#]+", prompt.lower().replace("&", " and "))
    read: dict[str, Any] = {}
    if styles := phrases(words, STYLE_WORDS):
        longest = max(len(phrase.split()) for phrase, _ in styles)
        read["style"] = next(style for phrase, style in styles if len(phrase.split()) == longest)
    if match := _BPM.search(prompt):
        read["bpm"] = float(match.group(1))
    if match := _BARS.search(prompt):
        read["bars"] = int(match.group(1))
    if match := _KEY.search(prompt):
        read["key"] = f"{match.group(1)} {match.group(2).lower()}"
    if sections := phrases(words, SECTION_WORDS):
        read["section"] = sections[0][1]
    if instruments := phrases(words, INSTRUMENT_WORDS):
        read["instruments"] = tuple(dict.fromkeys(instrument for _, instrument in instruments))
    for name, table in (("mood", MOOD_WORDS), ("energy", ENERGY_WORDS), ("complexity", COMPLEXITY_WORDS)):
        found = [table[word] for word in words if word in table]
        if found:
            read[name] = round(math.fsum(found) / len(found), 4)
    if textures := [TEXTURE_WORDS[word] for word in words if word in TEXTURE_WORDS]:
        read["texture"] = textures[0]
    if effects := {EFFECT_WORDS[word] for word in words if word in EFFECT_WORDS}:
        read["effects"] = tuple(effect for effect in EFFECTS if effect in effects)
    if "only" in words or "solo" in words:
        chosen = {PART_WORDS[word] for word in words if word in PART_WORDS and word != "solo"}
        if chosen:
            read["parts"] = tuple(part for part in PARTS if part in chosen)
    return read


def phrases(words: list[str], table: Mapping[str, str]) -> list[tuple[str, str]]:
    """The phrases of ``table`` that stand in ``words``, in their order, with what they mean; longer ones hide shorter ones."""
    most = max(len(phrase.split()) for phrase in table)
    found: list[tuple[str, str]] = []
    place = 0
    while place < len(words):
        for length in range(min(most, len(words) - place), 0, -1):
            phrase = " ".join(words[place : place + length])
            if phrase in table:
                found.append((phrase, table[phrase]))
                place += length
                break
        else:
            place += 1
    return found
