# SPDX-License-Identifier: GPL-3.0-or-later
"""A device seen from above: rows of places, each with the controls that are there.

``pad 1..4, knob 1, -`` is a row of six places; ``-`` is nothing. What shares a place (a pad that sends another note in each
mode of the device) stands with a slash between: ``hot cue 1..4 / roll 1..4``.
"""

from __future__ import annotations

from appliance.control.mapping.controls import Control
from appliance.control.mapping.profile import Profile
from appliance.control.mapping.selectors import NoSuchControl, select

Place = tuple[Control, ...]


def picture_controls(profile: Profile, row: str) -> list[Place]:
    """The places of a row. Raises :class:`NoSuchControl`."""
    places: list[Place] = []
    for part in row.split(","):
        if not part.strip():
            raise NoSuchControl(f"{row!r}: a comma too much; an empty place is -")
        shared = [_controls(profile, text) for text in part.split("/")]
        if len({len(controls) for controls in shared}) != 1:
            raise NoSuchControl(f"{part.strip()!r}: what shares places must have as many of them")
        places += [tuple(control for control in together if control is not None) for together in zip(*shared, strict=True)]
    return places


def _controls(profile: Profile, text: str) -> list[Control | None]:
    return [None] if text.strip() == "-" else list(select(profile, text.strip()))
