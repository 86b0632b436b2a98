# SPDX-License-Identifier: GPL-3.0-or-later
"""A request that leaves nothing open: what fusions, drops and other jobs beside the generators' have in common."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.errors import BadValue

Kind = TypeVar("Kind", bound="WholeRequest")


class WholeRequest(BaseModel):
    """One clip at ``sample_rate`` Hz comes out, always the same. The embedded generator's worker makes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    sample_rate: int = Field(48_000, ge=8_000, le=192_000)
    name: str = Field("", max_length=64)
    backend: Literal["procedural"] = "procedural"
    candidates: Literal[1] = 1

    def resolved(self) -> Self:
        """Itself."""
        return self

    def candidate(self, _number: int) -> Self:
        return self

    def content_hash(self, version: str) -> str:
        """As :meth:`appliance.gen.request.GenRequest.content_hash`."""
        content = self.model_dump(mode="json", exclude={"name"})
        return hashlib.sha256(json.dumps([content, version], sort_keys=True).encode()).hexdigest()


def parse_whole(kind: type[Kind], what: str, fields: dict[str, Any]) -> Kind:
    """``what`` names it for a person. Raises :class:`BadValue`, one line."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        raise BadValue(f"{what}: {'.'.join(str(part) for part in first['loc'])}: {message}") from None
