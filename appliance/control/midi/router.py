# SPDX-License-Identifier: GPL-3.0-or-later
"""What a profile says and the engine's table cannot: done here, a few milliseconds after the message."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

from appliance.control.desk import Desk
from appliance.control.mapping.compile import Action, Compiled, Message
from appliance.control.mapping.profile import Curve, Encoding, Mode
from appliance.errors import ApplianceError
from appliance.namespace import Address, Kind, Type

log = logging.getLogger(__name__)

Refused = Callable[[Message], None]


class Router:
    """Does the actions of profiles. Lives on control's loop."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._travel: dict[str, tuple[float, Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()

    def take(self, compiled: Compiled, status: int, data1: int, data2: int, refused: Refused | None = None) -> bool:
        """Do what the profile says about a message; False when it says nothing. ``refused`` hears of a press that failed."""
        kind = status & 0xF0
        message = (status + 0x10, data1) if kind == 0x80 else (status, -1) if kind == 0xE0 else (status, data1)
        action = compiled.actions.get(message)
        if action is None:
            return False
        travel = (data2 << 7 | data1) / 16383 if kind == 0xE0 else data2 / 127
        pressed = kind != 0x80 and data2 > 0
        try:
            self._do(action, travel, data2, pressed, lambda: refused(message) if refused else None)
        except ApplianceError as error:
            self._say(compiled, error)
            if refused:
                refused(message)
        return True

    def _do(self, action: Action, travel: float, data: int, pressed: bool, refused: Callable[[], None]) -> None:
        found = self._desk.find(action.address)
        match action.mode:
            case Mode.FOLLOW:
                self._set(found, follow(found, action, travel))
            case Mode.HOLD:
                self._set(found, action.ends[1] if pressed else action.ends[0])
            case Mode.RELATIVE:
                self._turn(found, action, ticks(action.encoding, data))
            case Mode.TOGGLE if pressed:
                self._toggle(found, action)
            case Mode.SET if pressed:
                self._set(found, action.value)
            case Mode.PRESS if pressed:
                args = [] if not action.has_value else action.value if isinstance(action.value, list) else [action.value]
                self._start(found, args, refused)
            case _:
                pass  # a release, where only the press counts

    def _set(self, found: Address, value: Any) -> None:
        if found.node.kind is Kind.COMMAND:
            self._desk.do_now(found, [value])
        elif found.node.kind is Kind.TEXT or self._desk.get_now(found) != value:
            self._desk.set_now(found, value)

    def _toggle(self, found: Address, action: Action) -> None:
        if found.node.kind is Kind.COMMAND:
            self._desk.do_now(found, [])
            return
        low, high = action.ends
        now = found.node.to_slot(self._desk.get_now(found))
        self._desk.set_now(found, low if now > (low + high) / 2 else high)

    def _turn(self, found: Address, action: Action, count: int) -> None:
        """Move by ticks. The exact place is kept, so that whole numbers and choices move after enough of them."""
        now = self._desk.get_now(found)
        at, value = self._travel.get(found.address, (0.0, None))
        if value != now:
            at = found.node.to_unit(now)
        at = min(max(at + count * action.step, 0.0), 1.0)
        new = found.node.from_unit(at)
        if found.node.type in (Type.FLOAT, Type.INT):
            new = min(max(new, min(action.ends)), max(action.ends))
        self._travel[found.address] = (at, self._desk.set_now(found, new) if new != now else now)

    def _start(self, found: Address, args: list[Any], refused: Callable[[], None]) -> None:
        if found.node.kind is not Kind.CALL:
            self._desk.do_now(found, args)
            return

        async def work() -> None:
            try:
                await self._desk.do(found, args)
            except ApplianceError as error:
                self._desk.say(error.message)
                refused()

        task = asyncio.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _say(self, compiled: Compiled, error: ApplianceError) -> None:
        self._desk.say(f"{compiled.profile.name}: {error.message}")


def follow(found: Address, action: Action, travel: float) -> Any:
    """The value at ``travel`` 0…1 of a control, by the binding's curve and range."""
    low, high = action.ends
    match action.curve:
        case Curve.CENTRE:  # 7 bits have no middle: 64 is it
            middle = 64 / 127
            travel = travel / middle / 2 if travel < middle else 0.5 + (travel - middle) / (1 - middle) / 2
        case Curve.SQUARE:
            travel *= travel
        case Curve.LOG if low > 0 and high > 0:
            return _typed(found, low * (high / low) ** travel)
        case _:
            pass
    if found.node.type is Type.CHOICE:
        low, high = (low, high + 1) if high >= low else (low + 1, high)
        return found.node.choices[min(max(math.floor(low + travel * (high - low)), 0), len(found.node.choices) - 1)]
    return _typed(found, low + travel * (high - low))


def _typed(found: Address, value: float) -> Any:
    if found.node.type is Type.BOOL:
        return value >= 0.5
    return round(value) if found.node.type is Type.INT else value


def ticks(encoding: str, data: int) -> int:
    """How far an endless encoder was turned, by its encoding; to the right is positive."""
    match Encoding(encoding):
        case Encoding.TWOS:
            return data if data < 64 else data - 128
        case Encoding.OFFSET:
            return data - 64
        case Encoding.SIGN:
            return data if data < 64 else 64 - data
