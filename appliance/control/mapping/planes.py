# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's table of a profile, a plane for each state of its layers: so a press in a layer is obeyed at its own frame, too.

A message that changes a layer is an entry itself: the engine goes to another plane in the block in which it came, and control,
which is told, follows. Layers for which there are no planes left, or whose buttons are no plain notes or controllers, are
control's alone; what depends on them is handed over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from appliance.bus.binding import BindingFlag, BindingKind, LayerStep
from appliance.bus.layout import PLANES
from appliance.control.mapping.controls import Control, Message
from appliance.control.mapping.profile import Curve, Mode, Profile, Source, Takeover
from appliance.control.mapping.rules import Action, Rule
from appliance.control.mapping.selectors import Gesture, layer_controls, layer_values
from appliance.namespace import Address, Kind, Type
from appliance.nodes import ENGINE_GROUPS, NAMESPACE


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
class PlaneLayer:
    """A layer that the engine knows: its values, and by how much the plane's number moves from one to the next."""

    name: str
    values: tuple[int, ...]
    stride: int

    def digit(self, plane: int) -> int:
        return plane // self.stride % len(self.values)

    def value(self, plane: int) -> int:
        return self.values[self.digit(plane)]


def plane_layers(profile: Profile) -> list[PlaneLayer]:
    """The first layers of the profile for which there are planes."""
    found: list[PlaneLayer] = []
    stride = 1
    for name in profile.layers:
        surfaces = [profile.surface[control[0]] for control in layer_controls(profile, name)]
        values = layer_values(profile, name)
        plain = all(surface.source in (Source.NOTE, Source.CC) and surface.encoder is None for surface in surfaces)
        if plain and stride * len(values) <= PLANES:
            found.append(PlaneLayer(name, values, stride))
            stride *= len(values)
    return found


def make_planes(profile: Profile, layers: list[PlaneLayer], rules: dict[Control, list[Rule]]) -> list[dict[Message, Entry]]:
    """The entries of every plane. ``rules``: of each control, the one that counts first in front."""
    count = max([1, *(layer.stride * len(layer.values) for layer in layers)])
    steps = _layer_entries(profile, layers)
    planes: list[dict[Message, Entry]] = []
    for plane in range(count):
        state = {layer.name: layer.value(plane) for layer in layers}
        entries = dict(steps)
        for control, of_control in rules.items():
            surface = profile.surface[control[0]]
            if surface.source not in (Source.NOTE, Source.CC) or surface.encoder is not None:
                continue
            messages = surface.messages(control[1])
            if any(message in steps for message in messages):
                continue  # control does what else a layer's button does
            entry = _first(surface.source, of_control, state)
            if entry is None:
                continue
            for message in messages:
                entries[message] = entry
                if surface.source is Source.NOTE:
                    entries[message[0] - 0x10, message[1]] = _note_off(entry)
        planes.append(entries)
    return planes


def _layer_entries(profile: Profile, layers: list[PlaneLayer]) -> dict[Message, Entry]:
    found: dict[Message, Entry] = {}
    for layer in layers:
        way = profile.layers[layer.name].way
        for number, (name, member) in enumerate(layer_controls(profile, layer.name)):
            entry = Entry(BindingKind.LAYER, LayerStep[way.upper()], layer.stride, len(layer.values), number, BindingFlag.TELL)
            for message in profile.surface[name].messages(member):
                found[message] = entry
                if message[0] & 0xF0 == 0x90:
                    found[message[0] - 0x10, message[1]] = entry
    return found


def _first(source: Source, rules: list[Rule], state: dict[str, int]) -> Entry | None:
    """What the engine does in this state of the layers; None when control has to do it."""
    if source is Source.CC and any(action.mode is Mode.HOLD and rule.layers for rule in rules for action in rule.actions):
        return None  # a controller's release does not say which press it belongs to; control knows
    told = any(rule.gesture is not Gesture.PRESS for rule in rules)
    for rule in rules:
        if rule.gesture is not Gesture.PRESS or any(state.get(name, value) != value for name, value in rule.layers):
            continue
        action, *more = rule.actions
        if more or rule.when or any(name not in state for name, _ in rule.layers):
            return None
        entry = entry_of(source, action)
        return replace(entry, flags=entry.flags | BindingFlag.TELL) if entry and told else entry
    return None


def entry_of(source: Source, action: Action) -> Entry | None:
    """The table's entry for a press or move, or None when control has to do it."""
    if not action.address:
        return None
    address = NAMESPACE.find(action.address)
    if address.group not in ENGINE_GROUPS:
        return None
    if address.node.kind is Kind.COMMAND:
        return _command_entry(action, address)
    if address.node.kind is Kind.VALUE:
        return _value_entry(source, action, address)
    return None


def _banked(action: Action) -> BindingFlag:
    return BindingFlag.BANK if action.address.startswith("/pad/") else BindingFlag(0)


def _command_entry(action: Action, address: Address) -> Entry | None:
    node = address.node
    code = NAMESPACE.command(address.group.record, node.name)
    flags = _banked(action)
    press = BindingFlag.PRESS_ONLY | BindingFlag.CONSTANT
    match action.mode:
        case Mode.TOGGLE:
            return Entry(BindingKind.COMMAND, code, address.index, -1.0, -1.0, flags | press)
        case Mode.PRESS:
            if node.type is Type.NONE:
                amount = 0.0
            elif action.has_value:
                amount = node.to_slot(node.check(action.value, address.address))
            else:
                amount = -1.0 if node.type is Type.BOOL else node.to_slot(node.default)
            return Entry(BindingKind.COMMAND, code, address.index, amount, amount, flags | press)
        case Mode.HOLD if node.type is Type.BOOL or not action.velocity:
            # 127 instead of 1: the softest press is 1 then, which is on; no press is 0
            return None if node.type is not Type.BOOL else Entry(BindingKind.COMMAND, code, address.index, 0.0, 127.0, flags)
        case Mode.HOLD | Mode.FOLLOW if action.curve is Curve.LINEAR:
            return Entry(BindingKind.COMMAND, code, address.index, *action.ends, flags)
        case _:
            return None


def _value_entry(source: Source, action: Action, address: Address) -> Entry | None:
    node = address.node
    flags = _banked(action)
    match action.mode:
        case Mode.TOGGLE:
            return Entry(BindingKind.TOGGLE, 0, address.slot, *action.ends, flags)
        case Mode.SET:
            amount = node.to_slot(node.check(action.value, address.address))
            return Entry(BindingKind.VALUE, 0, address.slot, amount, amount, flags | BindingFlag.PRESS_ONLY)
        case Mode.FOLLOW if node.type is Type.FLOAT:
            if source is Source.CC:
                flags |= {Takeover.PICKUP: BindingFlag.PICKUP, Takeover.SCALE: BindingFlag.SCALE}.get(
                    action.takeover or Takeover.JUMP, BindingFlag(0))
            if action.curve is Curve.LOG and min(action.ends) > 0:
                return Entry(BindingKind.VALUE, 0, address.slot, *action.ends, flags | BindingFlag.LOG)
            if action.curve is Curve.LINEAR:
                return Entry(BindingKind.VALUE, 0, address.slot, *action.ends, flags)
        case _:
            pass
    return None


def _note_off(entry: Entry) -> Entry:
    """The entry for note off: a release for what is held, nothing for the rest."""
    if entry.kind is BindingKind.COMMAND and not entry.flags & BindingFlag.PRESS_ONLY:
        return entry
    return Entry(BindingKind.IGNORE, flags=entry.flags & BindingFlag.TELL)
