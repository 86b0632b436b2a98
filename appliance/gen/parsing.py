# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of a person or of the queue become a checked object, or one line that says what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from appliance.errors import BadValue

Model = TypeVar("Model", bound=BaseModel)


def parsed(kind: type[Model], what: str, fields: Mapping[str, Any]) -> Model:
    """A request from its fields. Raises :class:`BadValue`, one line that begins with ``what``."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise BadValue(f"{what} has no {where[:40]!r}; it has {', '.join(kind.model_fields)}") from None
        text = first["msg"].removeprefix("Value error, ").replace("Input should be", "should be").split(", unable to parse")[0]
        raise BadValue(f"{what}: {where} {text}, not {str(first.get('input'))[:40]!r}") from None
