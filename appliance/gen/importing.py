# SPDX-License-Identifier: GPL-3.0-or-later
"""``/pad/N/import``: from a file, a pad, a deck or a clip to the request of a loop made of it."""

from __future__ import annotations

from typing import Any

from appliance.errors import BadValue
from appliance.gen.asking import Asking, said_options
from appliance.gen.import_request import ImportRequest, parse_import
from appliance.gen.sources import Sources

OPTIONS = ("bpm", "bars", "key", "role", "name")


class Importing:
    """Makes requests of imports."""

    def __init__(self, asking: Asking, sources: Sources) -> None:
        self._asking = asking
        self._sources = sources

    def request(self, arguments: list[Any]) -> ImportRequest:
        """``[file, pad, deck or clip, options…]``: ``bpm`` (else the clock's), ``bars``, ``key``, ``role``, ``name``. Raises
        :class:`BadValue`, :class:`BadFile`."""
        if not arguments or not isinstance(arguments[0], str) or not arguments[0].strip():
            raise BadValue(f"an import takes a file, a pad, a deck or a clip, then options: {', '.join(OPTIONS)}")
        said = said_options("an import", arguments[1:], OPTIONS)
        material = self._sources.find(arguments[0].strip())
        given = {name: value for name, value in said.items() if value not in (None, "")}
        return parse_import({"bpm": self._asking.bpm, "sample_rate": self._asking.rate, "material": material, **given})
