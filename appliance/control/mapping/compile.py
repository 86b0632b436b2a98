# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile compiled: what its controls do as rules, the plain ones of them as the engine's table, its lamps as lights.

The engine obeys an entry in the block in which the message came. What the table cannot say (requests to other processes,
text, whole numbers and choices that follow a knob, curves, encoders, 14 bits, conditions, gestures) is handed over and done
by control a few milliseconds later; docs/profiles.md tells which is which.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from appliance.control.mapping.controls import Control, Decoder, Message
from appliance.control.mapping.echoes import Echo, make_echoes
from appliance.control.mapping.keynames import NAMES
from appliance.control.mapping.lights import Light, make_light
from appliance.control.mapping.picture import picture_controls
from appliance.control.mapping.planes import Entry, PlaneLayer, make_planes, plane_layers
from appliance.control.mapping.profile import BUTTONS, KIND, Binding, DeviceKind, Feedback, Mode, Profile, Source
from appliance.control.mapping.roles import SHIFT, habits
from appliance.control.mapping.rules import Refused, Rule, make_rules, with_takeover
from appliance.control.mapping.selectors import (
    Gesture,
    NoSuchControl,
    Selector,
    layer_controls,
    layer_values,
    parse_selector,
)
from appliance.errors import ApplianceError
from appliance.nodes import NAMESPACE


@dataclass(frozen=True, slots=True)
class Said:
    """What the profile says of a control, itself or by its role: for pictures of it."""

    selector: Selector
    control: Control
    binding: Binding


@dataclass
class Compiled:
    """``rules``: of each control, the one that counts first in front. ``layers``: the buttons of each layer. ``planes``: the
    engine's entries in each state of ``plane_layers``, the first one for when none is on. ``plays``: the decks' play keys."""

    profile: Profile
    rules: dict[Control, list[Rule]] = field(default_factory=dict)
    layers: dict[str, tuple[Control, ...]] = field(default_factory=dict)
    values: dict[str, tuple[int, ...]] = field(default_factory=dict)
    plane_layers: list[PlaneLayer] = field(default_factory=list)
    planes: list[dict[Message, Entry]] = field(default_factory=lambda: [{}])
    lights: list[Light] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    plays: set[Control] = field(default_factory=set)
    shown: list[tuple[Selector, Control, Feedback]] = field(default_factory=list)
    echoes: list[Echo] = field(default_factory=list)

    @property
    def entries(self) -> dict[Message, Entry]:
        """Of the first plane."""
        return self.planes[0]

    @cached_property
    def layer_of(self) -> dict[Control, tuple[str, int]]:
        """The layer that a button changes, and its number among that layer's buttons."""
        return {control: (name, number) for name, controls in self.layers.items() for number, control in enumerate(controls)}

    @cached_property
    def bound(self) -> frozenset[Message]:
        """The messages of all controls that do something."""
        return frozenset(message for control in (*self.rules, *self.layer_of)
                         for message in self.profile.surface[control[0]].messages(control[1]))

    @cached_property
    def held_controllers(self) -> tuple[Message, ...]:
        """Controllers that are buttons: what they do ends when they are let go."""
        return tuple(message for control, rules in self.rules.items()
                     if self.profile.surface[control[0]].source is Source.CC
                     and any(action.mode is Mode.HOLD for rule in rules for action in rule.actions)
                     for message in self.profile.surface[control[0]].messages(control[1]))

    def decoder(self) -> Decoder:
        """For one device's MIDI."""
        used = dict.fromkeys((*self.rules, *self.layer_of)) if self.profile.device.kind is DeviceKind.MIDI else ()
        return Decoder((control, self.profile.surface[control[0]]) for control in used)


@dataclass(frozen=True, slots=True)
class Misfit:
    """Something that a profile says and the box cannot do; ``where`` leads to its place in the file."""

    where: tuple[Any, ...]
    message: str


def compile_profile(profile: Profile, misfits: list[Misfit]) -> Compiled:
    """Compile; what does not fit is left out and told in ``misfits``."""
    compiled = Compiled(profile)
    taken: dict[tuple[Any, ...], Control] = {}
    _check_sources(profile, misfits)
    if misfits:
        return compiled
    _add_layers(compiled, taken, misfits)
    if misfits:
        return compiled
    found: dict[Control, list[Rule]] = {}
    _add_rules(compiled, found, taken, misfits)
    for control, rules in found.items():
        in_order = sorted(rules, key=lambda rule: -rule.weight)  # those of one weight stay in the file's order
        compiled.rules[control] = with_takeover(profile, in_order)
    compiled.plane_layers = plane_layers(profile)
    compiled.planes = make_planes(profile, compiled.plane_layers, compiled.rules)
    if profile.device.kind is DeviceKind.MIDI:
        _add_lights(compiled, misfits)
    else:
        _add_echoes(compiled, misfits)
    for row, text in enumerate(profile.picture):
        try:
            picture_controls(profile, text)
        except NoSuchControl as error:
            misfits.append(Misfit(("picture", row), str(error)))
    return compiled


def _check_sources(profile: Profile, misfits: list[Misfit]) -> None:
    """Each kind of device has its own sources; and what the box itself listens to, no profile hears."""
    kind = profile.device.kind
    for name, surface in profile.surface.items():
        where = ("surface", name, surface.source.value)
        wanted = KIND.get(surface.source, DeviceKind.MIDI)
        if wanted is not kind:
            misfits.append(Misfit(where, f"{name}: {surface.source.value} is of a device of kind: {wanted}, and this one is "
                                         f"kind: {kind}"))
        elif own := next((one.address for one in surface.osc_controls if one.address in NAMESPACE), None):
            misfits.append(Misfit(where, f"{name}: {own} is an address of the box itself, which does it without a profile"))
    if kind is not DeviceKind.MIDI and (given := next((n for n in ("init", "exit", "lamps") if getattr(profile, n)), None)):
        misfits.append(Misfit((given,), f"{given} is for MIDI devices"))


def _add_layers(compiled: Compiled, taken: dict[tuple[Any, ...], Control], misfits: list[Misfit]) -> None:
    profile = compiled.profile
    for name, layer in profile.layers.items():
        where = ("layers", name, layer.way)
        try:
            compiled.layers[name] = layer_controls(profile, name)
            compiled.values[name] = layer_values(profile, name)
            for control in compiled.layers[name]:
                surface = profile.surface[control[0]]
                if surface.source not in BUTTONS or surface.turns:
                    raise Refused(f"{name}: a layer is changed by a button (note or cc), not by {surface.source.value}")
                if surface.only_presses and layer.way == "hold":
                    raise Refused(f"{name}: a trigger has no release; use toggle, choose or cycle")
                _take(profile, control, taken)
                if sum(control in others for others in compiled.layers.values()) > 1:
                    raise Refused(f"{name}: {_named(control)} changes another layer already")
        except (NoSuchControl, Refused) as error:
            misfits.append(Misfit(where, str(error)))


def _add_rules(
    compiled: Compiled, found: dict[Control, list[Rule]], taken: dict[tuple[Any, ...], Control], misfits: list[Misfit],
) -> None:
    profile = compiled.profile
    bound: Bound = {}
    for text, alternatives in profile.bindings.items():
        try:
            selector = parse_selector(profile, text)
        except NoSuchControl as error:
            misfits.append(Misfit(("bindings", text), str(error)))
            continue
        for number, binding in enumerate(alternatives):
            try:
                for control in selector.controls:
                    _take(profile, control, taken)
                    _claim(bound, text, selector, control, conditional=bool(binding.when))
                    found.setdefault(control, []).extend(make_rules(profile, selector, binding, control))
                    compiled.said.append(Said(selector, control, binding))
            except (Refused, ApplianceError) as error:  # one line a binding: the next member's would say the same
                misfits.append(Misfit(("bindings", text, number, "to"), f"{text}: {_words(error)}"))
    for text, thing in profile.roles.items():
        try:
            _add_role(compiled, text, thing, found, taken, bound)
        except (NoSuchControl, Refused, ApplianceError) as error:
            where = ("roles", text) if isinstance(error, NoSuchControl) else ("roles", text, "thing")
            misfits.append(Misfit(where, f"{text}: {_words(error)}"))


Bound = dict[tuple[Control, Gesture, float, frozenset[tuple[str, int]]], str]


def _add_role(compiled: Compiled, text: str, thing: str, found: dict[Control, list[Rule]],
              taken: dict[tuple[Any, ...], Control], bound: Bound) -> None:
    """The gestures of a thing, where the profile binds nothing itself."""
    profile = compiled.profile
    selector = parse_selector(profile, text)
    if selector.gesture is not Gesture.PRESS:
        raise Refused("a role has its own gestures")
    if thing.startswith("/deck/"):
        compiled.plays.update(selector.controls)
    for habit, binding in habits(profile, thing):
        if habit.shifted and any(name == SHIFT for name, _ in selector.layers):
            continue
        layers = (*selector.layers, (SHIFT, 1)) if habit.shifted else selector.layers
        own = Selector(layers, selector.controls, habit.gesture, habit.after_s)
        for control in selector.controls:
            if _key(own, control) in bound or not _has_release(profile, control, habit.gesture):
                continue
            _take(profile, control, taken)
            _claim(bound, text, own, control, conditional=False)
            found.setdefault(control, []).extend(make_rules(profile, own, binding, control))
            compiled.said.append(Said(own, control, binding))


def _has_release(profile: Profile, control: Control, gesture: Gesture) -> bool:
    surface = profile.surface[control[0]]
    return gesture is Gesture.PRESS or (surface.source in BUTTONS and not surface.only_presses)


def _take(profile: Profile, control: Control, taken: dict[tuple[Any, ...], Control]) -> None:
    for claim in profile.surface[control[0]].claims(control[1]):
        if taken.setdefault(claim, control) != control:
            raise Refused(f"{_shown(claim)} is bound already by {_named(taken[claim])!r}; one control, one name")


def _key(selector: Selector, control: Control) -> tuple[Control, Gesture, float, frozenset[tuple[str, int]]]:
    return control, selector.gesture, selector.after_s, frozenset(selector.layers)


def _claim(bound: Bound, text: str, selector: Selector, control: Control, *, conditional: bool) -> None:
    """What comes after a binding without conditions would never be done."""
    key = _key(selector, control)
    if key in bound:
        raise Refused(f"{_named(control)} is bound already by {bound[key]!r}, which always counts; give that one a condition "
                      "(when), or both together: to: [ … , … ]")
    if not conditional:
        bound[key] = text


def _add_lights(compiled: Compiled, misfits: list[Misfit]) -> None:
    profile = compiled.profile
    told = [("feedback", text, feedback) for text, feedback in profile.feedback.items()]
    if profile.lamps:
        told += [("roles", text, Feedback.model_validate(thing)) for text, thing in profile.roles.items()
                 if text not in profile.feedback]
    for section, text, feedback in told:
        where = (section, text, "shows") if section == "feedback" else (section, text, "thing")
        try:
            selector = parse_selector(profile, text)
            if selector.gesture is not Gesture.PRESS:
                raise NoSuchControl(f"{text!r}: a lamp has no gestures")
        except NoSuchControl as error:
            misfits.append(Misfit(where[:2], str(error)))
            continue
        for control in selector.controls:
            try:
                compiled.lights += make_light(profile, selector, control, feedback)
                compiled.shown.append((selector, control, feedback))
            except (Refused, ApplianceError) as error:
                misfits.append(Misfit(where, f"{text}: {_words(error)}"))
                break
    compiled.lights.sort(key=lambda light: -light.weight)


def _add_echoes(compiled: Compiled, misfits: list[Misfit]) -> None:
    profile = compiled.profile
    for text, feedback in profile.feedback.items():
        try:
            selector = parse_selector(profile, text)
        except NoSuchControl as error:
            misfits.append(Misfit(("feedback", text), str(error)))
            continue
        for control in selector.controls:
            try:
                compiled.echoes += make_echoes(profile, selector, control, feedback, compiled.rules.get(control, []))
            except (Refused, ApplianceError, ValueError) as error:
                misfits.append(Misfit(("feedback", text, "shows"), f"{text}: {_words(error)}"))
                break
    compiled.echoes.sort(key=lambda echo: -echo.weight)


def _words(error: Exception) -> str:
    return error.message if isinstance(error, ApplianceError) else str(error)


def _named(control: Control) -> str:
    return f"{control[0]} {control[1]}"


def _shown(message: tuple[Any, ...]) -> str:
    if message[0] == "key":
        return f"the key {NAMES[message[1]]}"
    if message[0] == "address":
        return str(message[1])
    kind = {0x90: "note", 0xA0: "pressure of note", 0xB0: "controller", 0xC0: "program", 0xD0: "channel pressure",
            0xE0: "pitch bend"}[message[0] & 0xF0]
    number = f" {message[1]}" if message[1] >= 0 else ""
    return f"{kind}{number} on channel {(message[0] & 15) + 1}"
