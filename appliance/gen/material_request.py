# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs on sound that is there: what imports and stems have in common."""

from __future__ import annotations

from typing import Any

from appliance.gen.material import Material
from appliance.gen.request import Role
from appliance.gen.whole import WholeRequest


class MaterialRequest(WholeRequest):
    """A job on sound that is there."""

    material: Material
    role: Role = "mix"

    def title(self) -> str:
        return self.name or self.material.name[:64] or self.role

    @property
    def identity(self) -> dict[str, Any]:
        return super().identity | {"material": self.material.identity}
