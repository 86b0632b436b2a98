# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine does to each pad when a scene is launched: the default, and how it is written where the engine reads it."""

from __future__ import annotations

import numpy as np

from appliance.bus.eventfile import SceneCell
from appliance.nodes import NAMESPACE
from appliance.nodes.pad import PADS

ROW_PADS = 4
SETTINGS = ("gain", "pan", "filter", "pitch")


def pad_of(cell: int) -> str:
    """``/bank/B/pad/N`` of a pad cell counted from 0 through all banks."""
    return f"/bank/{cell // PADS + 1}/pad/{cell % PADS + 1}"


def default_scene(row: int) -> dict[str, SceneCell]:
    """Row ``row`` (from 0) of four pads starts, the rest of its bank stops."""
    first = row * ROW_PADS
    bank = first // PADS * PADS
    row_cells = range(first, first + ROW_PADS)
    return {pad_of(cell): SceneCell(launch=1 if cell in row_cells else -1) for cell in range(bank, bank + PADS)}


def write_row(table: np.ndarray, cells: dict[str, SceneCell]) -> None:
    """Write a scene into its row (``layout.SCENE_ROW`` a pad): settings first, ``launch`` last, so that half a row never
    launches anything."""
    table["launch"] = 0
    for name in SETTINGS:
        table[name] = np.nan
    launch = np.zeros(len(table))
    for pad, cell in cells.items():
        index = NAMESPACE.find(f"{pad}/gain").index
        for name in SETTINGS:
            value = getattr(cell, name)
            table[name][index] = np.nan if value is None else value
        launch[index] = cell.launch
    table["launch"] = launch
