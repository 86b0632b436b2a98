# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for when a recording becomes a loop; :mod:`appliance.gen.imports` makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from appliance.gen.material_request import MaterialRequest
from appliance.gen.parsing import parsed
from appliance.gen.request import MAX_BARS, MAX_BPM, MIN_BPM
from appliance.gen.theory import parse_key


class ImportRequest(MaterialRequest):
    """A loop of ``material`` at ``bpm``. ``bars`` None: all of a loop, else as many as there are, 1, 2, 4 or 8. ``key`` None:
    as it is."""

    bpm: float = Field(ge=MIN_BPM, le=MAX_BPM)
    bars: int | None = Field(None, ge=1, le=MAX_BARS)
    key: str | None = None
    sample_rate: int = Field(48_000, ge=8_000, le=192_000)
    backend: Literal["import"] = "import"

    @field_validator("key")
    @classmethod
    def _known_key(cls, value: str | None) -> str | None:
        return parse_key(value).name if value else None


def parse_import(fields: Mapping[str, Any]) -> ImportRequest:
    """Raises :class:`BadValue`, one line for a person."""
    return parsed(ImportRequest, "import", fields)
