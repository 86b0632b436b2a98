# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenes: what the engine does to each pad when a scene is launched, kept in shared memory where the engine reads it.

Scene R is row R of four pads by default, rows counted through the first two banks: it starts its row and stops the
other pads of that bank. A stored scene starts the pads that played when it was stored, with their settings of then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.bus.eventfile import SceneCell
from appliance.bus.scenetable import SETTINGS, default_scene, pad_of, write_row
from appliance.control.desk import Desk
from appliance.errors import NotAllowed
from appliance.namespace import Address
from appliance.nodes.pad import PAD_STATES, PADS, SCENES

_PLAYS = (PAD_STATES.index("queued"), PAD_STATES.index("playing"))


class Scenes:
    """The scenes that were stored; the others are the default. Rows count from 1."""

    def __init__(self, desk: Desk) -> None:
        self.stored: dict[int, dict[str, SceneCell]] = {}
        self._listeners: list[Callable[[int], None]] = []
        self._desk = desk
        self._box = desk.box
        desk.register("/scene/{scene}/store", self._store_call)
        desk.register("/scene/{scene}/clear", self._clear_call)

    def restore(self, stored: dict[int, dict[str, SceneCell]]) -> None:
        """Take over a session's scenes and write all of them for the engine."""
        self.stored = {row: cells for row, cells in stored.items() if 1 <= row <= SCENES}
        for row in range(1, SCENES + 1):
            self._write(row)

    def on_change(self, listener: Callable[[int], None]) -> None:
        """``listener(row)`` when a scene was stored or cleared."""
        self._listeners.append(listener)

    def _tell(self, row: int) -> None:
        for listener in self._listeners:
            listener(row)

    def cells(self, row: int) -> dict[str, SceneCell]:
        return self.stored.get(row) or default_scene(row - 1)

    async def _store_call(self, address: Address, args: list[Any]) -> dict[str, Any]:
        states = self._box.telemetry.snapshot()["pad"]["state"]
        playing = [cell for cell, state in enumerate(states) if int(state) in _PLAYS]
        if not playing:
            raise NotAllowed(f"{address}: no pad plays; start the pads it shall launch, then store it", status=409)
        banks = {cell // PADS for cell in playing}
        stops = {cell for bank in banks for cell in range(bank * PADS, bank * PADS + PADS)} - set(playing)
        row = address.index + 1
        cells = {cell: self._settings(cell) for cell in playing} | {cell: SceneCell(launch=-1) for cell in stops}
        self.stored[row] = {pad_of(cell): cells[cell] for cell in sorted(cells)}
        self._write(row)
        self._tell(row)
        return {"pads": [pad_of(cell) for cell in playing]}

    async def _clear_call(self, address: Address, args: list[Any]) -> None:
        row = address.index + 1
        self.stored.pop(row, None)
        self._write(row)
        self._tell(row)

    def _settings(self, cell: int) -> SceneCell:
        values = {name: self._box.values.get(f"{pad_of(cell)}/{name}") for name in SETTINGS}
        return SceneCell(launch=1, **values)

    def _write(self, row: int) -> None:
        """Write a row for the engine: settings first, ``launch`` last, so half a row never launches anything."""
        write_row(self._box.record["scene"][0][row - 1], self.cells(row))
