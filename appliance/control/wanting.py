# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody hits a pad that is empty as yet: generation is told, so that what is made for it comes first."""

from __future__ import annotations

import asyncio

from appliance.bus.commands import Code
from appliance.bus.events import Event, Kind, Refusal
from appliance.control.desk import Desk
from appliance.errors import ApplianceError
from appliance.nodes import NAMESPACE
from appliance.nodes.pad import PADS

_HITS = (NAMESPACE.command("pad", "trigger"), int(Code.QUEUE_PAD))


class Wanting:
    """Passes hits that the engine has refused on to ``/gen/want``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._tasks: set[asyncio.Task[None]] = set()
        desk.on_event(self._event)

    def _event(self, event: Event) -> None:
        if event.kind == Kind.REFUSED and event.code in _HITS and int(event.a) == Refusal.EMPTY:
            bank, pad = divmod(event.index, PADS)
            task = asyncio.get_running_loop().create_task(self._want(f"/bank/{bank + 1}/pad/{pad + 1}"))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _want(self, pad: str) -> None:
        try:
            await self._desk.call("/gen/want", [pad])
        except ApplianceError:
            return  # no generator runs: nothing is on its way to the pad
