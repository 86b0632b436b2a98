# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile compiled: plain bindings to entries of the engine's table, the rest to actions that control does, lamps to lights.

The engine obeys an entry in the block in which the message came. What the table cannot say (requests to other processes,
text, whole numbers and choices that follow a knob, curves, encoders, 14 bits) is handed over and done by control a few
milliseconds later; docs/profiles.md tells which is which.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from appliance.bus.binding import BindingFlag, BindingKind
from appliance.control.mapping.profile import COLOURS, Binding, Curve, Feedback, Lamp, Mode, Profile, Source, Surface
from appliance.errors import ApplianceError
from appliance.namespace import Address, Kind, Scaling, Type
from appliance.nodes import ENGINE_GROUPS, NAMESPACE

Message = tuple[int, int]
"""Status and data 1; data 1 is -1 for pitch bend, which has none of its own."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of ``bus/binding.py``'s table."""

    kind: BindingKind
    code: int = 0
    index: int = 0
    minimum: float = 0.0
    maximum: float = 1.0
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Action:
    """What control does with a message that the engine hands over. ``ends``: the values at 0 and at full travel."""

    address: str
    mode: Mode
    ends: tuple[float, float] = (0.0, 1.0)
    curve: Curve = Curve.LINEAR
    value: Any = None
    has_value: bool = False
    encoding: str = "twos"
    step: float = 0.0


@dataclass(frozen=True, slots=True)
class Light:
    """A lamp and what it shows: ``subject`` pad, deck, scene (with ``number`` from 1) or an address."""

    message: Message
    lamp: Lamp
    subject: str
    number: int = 0
    address: str = ""
    colour: str = "white"
    equals: Any = None


@dataclass(slots=True)
class Compiled:
    profile: Profile
    entries: dict[Message, Entry] = field(default_factory=dict)
    actions: dict[Message, Action] = field(default_factory=dict)
    lights: list[Light] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Misfit:
    """Something that a profile says and the box cannot do; ``where`` leads to its place in the file."""

    where: tuple[Any, ...]
    message: str


class _Refused(Exception):
    """A binding that cannot be; carries the words."""


def compile_profile(profile: Profile, misfits: list[Misfit]) -> Compiled:
    """Compile; what does not fit is left out and told in ``misfits``."""
    compiled = Compiled(profile)
    taken: dict[Message, str] = {}
    for selector, binding in profile.bindings.items():
        for surface, member in _controls(profile, ("bindings", selector), misfits):
            messages = surface.messages(member)
            try:
                for message in messages:
                    if taken.get(message, selector) != selector:
                        raise _Refused(f"{_shown(message)} is bound already by {taken[message]!r}; one control, one binding")
                _bind(compiled, surface, member, binding)
            except (_Refused, ApplianceError) as error:
                misfits.append(Misfit(("bindings", selector, "to"), f"{selector}: {_words(error)}"))
                break  # one line a binding: the next member's would say the same
            taken.update(dict.fromkeys(messages, selector))
    for selector, feedback in profile.feedback.items():
        for surface, member in _controls(profile, ("feedback", selector), misfits):
            try:
                compiled.lights.append(_light(profile, surface, member, feedback))
            except (_Refused, ApplianceError) as error:
                misfits.append(Misfit(("feedback", selector, "shows"), f"{selector}: {_words(error)}"))
                break
    return compiled


def _controls(profile: Profile, where: tuple[str, str], misfits: list[Misfit]) -> list[tuple[Surface, int]]:
    try:
        return list(select(profile, where[1]))
    except _Refused as error:
        misfits.append(Misfit(where, str(error)))
        return []


def _words(error: _Refused | ApplianceError) -> str:
    return error.message if isinstance(error, ApplianceError) else str(error)


def select(profile: Profile, selector: str) -> Iterator[tuple[Surface, int]]:
    """The controls that ``pad``, ``pad 5`` or ``pad 1..4`` names, with their numbers."""
    name = " ".join(selector.split())
    if name in profile.surface:
        surface = profile.surface[name]
        yield from ((surface, member) for member in range(1, surface.count + 1))
        return
    found = re.fullmatch(r"(.+?) (\d{1,3})(?:\.\.(\d{1,3}))?", name)
    if not found or found[1] not in profile.surface:
        raise _Refused(f"{selector!r} is no control of this surface; there are {', '.join(profile.surface) or 'none'}")
    surface = profile.surface[found[1]]
    first, last = int(found[2]), int(found[3] or found[2])
    if not 1 <= first <= last <= surface.count:
        raise _Refused(f"{selector!r}: {found[1]} has the numbers 1 … {surface.count}")
    yield from ((surface, member) for member in range(first, last + 1))


def fill_in(template: str, number: int) -> str:
    """``/channel/N+4/fader`` with the control's number."""
    return re.sub(r"(?<=/)N([+-]\d{1,3})?(?=/|$)", lambda found: str(number + int(found[1] or 0)), template)


def _number(value: Any, member: int) -> Any:
    """``N`` or ``N+4`` as a value: the control's number."""
    if isinstance(value, str) and (found := re.fullmatch(r"N([+-]\d{1,3})?", value)):
        return member + int(found[1] or 0)
    return value


def _shown(message: Message) -> str:
    kind = {0x90: "note", 0xB0: "controller", 0xE0: "pitch bend"}[message[0] & 0xF0]
    number = f" {message[1]}" if message[1] >= 0 else ""
    return f"{kind}{number} on channel {(message[0] & 15) + 1}"


# -- bindings


def _bind(compiled: Compiled, surface: Surface, member: int, binding: Binding) -> None:
    text = fill_in(binding.to, member)
    address = NAMESPACE.find(text)
    if (number := _number(binding.value, member)) is not binding.value:
        binding = binding.model_copy(update={"value": number})
    mode = _mode(address, surface.source, binding)
    ends = _ends(address, binding)
    _check_value(address, mode, binding)
    entry = _entry(text, address, surface.source, mode, ends, binding)
    for message in surface.messages(member):
        if entry is None:
            given = "value" in binding.model_fields_set
            compiled.actions[message] = Action(text, mode, ends, binding.curve or _own_curve(address), binding.value, given,
                                               binding.encoding.value, binding.step)
            continue
        compiled.entries[message] = entry
        if surface.source is Source.NOTE:
            compiled.entries[message[0] - 0x10, message[1]] = _note_off(entry)


def _mode(address: Address, source: Source, binding: Binding) -> Mode:
    """What ``auto`` means here; raises for what cannot be."""
    node, mode = address.node, binding.mode
    if node.kind is Kind.STATE:
        raise _Refused(f"{address} is read only: it can be shown (feedback), not bound")
    action = node.kind in (Kind.COMMAND, Kind.CALL)
    number = node.type in (Type.FLOAT, Type.INT, Type.BOOL, Type.CHOICE)
    given = "value" in binding.model_fields_set
    if mode is Mode.AUTO:
        mode = _auto_mode(address, source, given)
    if mode is Mode.RELATIVE and (source is not Source.CC or node.kind is not Kind.VALUE):
        raise _Refused(f"relative is for endless encoders (cc) on a value, not for {source.value} on {address}")
    if mode is Mode.FOLLOW and (source is Source.NOTE or not number or node.kind is Kind.CALL):
        raise _Refused(f"{address} cannot follow a {source.value}; give mode: toggle, hold or press, or set with a value")
    if mode in (Mode.TOGGLE, Mode.HOLD, Mode.SET, Mode.PRESS) and source is Source.BEND:
        raise _Refused("pitch bend has no press; it can only follow")
    if mode is Mode.TOGGLE and not (node.kind is Kind.VALUE or (node.kind is Kind.COMMAND and node.type is Type.BOOL)):
        raise _Refused(f"{address} is no switch; toggle does not fit")
    if mode is Mode.HOLD and (node.kind is Kind.CALL or not number):
        raise _Refused(f"{address} cannot be held; use press")
    if mode is Mode.SET and not given:
        raise _Refused(f"{address}: set needs a value, such as {{to: {binding.to}, value: 1}}")
    if mode is Mode.PRESS and not action:
        raise _Refused(f"{address} is no action; use set with a value, toggle or hold")
    if mode is Mode.PRESS and not given and not node.optional and node.type is not Type.NONE:
        raise _Refused(f"{address} needs a value: {node.doc}")
    return mode


def _auto_mode(address: Address, source: Source, given: bool) -> Mode:
    node = address.node
    if given:
        return Mode.PRESS if node.kind in (Kind.COMMAND, Kind.CALL) else Mode.SET
    if node.kind is Kind.CALL or node.type is Type.NONE:
        return Mode.PRESS
    if node.momentary:
        return Mode.HOLD
    if node.kind is Kind.COMMAND and node.type is Type.BOOL:
        return Mode.TOGGLE
    if node.kind is Kind.VALUE and node.type is Type.BOOL and source is Source.NOTE:
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
            raise _Refused(f"range: {address} takes {whole[0]:g} … {whole[1]:g}, not {end:g}")
    return binding.range


def _check_value(address: Address, mode: Mode, binding: Binding) -> None:
    if mode in (Mode.SET, Mode.PRESS) and "value" in binding.model_fields_set and address.node.kind is not Kind.CALL:
        address.node.check(binding.value, address.address)


def _own_curve(address: Address) -> Curve:
    return Curve.LOG if address.node.scaling is Scaling.LOG else Curve.LINEAR


def _entry(
    text: str, address: Address, source: Source, mode: Mode, ends: tuple[float, float], binding: Binding,
) -> Entry | None:
    """The table's entry for a press or move, or None when control has to do it."""
    if address.group not in ENGINE_GROUPS or source is Source.BEND:
        return None
    if address.node.kind is Kind.COMMAND:
        return _command_entry(text, address, mode, ends, binding)
    if address.node.kind is Kind.VALUE:
        return _value_entry(text, address, mode, ends, binding)
    return None


def _banked(text: str) -> bool:
    return text.startswith("/pad/")


def _command_entry(text: str, address: Address, mode: Mode, ends: tuple[float, float], binding: Binding) -> Entry | None:
    node = address.node
    code = NAMESPACE.command(address.group.record, node.name)
    flags = BindingFlag.BANK if _banked(text) else BindingFlag(0)
    press = BindingFlag.PRESS_ONLY | BindingFlag.CONSTANT
    match mode:
        case Mode.TOGGLE:
            return Entry(BindingKind.COMMAND, code, address.index, -1.0, -1.0, flags | press)
        case Mode.PRESS:
            given = "value" in binding.model_fields_set
            if node.type is Type.NONE:
                amount = 0.0
            elif given:
                amount = node.to_slot(node.check(binding.value, address.address))
            else:
                amount = -1.0 if node.type is Type.BOOL else node.to_slot(node.default)
            return Entry(BindingKind.COMMAND, code, address.index, amount, amount, flags | press)
        case Mode.HOLD if node.type is Type.BOOL or not binding.velocity:
            # 127 instead of 1: the softest press is 1 then, which is on; no press is 0
            return None if node.type is not Type.BOOL else Entry(BindingKind.COMMAND, code, address.index, 0.0, 127.0, flags)
        case Mode.HOLD | Mode.FOLLOW if binding.curve in (None, Curve.LINEAR):
            return Entry(BindingKind.COMMAND, code, address.index, *ends, flags)
        case _:
            return None


def _value_entry(text: str, address: Address, mode: Mode, ends: tuple[float, float], binding: Binding) -> Entry | None:
    node = address.node
    flags = BindingFlag.BANK if _banked(text) else BindingFlag(0)
    match mode:
        case Mode.TOGGLE:
            return Entry(BindingKind.TOGGLE, 0, address.slot, *ends, flags)
        case Mode.SET:
            amount = node.to_slot(node.check(binding.value, address.address))
            return Entry(BindingKind.VALUE, 0, address.slot, amount, amount, flags | BindingFlag.PRESS_ONLY)
        case Mode.FOLLOW if node.type is Type.FLOAT:
            curve = binding.curve or _own_curve(address)
            if curve is Curve.LOG and min(ends) > 0:
                return Entry(BindingKind.VALUE, 0, address.slot, *ends, flags | BindingFlag.LOG)
            if curve is Curve.LINEAR:
                return Entry(BindingKind.VALUE, 0, address.slot, *ends, flags)
        case _:
            pass
    return None


def _note_off(entry: Entry) -> Entry:
    """The entry for note off: a release for what is held, nothing for the rest."""
    if entry.kind is BindingKind.COMMAND and not entry.flags & BindingFlag.PRESS_ONLY:
        return entry
    return Entry(BindingKind.IGNORE)


# -- feedback


def _light(profile: Profile, surface: Surface, member: int, feedback: Feedback) -> Light:
    if surface.source is Source.BEND:
        raise _Refused("pitch bend has no lamp")
    if not profile.lamps:
        raise _Refused("feedback needs `lamps`: how the device lights them")
    name = feedback.lamp or next(iter(profile.lamps))
    if name not in profile.lamps:
        raise _Refused(f"{name!r} is none of the lamps; there are {', '.join(profile.lamps)}")
    if feedback.colour not in COLOURS:
        raise _Refused(f"{feedback.colour!r} is no colour of the LED language; they are {', '.join(COLOURS)}")
    message, lamp = surface.messages(member)[0], profile.lamps[name]
    text = fill_in(feedback.shows, member)
    if found := re.fullmatch(r"/(pad|deck|scene)/(\d+)", text):
        number = int(found[2])
        NAMESPACE.find(f"{text}/{ {'pad': 'trigger', 'deck': 'play', 'scene': 'launch'}[found[1]] }")
        return Light(message, lamp, found[1], number)
    address = NAMESPACE.find(text)
    address.require_readable()
    equals = _number(feedback.equals, member)
    if equals is not None:
        equals = address.node.check(equals, text)
    return Light(message, lamp, "address", 0, text, feedback.colour, equals)
