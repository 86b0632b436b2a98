# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lines of a journal mean, laid over the last save.

=====  ===================  ==========================================
key    value                meaning
=====  ===================  ==========================================
``v``  address, value       a number was changed
``t``  address, text        a text was changed
``c``  place, entry         a file was loaded; null: the place was emptied
``s``  row, pads            a scene was stored; null: it was cleared
``h``  place → handle       the clips of the running box, as the journal began
=====  ===================  ==========================================
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from appliance.bus.eventfile import SceneCell
from appliance.control.session.model import ClipEntry, SessionFile, check_entry
from appliance.errors import ApplianceError
from appliance.namespace import Kind
from appliance.nodes import NAMESPACE

log = logging.getLogger(__name__)


def replay(session: SessionFile, changes: Iterable[dict[str, Any]]) -> None:
    """Lay journalled changes over a session; one that this box does not know is passed over with a line in the log."""
    for change in changes:
        try:
            _replay_one(session, change)
        except (ApplianceError, ValueError, TypeError, KeyError) as error:
            log.warning("journal: %s was passed over (%s)", str(change)[:200], error)


def _replay_one(session: SessionFile, change: dict[str, Any]) -> None:
    match change:
        case {"v": [str(address), value]}:
            session.values[address] = check_entry(address, value, Kind.VALUE)
        case {"t": [str(address), value]}:
            session.texts[address] = check_entry(address, value, Kind.TEXT)
        case {"c": [str(place), None]}:
            session.clips.pop(place, None)
        case {"c": [str(place), dict(entry)]}:
            NAMESPACE.find(f"{place}/load")
            session.clips[place] = ClipEntry.model_validate(entry)
        case {"s": [int(row), None]}:
            session.scenes.pop(row, None)
        case {"s": [int(row), dict(cells)]}:
            session.scenes[row] = {pad: SceneCell.model_validate(cell) for pad, cell in cells.items()}
        case {"h": dict(handles)}:
            for place, handle in handles.items():
                if place in session.clips:
                    session.clips[place].handle = int(handle)
        case _:
            raise ValueError("unknown kind of change")
