# SPDX-License-Identifier: GPL-3.0-or-later
"""Where in its profile a control and a binding stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from appliance.control.mapping.compile import Compiled
from appliance.control.mapping.controls import Control, Decoder, Touch
from appliance.control.mapping.profile import Source as From
from appliance.control.mapping.rules import Rule, fill_in
from appliance.control.mapping.selectors import NoSuchControl, parse_selector

if TYPE_CHECKING:
    from appliance.control.midi.watch import Line


@dataclass(frozen=True, slots=True)
class Place:
    """A binding in the file: its words and its line, from 1."""

    text: str
    line: int
    when: tuple[str, ...]


class Source:
    """A device's profile with its file. ``touch`` follows the device's messages: one for each device."""

    def __init__(self, device: str, compiled: Compiled, path: Path | None) -> None:
        self.device = device
        self.compiled = compiled
        self.profile = compiled.profile.name
        self.file = str(path) if path else ""
        used = dict.fromkeys((*compiled.rules, *compiled.layer_of))
        known = [(control, surface) for control, surface in _all(compiled) if control not in used]
        known += [(control, compiled.profile.surface[control[0]]) for control in used]
        self._decoder = Decoder(known)
        self._parts = {message for control, surface in known
                       for message in surface.fine_messages(control[1])
                       + (surface.messages(control[1]) if surface.source is From.CC14 else [])}
        self._parameters = any(surface.source in (From.NRPN, From.RPN) for _, surface in known)

    def touch(self, status: int, data1: int, data2: int) -> Touch | None:
        return self._decoder.feed(status, data1, data2)

    def is_part(self, status: int, data1: int) -> bool:
        """The half of a value, or the choice of a parameter."""
        chooses = self._parameters and status & 0xF0 == 0xB0 and data1 in (6, 38, 96, 97, 98, 99, 100, 101)
        return chooses or (status, data1) in self._parts

    def name(self, control: Control) -> str:
        surface = self.compiled.profile.surface[control[0]]
        return control[0] if surface.count == 1 else f"{control[0]} {control[1]}"

    def explain(self, line: Line, rule: Rule | None, touch: Touch | None) -> None:
        """Put the binding's words and line into ``line``."""
        if rule is None or touch is None:
            return
        place = self.place(touch.control, rule)
        if place is not None:
            line.binding, line.line = place.text, place.line

    def place(self, control: Control, rule: Rule) -> Place | None:
        """Where the binding stands that became this rule."""
        layers, member = dict(rule.layers), control[1]
        for selector, place in self._places:
            if control in selector.controls and selector.gesture is rule.gesture and len(selector.layers) == rule.weight \
                    and set(selector.layers) <= set(rule.layers) and selector.after_s == rule.after_s \
                    and tuple(fill_in(text, member, layers) for text in place.when) == tuple(text for text, _ in rule.when):
                return place
        return None

    @cached_property
    def _places(self) -> list[tuple[Any, Place]]:
        try:
            root = yaml.compose(Path(self.file).read_text(encoding="utf-8"), yaml.SafeLoader)
        except (OSError, ValueError, yaml.YAMLError):
            return []  # it has been changed since, or has gone
        found: list[tuple[Any, Place]] = []
        for text, node in _entries(root, "bindings"):
            try:
                selector = parse_selector(self.compiled.profile, text.value)
            except NoSuchControl:
                continue
            several = isinstance(node, yaml.SequenceNode)
            for one in node.value if several else [node]:
                when = tuple(key.value for key, _ in _entries(one, "when"))
                place = Place(text.value, (one if several else text).start_mark.line + 1, when)
                found.append((selector, place))
        return found


def _entries(node: Any, section: str) -> list[tuple[Any, Any]]:
    """The pairs of a section of a mapping."""
    if not isinstance(node, yaml.MappingNode):
        return []
    inner = next((value for key, value in node.value if key.value == section), None)
    return inner.value if isinstance(inner, yaml.MappingNode) else []


def _all(compiled: Compiled) -> list[tuple[Control, Any]]:
    return [((name, member), surface) for name, surface in compiled.profile.surface.items()
            for member in range(1, surface.count + 1)]


class Sources:
    """One of each device, for as long as its profile stays the same. ``path_of`` tells a profile's file."""

    def __init__(self, path_of: Callable[[Compiled], Path | None]) -> None:
        self._path_of = path_of
        self._known: dict[str, Source] = {}

    def of(self, device: str, compiled: Compiled) -> Source:
        source = self._known.get(device)
        if source is None or source.compiled is not compiled:
            source = self._known[device] = Source(device, compiled, self._path_of(compiled))
        return source
