# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for when a clip or track is taken apart: one request a stem; the worker takes apart once for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from appliance.gen.material_request import MaterialRequest
from appliance.gen.parsing import parsed

Stem = Literal["drums", "bass", "vocals", "other"]
STEMS: tuple[Stem, ...] = ("drums", "bass", "vocals", "other")
STEM_ROLES = {"drums": "drums", "bass": "bass", "vocals": "voice", "other": "mix"}


class StemRequest(MaterialRequest):
    """One of the four stems of ``material``, which add up to it. ``model`` is demucs' and its folder, empty for filters."""

    stem: Stem
    backend: Literal["filters", "demucs"] = "filters"
    model: str = ""


def parse_stem(fields: Mapping[str, Any]) -> StemRequest:
    """Raises :class:`BadValue`, one line for a person."""
    return parsed(StemRequest, "stems", fields)
