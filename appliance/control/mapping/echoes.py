# SPDX-License-Identifier: GPL-3.0-or-later
"""Feedback to a program, compiled: which control of it shows which address of the box, and in what numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import Any

from appliance.control.mapping.controls import Control
from appliance.control.mapping.oscforms import VALUE, OscMessage, Peer
from appliance.control.mapping.profile import DeviceKind, Feedback, Mode, Profile
from appliance.control.mapping.rules import Action, Refused, Rule, check_count, fill_in, number_in, osc_message
from appliance.control.mapping.selectors import Gesture, Selector, layer_values
from appliance.namespace import Kind, Type
from appliance.nodes import NAMESPACE


@dataclass(frozen=True, slots=True)
class Echo:
    """The control shows ``address`` while all ``layers`` have these values; of several the heavier one counts. ``action``: how
    the control moves that address, if it does; ``ends``: what the program takes at 0 and at full travel."""

    control: Control
    message: OscMessage
    address: str
    action: Action | None
    ends: tuple[float, float]
    equals: Any = None
    above: float | None = None
    layers: tuple[tuple[str, int], ...] = ()
    weight: int = 0

    @property
    def key(self) -> tuple[Peer | None, str, tuple[str | int | float, ...]]:
        """The lamp or fader that it moves."""
        return self.message.peer, self.message.address, self.message.args


def make_echoes(profile: Profile, selector: Selector, control: Control, feedback: Feedback, rules: list[Rule]) -> list[Echo]:
    """One, or one for each value of the layers in the address. ``rules``: what the control does. Raises Refused,
    ApplianceError, ValueError."""
    if profile.device.kind is DeviceKind.KEYS:
        raise Refused("keys have no lamps")
    if selector.gesture is not Gesture.PRESS:
        raise Refused("feedback has no gestures")
    if feedback.lamp or feedback.colour != "white":
        raise Refused("lamps and colours are for MIDI devices; a program is sent the value")
    surface, member = profile.surface[control[0]], control[1]
    captured, fixed = surface.captured(member), dict(selector.layers)
    names = sorted(set(re.findall(r"\{([^}]*)\}", feedback.shows + feedback.osc)) - set(captured) - set(fixed))
    if unknown := [name for name in names if name not in profile.layers]:
        raise Refused(f"{{{unknown[0]}}} is no layer of this profile; there are {', '.join(profile.layers) or 'none'}")
    choices = [layer_values(profile, name) for name in names]
    check_count(choices)
    found: list[Echo] = []
    for values in product(*choices):
        layers = {**fixed, **dict(zip(names, values, strict=True))}
        filled = {**layers, **captured}
        address = fill_in(feedback.shows, member, filled)
        message = osc_message(profile, feedback.osc, member, filled) if feedback.osc else _own(profile, control)
        ends = surface.range or (0.0, 1.0)
        equals, above = _condition(address, feedback, member)
        action = next((a for rule in rules for a in rule.actions if a.address == address and a.mode is Mode.FOLLOW), None)
        found.append(Echo(control, message, address, action, ends, equals, above, tuple(sorted(layers.items())),
                          len(selector.layers)))
    return found


def _own(profile: Profile, control: Control) -> OscMessage:
    """The message that the control itself sends, back."""
    surface = profile.surface[control[0]]
    if surface.trigger or surface.relative:
        raise Refused(f"{control[0]} shows nothing itself; say what the program is sent: osc: /its/lamp vv")
    one = surface.osc_controls[control[1] - 1]
    before = dict(one.arguments)
    args: list[str | int | float] = [before.get(place, 0) for place in range(one.place)]
    return OscMessage(None, one.address, (*args, VALUE))


def _condition(text: str, feedback: Feedback, member: int) -> tuple[Any, float | None]:
    """Checks that the address can be shown; ``equals`` and ``above`` in its own terms."""
    if re.fullmatch(r"/(pad|deck|scene)/\d+", text):
        raise Refused(f"{text} speaks the language of lamps; a program shows an address that can be read, such as "
                      f"{ {'p': '/pad/1/state', 'd': '/deck/1/play', 's': '/pads/bank'}[text[1]] }")
    address = NAMESPACE.find(text)
    address.require_readable()
    if address.node.type is Type.JSON or (address.node.kind is Kind.CALL):
        raise Refused(f"{address} is no number and no text")
    if feedback.above is not None and address.node.type not in (Type.FLOAT, Type.INT):
        raise Refused(f"above is for numbers, and {address} is none")
    equals = number_in(feedback.equals, member)
    return (address.node.check(equals, text) if equals is not None else None), feedback.above


