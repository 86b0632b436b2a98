# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job may ask for: a loop from words, a fusion, an import, a stem, a voice drop."""

from __future__ import annotations

from typing import Any

from appliance.gen.backends import EMBEDDED, VERSIONS
from appliance.gen.drop import DROP_VERSION, DropRequest, parse_drop
from appliance.gen.fusion import FUSION_VERSION, FusionRequest, parse_fusion
from appliance.gen.import_request import ImportRequest, parse_import
from appliance.gen.request import GenRequest, parse_request
from appliance.gen.stems.request import StemRequest, parse_stem

Request = GenRequest | FusionRequest | ImportRequest | StemRequest | DropRequest


def parse_job(fields: Any) -> Request:
    """The request of a job as it stands in the queue. Raises :class:`BadValue`."""
    if isinstance(fields, dict):
        if "parents" in fields:
            return parse_fusion(fields)
        if "stem" in fields:
            return parse_stem(fields)
        if "material" in fields:
            return parse_import(fields)
        if "text" in fields:
            return parse_drop(fields)
    return parse_request(fields)


def version_of(request: Request) -> str:
    """Of what will make it; empty when there is no such generator."""
    match request:
        case FusionRequest():
            return FUSION_VERSION
        case DropRequest() if request.backend == EMBEDDED:
            return DROP_VERSION
        case _:
            return VERSIONS.get(request.backend, "")
