# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job may ask for, and which version of what will make it."""

from __future__ import annotations

from typing import Any

from appliance.gen.backends import VERSIONS
from appliance.gen.drop import DROP_VERSION, DropRequest, parse_drop
from appliance.gen.fusion import FUSION_VERSION, FusionRequest, parse_fusion
from appliance.gen.request import GenRequest, parse_request

Request = GenRequest | FusionRequest | DropRequest


def parse_job(fields: Any) -> Request:
    """The request of a job as it stands in the queue. Raises :class:`appliance.errors.BadValue`."""
    if isinstance(fields, dict) and "parents" in fields:
        return parse_fusion(fields)
    if isinstance(fields, dict) and "text" in fields:
        return parse_drop(fields)
    return parse_request(fields)


def version_of(request: Request) -> str:
    """Of what will make it; empty when there is no such generator."""
    match request:
        case FusionRequest():
            return FUSION_VERSION
        case DropRequest():
            return DROP_VERSION
        case _:
            return VERSIONS.get(request.backend, "")
