# SPDX-License-Identifier: GPL-3.0-or-later
"""How the box is, on sixteen pads: while shift and a deck's play key are held.

The four rows from the top: load (a quarter a lamp, red above three quarters), room on the disk for recordings (ten minutes, one
hour, four, twelve), jobs of the generator (one a lamp), faults (blocks too late, late cycles of the audio server, processes
that had to be started again, files that are missing: red where there is one).
"""

from __future__ import annotations

from typing import Any

from appliance.control.desk import Desk
from appliance.control.midi.rhythm import BRIGHT
from appliance.errors import ApplianceError

ROOM_S = (600.0, 3600.0, 4 * 3600.0, 12 * 3600.0)
_DARK = 0.0, "white"


def status(desk: Desk, number: int) -> tuple[float, str]:
    """Level and colour of pad 1…16."""
    row, place = divmod(number - 1, 4)
    match row:
        case 0:
            load = _number(desk, "/system/load")
            colour = "red" if load > 75 else "orange" if load > 50 else "green"
            return (BRIGHT, colour) if place == 0 or load > 25 * place else _DARK
        case 1:
            room_s = _number(desk, "/record/room")
            return (BRIGHT, "blue") if room_s >= ROOM_S[place] else (BRIGHT, "red") if place == 0 else _DARK
        case 2:
            jobs = _number(desk, "/gen/running") + _number(desk, "/gen/queued")
            return (BRIGHT, "violet") if jobs > place else _DARK
        case _:
            faults = (_number(desk, "/system/overruns"), _number(desk, "/system/xruns"), _restarts(desk),
                      float(desk.announcer.missing.any()))
            return (BRIGHT, "red") if faults[place] > 0 else _DARK


def _value(desk: Desk, address: str) -> Any:
    try:
        return desk.get_now(address)
    except ApplianceError:  # nobody has told it yet
        return None


def _number(desk: Desk, address: str) -> float:
    value = _value(desk, address)
    return float(value) if isinstance(value, int | float) else 0.0


def _restarts(desk: Desk) -> float:
    """Processes that had to be started again."""
    rows = _value(desk, "/system/processes")
    entries = rows.values() if isinstance(rows, dict) else rows if isinstance(rows, list) else []
    return float(sum(int(one.get("restarts", 0)) for one in entries if isinstance(one, dict)))
