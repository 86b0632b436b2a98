# SPDX-License-Identifier: GPL-3.0-or-later
"""What bindings come to: actions with an address and its range, and the rules that say when each of them counts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from appliance.control.mapping.controls import Control
from appliance.control.mapping.oscforms import OscMessage, read_message
from appliance.control.mapping.profile import (
    BUTTONS,
    BY_CHANNEL,
    WHOLE,
    Binding,
    Curve,
    DeviceKind,
    Mode,
    Profile,
    Source,
    Surface,
    Takeover,
    message_template,
)
from appliance.control.mapping.selectors import Gesture, NoSuchControl, Selector, layer_values
from appliance.namespace import Address, Kind, Scaling, Type
from appliance.nodes import NAMESPACE

TICK = 1 / 128
"""Travel 0…1 of an encoder's tick, unless the profile says."""
ROLE = re.compile(r"/(pad|deck|scene)/(N([+-]\d{1,3})?|\d{1,3}|\{[a-z][a-z0-9_-]*\})")
"""A thing that a control may stand for; as a value it is the thing's name."""
MOST_RULES = 4096
"""Of one control, for all values of the layers in its address."""


class Refused(Exception):
    """A binding that cannot be; carries the words."""


@dataclass(frozen=True, slots=True)
class Action:
    """What a control does with one address, or the message that it sends (``midi``, None where its value goes; ``osc``).
    ``ends``: the values at 0 and at full travel; ``rest``: for the curve centre, the middle of the travel and the value
    there."""

    address: str
    mode: Mode
    ends: tuple[float, float] = (0.0, 1.0)
    curve: Curve = Curve.LINEAR
    value: Any = None
    has_value: bool = False
    velocity: bool = True
    step: float = 0.0
    faster: float = 1.0
    takeover: Takeover | None = None
    midi: tuple[int | None, ...] = ()
    rest: tuple[float, float] = (0.5, 0.0)
    osc: OscMessage | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """``actions`` are done when all ``layers`` have these values and all of ``when`` is so. ``weight``: how many layers the
    profile names; the heavier rule counts first, then the earlier."""

    layers: tuple[tuple[str, int], ...]
    weight: int
    gesture: Gesture
    after_s: float
    when: tuple[tuple[str, Any], ...]
    actions: tuple[Action, ...]


def make_rules(profile: Profile, selector: Selector, binding: Binding, control: Control) -> list[Rule]:
    """One rule, or one for each value of the layers that stand in its addresses. Raises :class:`Refused`, ApplianceError."""
    fixed = dict(selector.layers)
    targets = binding.to if isinstance(binding.to, list) else [binding]
    surface, member = profile.surface[control[0]], control[1]
    captured = surface.captured(member)
    texts = [text for target in targets for text in (target.to, target.osc) if isinstance(text, str)] + list(binding.when)
    texts += [target.value for target in targets if isinstance(target.value, str) and ROLE.fullmatch(target.value)]
    open_layers = sorted({name for text in texts for name in re.findall(r"\{([^}]*)\}", text)} - set(fixed) - set(captured))
    try:
        choices = [layer_values(profile, name) for name in open_layers if _is_layer(profile, name, captured)]
    except NoSuchControl as error:
        raise Refused(str(error)) from None
    check_count(choices)
    rules: list[Rule] = []
    for values in product(*choices):
        layers = {**fixed, **dict(zip(open_layers, values, strict=True))}
        if selector.gesture is not Gesture.PRESS and (surface.source not in BUTTONS or surface.only_presses):
            raise Refused(f"{selector.gesture} is for buttons, not for {surface.word}")
        names = {**layers, **captured}
        actions = tuple(_action(profile, surface, member, target, names, selector.gesture) for target in targets)
        when = tuple(_condition(text, value, member, names) for text, value in binding.when.items())
        rules.append(Rule(tuple(sorted(layers.items())), len(fixed), selector.gesture, selector.after_s, when, actions))
    return rules


def check_count(choices: list[tuple[int, ...]]) -> None:
    """Before all their combinations are gone through. Raises :class:`Refused`."""
    if (count := math.prod(map(len, choices))) > MOST_RULES:
        raise Refused(f"its layers have {count} values together; {MOST_RULES} at most")


def _is_layer(profile: Profile, name: str, captured: Mapping[str, str]) -> bool:
    if name not in profile.layers:
        caught = f", and captured is {', '.join(captured)}" if captured else ""
        raise Refused(f"{{{name}}} is no layer of this profile; there are {', '.join(profile.layers) or 'none'}{caught}")
    return True


def with_takeover(profile: Profile, rules: list[Rule]) -> list[Rule]:
    """The same rules of one control with what each follower does that stands elsewhere: a control that moves several things,
    one in each layer, must not make any of them jump."""
    followed = {action.address for rule in rules for action in rule.actions if action.mode is Mode.FOLLOW}
    default = profile.takeover or (Takeover.PICKUP if len(followed) > 1 and len(rules) > 1 else Takeover.JUMP)
    return [replace(rule, actions=tuple(replace(action, takeover=action.takeover or default) for action in rule.actions))
            for rule in rules]


def fill_in(template: str, number: int, names: Mapping[str, int | str] | None = None) -> str:
    """``/channel/N+4/fader`` with the control's number, ``/deck/{deck}/play`` with a layer's value or what was captured."""
    text = re.sub(r"(?<=/)N([+-]\d{1,3})?(?=/|$)", lambda found: str(number + int(found[1] or 0)), template)
    return re.sub(r"\{([^}]*)\}", lambda found: str((names or {}).get(found[1], found[0])), text)


def number_in(value: Any, member: int) -> Any:
    """``N`` or ``N+4`` as a value: the control's number."""
    if isinstance(value, str) and (found := re.fullmatch(r"N([+-]\d{1,3})?", value)):
        return member + int(found[1] or 0)
    return value


def _condition(template: str, value: Any, member: int, names: Mapping[str, int | str]) -> tuple[str, Any]:
    text = fill_in(template, member, names)
    address = NAMESPACE.find(text)
    address.require_readable()
    return text, address.node.check(number_in(value, member), text)


def _action(profile: Profile, surface: Surface, member: int, binding: Binding, names: Mapping[str, int | str],
            gesture: Gesture) -> Action:
    if binding.midi is not None or binding.osc is not None:
        return _message(profile, member, binding, names, gesture)
    assert isinstance(binding.to, str)
    text = fill_in(binding.to, member, names)
    address = NAMESPACE.find(text)
    if binding.values:
        own = binding.values[(member - 1) % len(binding.values)]
        if address.node.momentary or binding.mode is Mode.HOLD:
            binding = binding.model_copy(update={"range": (0.0, _end(own, text)), "velocity": False, "mode": Mode.HOLD})
        else:
            binding = Binding.model_validate({**binding.model_dump(exclude_unset=True, exclude={"values"}), "value": own})
    if isinstance(binding.value, str) and ROLE.fullmatch(binding.value):
        binding = binding.model_copy(update={"value": fill_in(binding.value, member, names)})
    if (number := number_in(binding.value, member)) is not binding.value:
        binding = binding.model_copy(update={"value": number})
    mode = _mode(address, surface, binding, gesture)
    ends = _ends(address, binding)
    if mode in (Mode.SET, Mode.PRESS) and "value" in binding.model_fields_set and address.node.kind is not Kind.CALL:
        address.node.check(binding.value, address.address)
    curve = binding.curve or (Curve.LOG if address.node.scaling is Scaling.LOG else Curve.LINEAR)
    turn = 1.0 / surface.per_turn if surface.per_turn and address.node.kind is Kind.COMMAND else TICK
    if address.node.kind is Kind.CALL:
        turn = 1.0
    middle = 8192 / 16383 if surface.source in WHOLE else 64 / 127  # neither 7 nor 14 bits have a middle: this is it
    return Action(text, mode, ends, curve, binding.value, "value" in binding.model_fields_set, binding.velocity,
                  binding.step or turn, binding.faster, binding.takeover, rest=(middle, _rest(address, ends)))


def _end(value: Any, text: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"{text}: {value!r} is no number to hold")
    return float(value)


def _rest(address: Address, ends: tuple[float, float]) -> float:
    """Where the address rests (0 dB, no filter), if that lies between the ends; else their middle."""
    default = address.node.default
    if isinstance(default, int | float) and min(ends) < default < max(ends):
        return float(default)
    return (ends[0] + ends[1]) / 2


def _message(profile: Profile, member: int, binding: Binding, names: Mapping[str, int | str], gesture: Gesture) -> Action:
    follows = gesture is Gesture.PRESS and binding.mode in (Mode.AUTO, Mode.FOLLOW)
    mode, ends = Mode.FOLLOW if follows else Mode.PRESS, binding.range or (0.0, 1.0)
    curve = binding.curve or Curve.LINEAR
    if binding.midi is not None:
        if profile.device.kind is not DeviceKind.MIDI:
            raise Refused("midi goes to the device itself, and this one takes none; see docs/profiles.md")
        return Action("", mode, midi=tuple(message_template(binding.midi)))
    return Action("", mode, ends, curve, osc=osc_message(profile, binding.osc or "", member, names))


def osc_message(profile: Profile, text: str, member: int, names: Mapping[str, int | str]) -> OscMessage:
    """With the control's number and what was captured filled in. Raises :class:`Refused`."""
    message = read_message(text)
    if message.peer is None and profile.device.kind is not DeviceKind.OSC:
        raise Refused(f"say to whom, as in osc: 127.0.0.1:9001 {message.address}")
    address = fill_in(message.address, member, names)
    if unknown := re.search(r"\{([^}]*)\}", address):
        raise Refused(f"{unknown[0]} is no layer of this profile, nor captured")
    args = (number_in(fill_in(arg, member, names) if isinstance(arg, str) else arg, member) for arg in message.args)
    return replace(message, address=address, args=tuple(args))


def _mode(address: Address, surface: Surface, binding: Binding, gesture: Gesture) -> Mode:
    """What ``auto`` means here; raises for what cannot be."""
    node, mode, source = address.node, binding.mode, surface.source
    if node.kind is Kind.STATE:
        raise Refused(f"{address} is read only: it can be shown (feedback), not bound")
    action = node.kind in (Kind.COMMAND, Kind.CALL)
    number = node.type in (Type.FLOAT, Type.INT, Type.BOOL, Type.CHOICE)
    given = "value" in binding.model_fields_set
    if mode is Mode.AUTO:
        mode = _auto_mode(address, surface, gesture, given)
    if mode is Mode.RELATIVE and (source not in (Source.CC, Source.OSC) or not _turnable(address)):
        raise Refused(f"relative is for endless encoders (cc, osc) on a value, not for {source.value} on {address}")
    if mode is Mode.RELATIVE and not surface.turns:
        how = "relative: true" if source is Source.OSC else "encoder: twos, offset or sign"
        raise Refused(f"relative needs an endless encoder; say in surface how it counts: {how}")
    if surface.turns and mode is not Mode.RELATIVE:
        raise Refused(f"an endless encoder has no place that {address} could follow; it is relative")
    if gesture is not Gesture.PRESS and mode in (Mode.FOLLOW, Mode.HOLD):
        raise Refused(f"{gesture} happens once: use press, toggle or set")
    if mode is Mode.FOLLOW and (surface.is_button or not number or node.kind is Kind.CALL):
        raise Refused(f"{address} cannot follow a {surface.word}; give mode: toggle, hold or press, or set with a value")
    if mode in (Mode.TOGGLE, Mode.HOLD, Mode.SET, Mode.STEP, Mode.PRESS) and (source in WHOLE or source in BY_CHANNEL):
        raise Refused(f"{surface.word} has no press; it can only follow")
    if mode is Mode.HOLD and surface.only_presses:
        raise Refused(f"a {surface.word} has no release; use press, toggle or set")
    if mode is Mode.TOGGLE and not (node.kind is Kind.VALUE or (node.kind is Kind.COMMAND and node.type is Type.BOOL)):
        raise Refused(f"{address} is no switch; toggle does not fit")
    if mode is Mode.HOLD and (node.kind is Kind.CALL or not number):
        raise Refused(f"{address} cannot be held; use press")
    if mode is Mode.STEP and not (node.kind is Kind.VALUE and node.type in (Type.FLOAT, Type.INT)
                                  and isinstance(binding.value, int | float) and not isinstance(binding.value, bool)):
        raise Refused(f"step adds its value to a number, such as {{to: {binding.to}, mode: step, value: -1}}")
    if mode is Mode.SET and not given:
        raise Refused(f"{address}: set needs a value, such as {{to: {binding.to}, value: 1}}")
    if mode is Mode.PRESS and not action:
        raise Refused(f"{address} is no action; use set with a value, toggle or hold")
    if mode is Mode.PRESS and not given and not node.optional and node.type is not Type.NONE:
        raise Refused(f"{address} needs a value: {node.doc}")
    return mode


def _turnable(address: Address) -> bool:
    """An encoder moves a value, or gives its ticks to an action that takes a number (a jog wheel, a list)."""
    return address.node.kind is Kind.VALUE or (address.node.kind is not Kind.TEXT and address.node.type is Type.FLOAT)


def _auto_mode(address: Address, surface: Surface, gesture: Gesture, given: bool) -> Mode:
    node = address.node
    if surface.turns:
        return Mode.RELATIVE
    if given:
        return Mode.PRESS if node.kind in (Kind.COMMAND, Kind.CALL) else Mode.SET
    if node.kind is Kind.CALL or node.type is Type.NONE:
        return Mode.PRESS
    if gesture is not Gesture.PRESS:
        return Mode.PRESS if node.kind is Kind.COMMAND else Mode.TOGGLE
    if surface.only_presses and node.kind is Kind.COMMAND:
        return Mode.TOGGLE if node.type is Type.BOOL and not node.momentary else Mode.PRESS
    if node.momentary:
        return Mode.HOLD
    if node.kind is Kind.COMMAND and node.type is Type.BOOL:
        return Mode.TOGGLE
    if node.kind is Kind.VALUE and node.type is Type.BOOL and surface.is_button:
        return Mode.TOGGLE
    return Mode.FOLLOW


def _ends(address: Address, binding: Binding) -> tuple[float, float]:
    node = address.node
    whole = (node.minimum, node.maximum) if node.type in (Type.FLOAT, Type.INT) else (0.0, float(max(len(node.choices) - 1, 1)))
    if node.kind is Kind.COMMAND and node.type is Type.BOOL:
        whole = (0.0, 1.0)
    if binding.range is None:
        return whole
    for end in binding.range:
        if not min(whole) <= end <= max(whole):
            raise Refused(f"range: {address} takes {whole[0]:g} … {whole[1]:g}, not {end:g}")
    return binding.range
