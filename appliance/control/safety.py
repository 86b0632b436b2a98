# SPDX-License-Identifier: GPL-3.0-or-later
"""Says when a part of the box runs in its safe form, and takes off decks and pads what the engines then do without."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from appliance.bus.clips import doubtful
from appliance.bus.safeform import safe_form

if TYPE_CHECKING:
    from appliance.control.desk import Desk
    from appliance.control.loader import Loader

LOOK_S = 0.5
ENGINE = "the engine"
PARTS = {ENGINE: ("engine-a", "engine-b"), "control": ("control",), "gen": ("gen",), "visuals": ("visuals",)}


class SafeForms:
    """Looks at the word ``safe`` in the process table; a part of two processes is in its safe form while one of them is."""

    def __init__(self, desk: Desk, loader: Loader) -> None:
        self._desk = desk
        self._loader = loader
        self._levels = dict.fromkeys(PARTS, 0)
        self._purged: set[tuple[str, int]] = set()

    async def run(self) -> None:
        """For ever."""
        while True:
            for part, names in PARTS.items():
                self._tell(part, max(int(self._row(name)["safe"]) for name in names))
            for name in PARTS[ENGINE]:
                await self._purge(name)
            await asyncio.sleep(LOOK_S)

    def _row(self, process: str) -> Any:
        return self._desk.box.process(process)

    @property
    def _times(self) -> int:
        return self._desk.box.config.safe.crashes

    def _tell(self, part: str, level: int) -> None:
        before, self._levels[part] = self._levels[part], level
        if level > before:
            self._desk.say(f"{part} has crashed {self._times} times within a minute and starts in its safe form: "
                           f"{safe_form(PARTS[part][0], level)}")
        elif before and not level:
            self._desk.say(f"{part} runs in its normal form again", logging.INFO)

    async def _purge(self, engine: str) -> None:
        """Once a start of an engine in its safe form."""
        row = self._row(engine)
        level, started_ns = int(row["safe"]), int(row["started_ns"])
        if not level or (engine, started_ns) in self._purged:
            return
        self._purged.add((engine, started_ns))
        if handles := doubtful(self._desk.box.clips.table, level, started_ns):
            await self._loader.adopted.wait()
            await self._loader.give_up(handles, f"the engine crashed {self._times} times after")
