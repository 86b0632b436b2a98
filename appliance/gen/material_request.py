# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs on sound that is there: what imports and stems have in common."""

from __future__ import annotations

import hashlib
import json
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from appliance.gen.material import Material
from appliance.gen.request import Role


class MaterialRequest(BaseModel):
    """A job on sound that is there. Nothing is left open, and there is one candidate."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    material: Material
    role: Role = "mix"
    name: str = Field("", max_length=64)
    candidates: Literal[1] = 1

    def resolved(self) -> Self:
        return self

    def candidate(self, _number: int) -> Self:
        return self

    def title(self) -> str:
        return self.name or self.material.name[:64] or self.role

    def content_hash(self, version: str) -> str:
        """As :meth:`appliance.gen.request.GenRequest.content_hash`."""
        fields = self.model_dump(mode="json", exclude={"name", "material"})
        text = json.dumps([type(self).__name__, self.material.identity, fields, version], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
