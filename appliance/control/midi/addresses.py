# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices by address: which layers of each are on, told and set; which of its controls stand elsewhere than their value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from appliance.bus.takeover import NEAR
from appliance.control.desk import Desk
from appliance.control.mapping.profile import Mode, Source, Takeover
from appliance.control.mapping.selectors import Gesture
from appliance.control.midi.hand import Hand
from appliance.control.midi.router import place_of
from appliance.errors import ApplianceError, BadValue, Unavailable
from appliance.namespace import Address
from appliance.nodes.learn import DEVICES


@dataclass(frozen=True, slots=True)
class Played:
    """A device with a profile. ``changed``: its layers were put from here; ``last``: data that a controller sent last, -1:
    none yet."""

    name: str
    hand: Hand
    changed: Callable[[], None]
    last: Callable[[int, int], int]


class DeviceAddresses:
    """``played()`` gives the devices by their number. :meth:`tell` whenever something may have changed."""

    def __init__(self, desk: Desk, played: Callable[[], dict[int, Played]]) -> None:
        self._desk = desk
        self._played = played
        self._told: dict[int, tuple[str, str, dict[str, int]]] = {}
        desk.register("/device/{device}/layer", self._layer)
        desk.register("/device/{device}/takeover", self._takeover)

    def tell(self) -> None:
        now = {number: (one.name, one.hand.compiled.profile.name, dict(one.hand.layers))
               for number, one in self._played().items() if number <= DEVICES}
        if now == self._told:
            return
        for number in now.keys() | self._told.keys():
            name, profile, layers = now.get(number, ("", "", {}))
            if self._told.get(number) != (name, profile, layers):
                self._desk.publish(f"/device/{number}/name", name)
                self._desk.publish(f"/device/{number}/profile", profile)
                self._desk.publish(f"/device/{number}/layers", layers)
        self._told = now

    def _device(self, address: Address) -> Played:
        found = self._played().get(address.index + 1)
        if found is None:
            raise Unavailable(f"{address}: no device with a profile has this number; /system/profiles shows them")
        return found

    async def _layer(self, address: Address, args: list[Any]) -> Any:
        if len(args) != 2 or not isinstance(args[0], str) or not isinstance(args[1], int | float | bool):
            raise BadValue(f"{address} takes the layer's name and its value, such as shift 1")
        device = self._device(address)
        device.hand.put_layer(args[0], int(args[1]))
        device.changed()
        self.tell()
        return dict(device.hand.layers)

    async def _takeover(self, address: Address, args: list[Any]) -> Any:
        device = self._device(address)
        return list(_waiting(self._desk, device))


def _waiting(desk: Desk, device: Played) -> list[dict[str, Any]]:
    hand, found = device.hand, []
    compiled = hand.compiled
    for control in compiled.rules:
        rule = hand._rule(control, Gesture.PRESS)
        for action in rule.actions if rule else ():
            if action.mode is not Mode.FOLLOW or action.takeover not in (Takeover.PICKUP, Takeover.SCALE):
                continue
            surface = compiled.profile.surface[control[0]]
            at = hand._last.get(control)
            if surface.source is Source.CC:
                data = max((device.last(*message) for message in surface.messages(control[1])), default=-1)
                at = data / 127 if data >= 0 else at
            try:
                value = place_of(float(desk.get_now(action.address)), action)
            except (ApplianceError, TypeError, ValueError):
                continue
            if at is None or abs(at - value) > NEAR:
                name = control[0] if surface.count == 1 else f"{control[0]} {control[1]}"
                found.append({"control": name, "address": action.address, "at": None if at is None else round(at, 4),
                              "value": round(value, 4)})
    return found
