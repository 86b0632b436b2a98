# SPDX-License-Identifier: GPL-3.0-or-later
"""A request in words, as models were taught: the prompt, then what its fields say and it does not."""

from __future__ import annotations

from appliance.gen.prompt import read_prompt
from appliance.gen.request import PARTS, GenRequest


def words_for_model(request: GenRequest) -> str:
    """Of a resolved request."""
    read = read_prompt(request.prompt)
    words = [request.prompt]
    if request.parts and tuple(request.parts) != PARTS and "parts" not in read:
        words.append(f"only {' and '.join(request.parts)}")
    if "style" not in read and request.style:
        words.append(request.style.replace("_", " "))
    if "key" not in read and request.key and request.role not in ("drums", "percussion"):
        words.append(request.key)
    if "bpm" not in read and request.bpm:
        words.append(f"{request.bpm:g} BPM")
    return ", ".join(words)
