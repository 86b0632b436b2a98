# SPDX-License-Identifier: GPL-3.0-or-later
"""A request that leaves nothing open: what all jobs but the loops from words have in common."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field


class WholeRequest(BaseModel):
    """One clip comes out, always the same."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field("", max_length=64)
    candidates: Literal[1] = 1

    def resolved(self) -> Self:
        """Itself."""
        return self

    def candidate(self, _number: int) -> Self:
        return self

    @property
    def identity(self) -> dict[str, Any]:
        """What decides its sound."""
        return self.model_dump(mode="json", exclude={"name"})

    def content_hash(self, version: str) -> str:
        """As :meth:`appliance.gen.request.GenRequest.content_hash`."""
        content = [type(self).__name__, self.identity, version]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
