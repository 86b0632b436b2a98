# SPDX-License-Identifier: GPL-3.0-or-later
"""Feedback compiled: each lamp, what it shows, and in which layers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from appliance.control.mapping.controls import Control, Message
from appliance.control.mapping.profile import COLOURS, Feedback, Lamp, Profile, Source, lamp_template
from appliance.control.mapping.rules import Refused, check_count, fill_in, number_in
from appliance.control.mapping.selectors import Selector, layer_values
from appliance.namespace import Type
from appliance.nodes import NAMESPACE

LAYER = re.compile(r"\{([a-z][a-z0-9_-]*)\}")
"""``shows: "{shift}"``: the layer itself."""


PRESSED = "pressed"
"""``shows: pressed``: the lamp is lit while its key is down, for what has no state of its own."""


@dataclass(frozen=True, slots=True)
class Light:
    """A lamp and what it shows while all ``layers`` have these values: ``subject`` pad, deck, scene (with ``number`` from 1),
    an address, a layer by its name, or pressed. Of several for one lamp the heavier one counts. ``member``: its number in its
    row; ``ends``: the values at the two ends of a ring or a meter; ``template``: the message that lights it, where it is not
    its control's."""

    message: Message
    lamp: Lamp
    subject: str
    number: int = 0
    address: str = ""
    colour: str = "white"
    equals: Any = None
    above: float | None = None
    layers: tuple[tuple[str, int], ...] = ()
    weight: int = 0
    member: int = 1
    ends: tuple[float, float] = (0.0, 1.0)
    template: tuple[int | str, ...] = ()


METER_DB = (-48.0, 0.0)
"""What a meter spans, unless the profile says."""
SCALES = ("ring", "meter")
"""Lamps that show how much, not whether."""


def make_light(profile: Profile, selector: Selector, control: Control, feedback: Feedback) -> list[Light]:
    """One light, or one for each value of the layers that stand in the address. Raises Refused, ApplianceError."""
    return [_told(profile, control, light) for light in _make(profile, selector, control, feedback)]


def _told(profile: Profile, control: Control, light: Light) -> Light:
    """With the message of a lamp that has one of its own."""
    template = tuple(lamp_template(light.lamp.message)) if light.lamp.message else ()
    return replace(light, member=control[1], template=template)


def _make(profile: Profile, selector: Selector, control: Control, feedback: Feedback) -> list[Light]:
    surface, member = profile.surface[control[0]], control[1]
    if surface.source not in (Source.NOTE, Source.CC):
        name = "pitch bend" if surface.source is Source.BEND else surface.source.value
        raise Refused(f"{name} has no lamp")
    if not profile.lamps:
        raise Refused("feedback needs `lamps`: how the device lights them")
    lamp_name = feedback.lamp or next(iter(profile.lamps))
    if lamp_name not in profile.lamps:
        raise Refused(f"{lamp_name!r} is none of the lamps; there are {', '.join(profile.lamps)}")
    if feedback.colour not in COLOURS:
        raise Refused(f"{feedback.colour!r} is no colour of the LED language; they are {', '.join(COLOURS)}")
    message, lamp = surface.messages(member)[0], profile.lamps[lamp_name]
    fixed, weight = dict(selector.layers), len(selector.layers)
    names = LAYER.findall(feedback.shows)
    if unknown := [name for name in names if name not in profile.layers]:
        raise Refused(f"{{{unknown[0]}}} is no layer of this profile; there are {', '.join(profile.layers) or 'none'}")
    if lamp.kind in SCALES and (LAYER.fullmatch(feedback.shows) or feedback.shows == PRESSED or feedback.equals is not None
                                or feedback.above is not None):
        raise Refused(f"a {lamp.kind} shows how much a number is, not whether")
    if lamp.kind not in SCALES and feedback.range is not None:
        raise Refused("range is for rings and meters")
    if LAYER.fullmatch(feedback.shows):
        equals = number_in(feedback.equals, member)
        if equals is not None and equals not in layer_values(profile, names[0]):
            raise Refused(f"the layer {names[0]} never is {equals!r}")
        return [Light(message, lamp, "layer", 0, names[0], feedback.colour, equals, None, selector.layers, weight)]
    if feedback.shows == PRESSED:
        return [Light(message, lamp, PRESSED, 0, "", feedback.colour, None, None, selector.layers, weight)]
    free = [name for name in names if name not in fixed]
    lights: list[Light] = []
    choices = [layer_values(profile, name) for name in free]
    check_count(choices)
    for values in product(*choices):
        layers = {**fixed, **dict(zip(free, values, strict=True))}
        lights.append(_light(message, lamp, feedback, fill_in(feedback.shows, member, layers), member,
                             tuple(sorted(layers.items())), weight))
    return lights


def _light(message: Message, lamp: Lamp, feedback: Feedback, text: str, member: int, layers: tuple[tuple[str, int], ...],
           weight: int) -> Light:
    if found := re.fullmatch(r"/(pad|deck|scene)/(\d+)", text):
        number = int(found[2])
        if lamp.kind in SCALES:
            raise Refused(f"a {lamp.kind} shows a number, such as {text}/gain; {text} speaks the LED language")
        NAMESPACE.find(f"{text}/{ {'pad': 'trigger', 'deck': 'play', 'scene': 'launch'}[found[1]] }")
        return Light(message, lamp, found[1], number, layers=layers, weight=weight)
    address = NAMESPACE.find(text)
    address.require_readable()
    if feedback.above is not None and address.node.type not in (Type.FLOAT, Type.INT):
        raise Refused(f"above is for numbers, and {address} is none")
    if lamp.kind in SCALES and address.node.type not in (Type.FLOAT, Type.INT):
        raise Refused(f"a {lamp.kind} shows a number, and {address} is none")
    ends = feedback.range or (METER_DB if lamp.kind == "meter" else (address.node.minimum, address.node.maximum))
    equals = number_in(feedback.equals, member)
    if equals is not None:
        equals = address.node.check(equals, text)
    return Light(message, lamp, "address", 0, text, feedback.colour, equals, feedback.above, layers, weight, ends=ends)
