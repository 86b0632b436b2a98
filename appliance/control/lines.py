# SPDX-License-Identifier: GPL-3.0-or-later
"""``/pad/N/launch`` and ``/pad/N/finish``: a pad starts or stops on a bar line or a phrase, whatever its own grid is.

The engine hears of it shortly before the line, as of a hit that comes then; until then a hit on the pad calls it off.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

from appliance.bus.events import Event, Kind
from appliance.bus.scenetable import pad_of
from appliance.control.desk import Desk
from appliance.control.launchgrid import LEAD_S, beats_to_line, grid_at
from appliance.errors import BadValue
from appliance.namespace import Address
from appliance.nodes import NAMESPACE
from appliance.nodes.pad import LINES, PAD_STATES

BEFORE_BEATS = 0.1
"""The hit comes so long before the line, or half of the pad's grid where that is less; without a grid on the line itself."""
LOOK_S = 0.1
TOO_LATE_S = 0.02
"""A line that is so near may be over before the engine hears of it: the next one counts."""
_QUEUED, _PLAYING, _STOPPING = (PAD_STATES.index(name) for name in ("queued", "playing", "stopping"))
_HANDS = {NAMESPACE.command("pad", name) for name in ("trigger", "stop", "cut")}

ORIGIN: ContextVar[str] = ContextVar("origin", default="")
"""Who does what is being done: empty, or the name of a part of the box that plays by itself."""


class Lines:
    """One order a pad: a later one takes the place of the one before."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._box = desk.box
        self._orders: dict[int, asyncio.Task[None]] = {}
        self.sent: set[int] = set()
        """Commands that were sent on a line, by their ids, until the engine has obeyed them."""
        for name in ("launch", "finish"):
            desk.register(f"/bank/{{bank}}/pad/{{pad}}/{name}", self._call)
        desk.on_event(self._event)

    @property
    def waiting(self) -> set[str]:
        """The pads for which there is an order."""
        return {pad_of(cell) for cell in self._orders}

    def close(self) -> None:
        for task in self._orders.values():
            task.cancel()

    async def _call(self, address: Address, args: list[Any]) -> None:
        if args and isinstance(args[0], int | float) and args[0] < 0.5:
            return  # a button let go
        line = args[0] if args and isinstance(args[0], str) and args[0] else "phrase"
        if line not in LINES:
            raise BadValue(f"{address}: a line is {', '.join(LINES)}; not {line[:40]!r}")
        if address.node.name == "launch" and not int(self._pad(address.index)["clip"]):
            raise BadValue(f"{address}: nothing is loaded there; load a file first", status=409)
        self._call_off(address.index)
        task = asyncio.get_running_loop().create_task(self._wait(address, line))
        self._orders[address.index] = task
        task.add_done_callback(lambda done: self._ended(address.index, done))

    def _ended(self, cell: int, task: asyncio.Task[None]) -> None:
        if self._orders.get(cell) is task:
            del self._orders[cell]

    def _call_off(self, cell: int) -> None:
        if (task := self._orders.pop(cell, None)) is not None:
            task.cancel()

    def _pad(self, cell: int) -> Any:
        return self._box.telemetry.snapshot()["pad"][cell]

    async def _wait(self, address: Address, line: str) -> None:
        """Until shortly before the line, then hit the pad."""
        cell, frame = address.index, 0
        while line != "now":
            clock = self._box.telemetry.snapshot()["clock"]
            own = grid_at(self._box, cell, "grid")
            beats = beats_to_line(clock, own if line == "grid" else grid_at(self._box, cell, line))
            if not clock["running"] or beats == 0.0:
                break
            if beats * 60.0 / float(clock["bpm"]) < TOO_LATE_S:
                await asyncio.sleep(2 * TOO_LATE_S)
                continue
            length = own if own >= 0.0 else -own * float(clock["bar_length"])
            beats -= min(BEFORE_BEATS, 0.5 * length)
            seconds = beats * 60.0 / float(clock["bpm"])
            if seconds <= LEAD_S:
                frame = max(int(clock["frame"]) + round(seconds * self._box.rate), 0)
                break
            await asyncio.sleep(min(seconds - 0.9 * LEAD_S, LOOK_S))
        self._hit(address, frame)

    def _hit(self, address: Address, frame: int) -> None:
        state = int(self._pad(address.index)["state"])
        plays = state in (_QUEUED, _PLAYING)
        if plays == (address.node.name == "launch"):
            return
        name = "trigger" if address.node.name == "launch" else "stop"
        found = NAMESPACE.find(f"{pad_of(address.index)}/{name}")
        number = self._desk.send(found, [1.0] if name == "trigger" else [], frame)
        if number is not None:
            self.sent.add(number)

    def _event(self, event: Event) -> None:
        if event.kind not in (Kind.COMMAND, Kind.REFUSED) or event.code not in _HANDS:
            return
        if event.id in self.sent:
            asyncio.get_running_loop().call_soon(self.sent.discard, event.id)  # others hear of it first
        else:
            self._call_off(event.index)
