# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON from outside: standard JSON only (no NaN), and no nesting that would exhaust the stack."""

from __future__ import annotations

import json
from typing import Any

from appliance.errors import ApplianceError


def parse_json(data: bytes) -> Any:
    """Raises :class:`ApplianceError` with status 400 for what is not JSON."""
    try:
        return json.loads(data, parse_constant=_refuse)
    except RecursionError:
        raise ApplianceError("not JSON that can be read: nested too deeply", status=400) from None
    except ValueError as error:
        raise ApplianceError(f"not JSON: {error}", status=400) from None


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON number")
