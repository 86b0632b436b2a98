# SPDX-License-Identifier: GPL-3.0-or-later
"""What a profile says and the engine's table cannot: done here, a few milliseconds after the message."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

from appliance.bus.takeover import NOTHING, picked_up, scaled
from appliance.control.desk import Desk
from appliance.control.mapping.controls import Touch
from appliance.control.mapping.oscforms import VALUE
from appliance.control.mapping.profile import Curve, Mode, Takeover
from appliance.control.mapping.rules import Action
from appliance.control.osc.outlet import Outlet
from appliance.control.osc.packet import encode
from appliance.errors import ApplianceError
from appliance.namespace import Address, Kind, Type
from appliance.nodes import NAMESPACE

FAST_S = 0.02
"""An encoder whose ticks come so close is turned fast."""
SLOW_S = 0.12
COMPLAIN_S = 1.0
"""The same complaint is not repeated so soon."""
SAY_AGAIN_S = 10.0


class Router:
    """Does the actions of profiles. Lives on control's loop."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._travel: dict[str, tuple[float, Any]] = {}
        self._turned_s: dict[str, float] = {}
        self._complained: tuple[str, float] = ("", 0.0)
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsent_s = -SAY_AGAIN_S
        self.outlet = Outlet(desk)

    def stop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        self.outlet.close()

    @property
    def bank(self) -> int:
        """The chosen one."""
        return self._desk.box.values.bank

    def holds(self, conditions: tuple[tuple[str, Any], ...]) -> bool:
        """Whether all these addresses have these values."""
        try:
            return all(self._desk.get_now(self._desk.find(address)) == value for address, value in conditions)
        except ApplianceError:  # what another process tells, and it has not told it yet
            return False

    def rested(self, address: str) -> None:
        """A finger has stayed on a button that stands for this."""
        self._desk.rested(self._desk.find(address).address)

    def perform(self, profile: str, action: Action, touch: Touch, last: float, refused: Callable[[], None] | None,
                send: Callable[[bytes], object] | None = None, bank: int | None = None) -> None:
        """Do an action for a touch of a control that was at ``last`` before. ``refused`` hears of a press that failed; ``send``
        writes to the device; ``bank``: the one that ``/pad/N`` means, if it is not the chosen one."""
        if action.midi or action.osc:
            self._send(profile, action, touch, send)
            return
        try:
            found = self._desk.find(action.address) if bank is None else NAMESPACE.find(action.address, bank)
            self._do(found, action, touch, last, refused or (lambda: None))
        except ApplianceError as error:
            self._complain(f"{profile}: {error.message}")
            if refused:
                refused()

    def _complain(self, message: str) -> None:
        """A knob that is turned has the same to say fifty times a second: once will do."""
        now = time.monotonic()
        before, at = self._complained
        if message != before or now - at > COMPLAIN_S:
            self._desk.say(message)
            self._complained = message, now

    def _do(self, found: Address, action: Action, touch: Touch, last: float, refused: Callable[[], None]) -> None:
        pressed = touch.value > 0.0
        match action.mode:
            case Mode.FOLLOW:
                self._follow(found, action, touch.value, last)
            case Mode.HOLD if found.node.type is Type.FLOAT and action.velocity and found.node.kind is Kind.COMMAND:
                low, high = action.ends
                self._set(found, low + touch.value * (high - low))
            case Mode.HOLD:
                self._set(found, action.ends[1] if pressed else action.ends[0])
            case Mode.RELATIVE:
                self._turn(found, action, touch.turn)
            case Mode.TOGGLE if pressed:
                self._toggle(found, action)
            case Mode.STEP if pressed:
                low, high = min(action.ends), max(action.ends)
                self._set(found, min(max(self._desk.get_now(found) + action.value, low), high))
            case Mode.SET if pressed:
                self._set(found, action.value)
            case Mode.PRESS if pressed:
                args = [] if not action.has_value else action.value if isinstance(action.value, list) else [action.value]
                self._start(found, args, refused)
            case _:
                pass  # a release, where only the press counts

    def _follow(self, found: Address, action: Action, share: float, last: float) -> None:
        if action.takeover in (Takeover.PICKUP, Takeover.SCALE) and found.node.kind is Kind.VALUE and \
                found.node.type is Type.FLOAT:
            current = place_of(self._desk.get_now(found), action)
            share = (picked_up if action.takeover is Takeover.PICKUP else scaled)(share, last, current)
            if share == NOTHING:
                return
        self._set(found, follow(found, action, share))

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
        if count == 0:
            return
        distance = count * action.step * self._haste(found, action)
        if found.node.kind is Kind.CALL:
            self._start(found, [distance], lambda: None)
            return
        if found.node.kind is Kind.COMMAND:
            self._desk.do_now(found, [min(max(distance, found.node.minimum), found.node.maximum)])
            return
        now = self._desk.get_now(found)
        at, value = self._travel.get(found.address, (0.0, None))
        if value != now:
            at = found.node.to_unit(now)
        at = min(max(at + distance, 0.0), 1.0)
        new = found.node.from_unit(at)
        if found.node.type in (Type.FLOAT, Type.INT):
            new = min(max(new, min(action.ends)), max(action.ends))
        self._travel[found.address] = (at, self._desk.set_now(found, new) if new != now else now)

    def _haste(self, found: Address, action: Action) -> float:
        """How many times as far a tick goes: 1 for slow ones, ``faster`` for those that come in quick succession."""
        if action.faster <= 1.0:
            return 1.0
        now = time.monotonic()
        apart = now - self._turned_s.get(found.address, 0.0)
        self._turned_s[found.address] = now
        return 1.0 + (action.faster - 1.0) * min(max((SLOW_S - apart) / (SLOW_S - FAST_S), 0.0), 1.0)

    def _start(self, found: Address, args: list[Any], refused: Callable[[], None]) -> None:
        if found.node.kind is not Kind.CALL:
            self._desk.do_now(found, args)
            return

        async def work() -> None:
            try:
                await self._desk.do(found, args)
            except ApplianceError as error:
                self._complain(error.message)
                refused()

        task = asyncio.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _send(self, profile: str, action: Action, touch: Touch, send: Callable[[bytes], object] | None) -> None:
        if action.mode is not Mode.FOLLOW and touch.value <= 0.0:
            return
        if action.osc is not None:
            amount = message_value(action, touch.value)
            datagram = encode(action.osc.address, *(amount if arg == VALUE else arg for arg in action.osc.args))
            if action.osc.peer is not None:
                self.outlet.send(datagram, action.osc.peer)
            elif send is not None:
                send(datagram)
        elif send is not None:
            value = round(touch.value * 127)
            if send(bytes(value if byte is None else byte for byte in action.midi)) is False:
                self._say_unsent(profile)

    def _say_unsent(self, profile: str) -> None:
        now = time.monotonic()
        if now - self._unsent_s > SAY_AGAIN_S:
            self._unsent_s = now
            self._desk.say(f"{profile}: MIDI messages to the device do not go out: nothing carries them at the moment")


def message_value(action: Action, travel: float) -> float:
    """The number that stands in an OSC message for ``travel`` 0…1 of the control."""
    low, high = action.ends
    if action.curve is Curve.LOG and low > 0 and high > 0:
        return low * (high / low) ** travel
    return low + (travel * travel if action.curve is Curve.SQUARE else travel) * (high - low)


def follow(found: Address, action: Action, travel: float) -> Any:
    """The value at ``travel`` 0…1 of a control, by the binding's curve and range."""
    low, high = action.ends
    match action.curve:
        case Curve.CENTRE:
            middle, rest = action.rest
            if travel < middle:
                return _typed(found, low + travel / middle * (rest - low))
            return _typed(found, rest + (travel - middle) / (1 - middle) * (high - rest))
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


def place_of(value: float, action: Action) -> float:
    """Where a control that has this value would stand: the inverse of :func:`follow`, beyond 0…1 for values out of range."""
    low, high = action.ends
    if low == high:
        return 0.0
    if action.curve is Curve.LOG and low > 0 and high > 0:
        return math.log(max(value, 1e-12) / low) / math.log(high / low)
    share = (value - low) / (high - low)
    match action.curve:
        case Curve.CENTRE:
            middle, rest = action.rest
            if (value < rest) == (low < high):
                return (value - low) / (rest - low) * middle
            return middle + (value - rest) / (high - rest) * (1 - middle)
        case Curve.SQUARE:
            return math.copysign(math.sqrt(abs(share)), share)
        case _:
            return share


def _typed(found: Address, value: float) -> Any:
    if found.node.type is Type.BOOL:
        return value >= 0.5
    return round(value) if found.node.type is Type.INT else value
