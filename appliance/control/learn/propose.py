# SPDX-License-Identifier: GPL-3.0-or-later
"""What a profile could say of a control that it does not know, from its last messages."""

from __future__ import annotations

from collections import deque
from typing import Any

from appliance.control.learn.recognise import recognise
from appliance.control.learn.streams import Said, key_of
from appliance.control.mapping.profile import Source

KEPT = 60
WINDOW_S = 4.0


class Proposer:
    """Keeps the last messages of each device that no profile claims."""

    def __init__(self) -> None:
        self._heard: dict[str, deque[Said]] = {}

    def take(self, device: str, at_s: float, data: tuple[int, int, int]) -> str:
        """A line for the surface, such as ``knob: {cc: 21}``; empty for what is no control."""
        heard = self._heard.setdefault(device, deque(maxlen=KEPT))
        heard.append(Said(at_s, *data))
        key = key_of(*data[:2])
        if key is None:
            return ""
        found = recognise(said for said in heard if at_s - said.time_s <= WINDOW_S)
        if found is not None and key in found.keys:
            return f"{found.form.value}: {flow(found.surface)}"
        own: dict[str, Any] = {key.source.value: True if key.number < 0 else key.number}
        if key.channel != 1:
            own["channel"] = key.channel
        return f"{'button' if key.source is Source.NOTE else 'knob'}: {flow(own)}"


def flow(surface: dict[str, Any]) -> str:
    """As it stands in a profile."""
    inner = ", ".join(f"{name}: {str(value).lower() if isinstance(value, bool) else value}" for name, value in surface.items())
    return "{" + inner + "}"
