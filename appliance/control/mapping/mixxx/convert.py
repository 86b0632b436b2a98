# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile from a Mixxx mapping, and a report of what could not be carried over, by reason."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import ValidationError

from appliance.control.mapping.controls import Control
from appliance.control.mapping.lights import PRESSED, make_light
from appliance.control.mapping.mixxx.keys import Here, Nothing, look_up
from appliance.control.mapping.mixxx.read import MixxxControl, MixxxMapping, MixxxOutput
from appliance.control.mapping.profile import Binding, Device, Feedback, Lamp, Profile, Surface
from appliance.control.mapping.rules import Refused, make_rules
from appliance.control.mapping.selectors import Selector
from appliance.errors import ApplianceError
from appliance.namespace import Kind, Type
from appliance.nodes import NAMESPACE

SCRIPT = "done by a script"
NO_KEY = "names no key"
TWICE = "the same message does something else already"
TWOS = frozenset({"diff", "selectknob", "hercjog", "hercjogfast"})
OFFSET = frozenset({"spread64", "rot64", "rot64inv", "rot64fast"})
SCRIPTS = frozenset({"script-binding", "script"})
_KINDS = {0x80: "note", 0x90: "note", 0xA0: "poly", 0xB0: "cc", 0xC0: "program", 0xD0: "pressure", 0xE0: "bend"}


@dataclass(slots=True)
class Report:
    """``carried`` and ``left`` count controls, ``lamps`` and ``dark`` outputs; what was left stands in them by reason.
    ``scripted`` are those that need Mixxx's scripts."""

    carried: int = 0
    scripted: int = 0
    left: Counter[str] = field(default_factory=Counter)
    lamps: int = 0
    dark: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    @property
    def plain(self) -> int:
        """Controls that need no script."""
        return self.carried + self.left.total()

    @property
    def outputs(self) -> int:
        return self.lamps + self.dark.total()

    def text(self) -> str:
        lines = [f"{self.carried} of {self.plain} controls and {self.lamps} of {self.outputs} lamps carried over"]
        if self.scripted:
            lines.append(f"  {self.scripted} more controls are {SCRIPT}, which means nothing here")
        for what, reasons in (("controls", self.left), ("lamps", self.dark)):
            lines += [f"  {count} {what} left out: {why} ({self.examples[f'{what}: {why}']})"
                      for why, count in reasons.most_common()]
        return "\n".join(lines) + "\n"

    def leave(self, what: str, reasons: Counter[str], why: str, one: MixxxControl | MixxxOutput) -> None:
        reasons[why] += 1
        self.examples.setdefault(f"{what}: {why}", f"{one.group} {one.key}")


@dataclass(slots=True)
class _Item:
    """A control of the new surface. ``message``: what a lamp would be found by."""

    name: str
    surface: dict[str, Any]
    message: tuple[int, int]
    targets: list[dict[str, Any]] = field(default_factory=list)
    count: int = 0


def convert(mapping: MixxxMapping) -> tuple[dict[str, Any], Report]:
    """The profile as a tree, and the report."""
    return _Converter(mapping).work()


class _Converter:
    def __init__(self, mapping: MixxxMapping) -> None:
        self._mapping = mapping
        self._report = Report()
        self._items: dict[tuple[Any, ...], _Item] = {}
        self._names: set[str] = set()
        self._lamps: dict[str, dict[str, Any]] = {}
        self._feedback: dict[str, Any] = {}

    def work(self) -> tuple[dict[str, Any], Report]:
        for control in self._mapping.controls:
            self._control(control)
        for output in self._mapping.outputs:
            self._output(output)
        author = self._mapping.author
        device = re.sub(r"\s+MIDI \d+$", "", self._mapping.device) or self._mapping.name
        tree: dict[str, Any] = {
            "profile": 1, "name": self._mapping.name[:80],
            "doc": f"From the Mixxx mapping {self._mapping.name!r}{f' by {author}' if author else ''}",
            "device": {"match": [device if len(device) > 1 else f"{device} device"]},
            "surface": {}, "bindings": {},
        }
        self._write_rows(tree)
        if self._lamps:
            tree["lamps"], tree["feedback"] = self._lamps, self._feedback
        return tree, self._report

    # -- controls

    def _control(self, control: MixxxControl) -> None:
        report = self._report
        if control.options & SCRIPTS:
            report.scripted += 1
            return
        if not control.key:
            report.leave("controls", report.left, NO_KEY, control)
            return
        here = look_up(control.group, control.key)
        if isinstance(here, Nothing) or not here.to:
            report.leave("controls", report.left, here.why if isinstance(here, Nothing) else "only a lamp shows it", control)
            return
        place, surface = self._source(control)
        name = _name(control)
        item = self._items.get(place)
        try:
            targets = self._targets(surface, control, here)
        except (Refused, ApplianceError, ValidationError) as error:
            report.leave("controls", report.left, _reason(error), control)
            return
        if item is None:
            number = surface.get("cc14") or surface.get("note") or surface.get("cc") or -1
            status = {"note": 0x90, "cc": 0xB0, "cc14": 0xB0}.get(place[0], 0) + (surface["channel"] - 1)
            item = self._items[place] = _Item(self._unique(name), surface, (status, int(number)))
        if "encoder" in surface and "encoder" not in item.surface and not item.targets:
            item.surface = surface
        if place[0] == "cc14" and control.options & {"fourteen-bit-lsb"}:
            item.surface["fine"] = control.number
        elif place[0] == "cc14":
            item.surface["cc14"] = control.number
        item.count += 1
        report.carried += 1
        for target in targets:
            if target not in item.targets:
                item.targets.append(target)

    def _source(self, control: MixxxControl) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What tells a control from the others, and its entry in the surface."""
        kind, channel = _KINDS[control.status & 0xF0], (control.status & 15) + 1
        if kind == "cc" and control.options & {"fourteen-bit-msb", "fourteen-bit-lsb"}:
            return ("cc14", channel, control.group, control.key), {"cc14": control.number, "channel": channel}
        if kind in ("bend", "pressure"):
            return (kind, channel), {kind: True, "channel": channel}
        surface: dict[str, Any] = {kind: control.number, "channel": channel}
        if kind == "cc" and control.options & (TWOS | OFFSET):
            surface["encoder"] = "twos" if control.options & TWOS else "offset"
        return (kind, channel, control.number), surface

    def _targets(self, surface: dict[str, Any], control: MixxxControl, here: Here) -> list[dict[str, Any]]:
        """The bindings as they would be written. Raises what makes them impossible."""
        settings = dict(here.settings)
        then = settings.pop("then", None)
        first: dict[str, Any] = {"to": here.to, **settings}
        node = NAMESPACE.find(here.to).node
        if "invert" in control.options:
            low, high = first.get("range") or (node.minimum, node.maximum)
            if node.type in (Type.FLOAT, Type.INT):
                first["range"] = [high, low]
        if "soft-takeover" in control.options and node.kind is Kind.VALUE and node.type is Type.FLOAT:
            first["takeover"] = "pickup"
        if node.kind is Kind.VALUE and node.type is Type.BOOL and "cc" in surface and "value" not in first:
            first["mode"] = "toggle"
        if "encoder" in surface:
            first = {name: value for name, value in first.items() if name in ("to", "range")}
        targets = [first] + ([{"to": then}] if then else [])
        model = Surface.model_validate(surface)
        stub = _stub({"it": model})
        for target in targets:
            make_rules(stub, Selector((), (("it", 1),)), Binding.model_validate(target), ("it", 1))
        return targets

    # -- lamps

    def _output(self, output: MixxxOutput) -> None:
        report = self._report
        here = look_up(output.group, output.key)
        feedback = _metered(output)
        if feedback is None:
            if isinstance(here, Nothing):
                report.leave("lamps", report.dark, here.why, output)
                return
            feedback = _shown(here)
        kind = "cc" if output.status & 0xF0 == 0xB0 else "note"
        message = (0xB0 if kind == "cc" else 0x90) + (output.status & 15), output.number
        feedback["lamp"] = self._lamp(output)
        item = next((one for one in self._items.values() if one.message == message), None)
        if item is None:
            surface = {kind: output.number, "channel": (output.status & 15) + 1}
            item = self._items[kind, message] = _Item(self._unique(f"{_name(output)} lamp"), surface, message)
        if item.name in self._feedback:
            if self._feedback[item.name] != feedback:
                report.leave("lamps", report.dark, TWICE, output)
            else:
                report.lamps += 1
            return
        try:
            lamp = Lamp.model_validate(self._lamps[feedback["lamp"]])
            stub = _stub({"it": Surface.model_validate(item.surface)}, {"it": lamp})
            make_light(stub, Selector((), (("it", 1),)), ("it", 1), Feedback.model_validate({**feedback, "lamp": "it"}))
        except (Refused, ApplianceError, ValidationError) as error:
            report.leave("lamps", report.dark, _reason(error), output)
            return
        self._feedback[item.name] = feedback
        report.lamps += 1

    def _lamp(self, output: MixxxOutput) -> str:
        wanted = {"kind": "one-colour", "lit": output.lit, "dark": output.dark}
        for name, lamp in self._lamps.items():
            if lamp == wanted:
                return name
        name = f"lamp {output.lit}" if output.dark == 0 else f"lamp {output.lit} {output.dark}"
        self._lamps[name] = wanted
        return name

    # -- the file

    def _unique(self, name: str) -> str:
        for number in range(1, 1000):
            tried = name if number == 1 else f"{name} {chr(96 + number)}" if number <= 26 else f"{name} x{number}"
            if tried not in self._names:
                self._names.add(tried)
                return tried
        raise Refused(f"{name}: more than a thousand of them")

    def _write_rows(self, tree: dict[str, Any]) -> None:
        """Controls one by one; those that count on from 1 in their names and addresses as a row."""
        rows: dict[tuple[Any, ...], list[tuple[int, _Item]]] = {}
        for item in self._items.values():
            if (found := _in_row(item, self._feedback)) is not None:
                rows.setdefault(found[0], []).append((found[1], item))
        in_rows: set[str] = set()
        for (name, kind, channel, *_), members in rows.items():
            members.sort(key=lambda member: member[0])
            if [number for number, _ in members] != list(range(1, len(members) + 1)) or len(members) < 2 or name in self._names:
                continue
            in_rows |= {item.name for _, item in members}
            tree["surface"][name] = {kind: [item.surface[kind] for _, item in members], "channel": channel}
            first = members[0][1]
            if first.targets:
                tree["bindings"][name] = _short([_with_n(target) for target in first.targets])
            if first.name in self._feedback:
                feedback = self._feedback[first.name]
                for _, item in members:
                    self._feedback.pop(item.name)
                self._feedback[name] = feedback | {"shows": _with_n({"to": feedback["shows"]})["to"]}
        for item in self._items.values():
            if item.name not in in_rows:
                tree["surface"][item.name] = item.surface
                if item.targets:
                    tree["bindings"][item.name] = _short(item.targets)


def _stub(surface: dict[str, Surface], lamps: dict[str, Lamp] | None = None) -> Profile:
    return Profile.model_construct(
        profile=1, name="stub", device=Device.model_validate({"match": ["stub"]}), surface=surface, layers={}, takeover=None,
        bindings={}, lamps=lamps or {}, feedback={},
    )


def _name(one: MixxxControl | MixxxOutput) -> str:
    """``deck 1 hotcue 3`` for ``[Channel1] hotcue_3_activate``."""
    group = re.sub(r"\[channel(\d+)\]", r"deck \1", one.group.lower())
    group = re.sub(r"\[(master|playlist|library)\]", "", group)
    group = re.sub(r"(equalizer|quickeffect)rack1_|_effect1\b", "", group)
    key = re.sub(r"_(activate|toggle|enabled|gotoandplay)$", "", one.key)
    key = re.sub(r"(?<=[a-z])([A-Z])", lambda found: f" {found[1]}", key)
    words = re.sub(r"[^a-z0-9]+", " ", f"{group} {key}".lower()).split()
    name = " ".join(words) or "control"
    return name if name[0].isalpha() else f"control {name}"


def _metered(output: MixxxOutput) -> dict[str, Any] | None:
    """Of a lamp of a level meter: from where on it is lit."""
    if not re.fullmatch(r"VuMeter[LR]?|PeakIndicator", output.key):
        return None
    if found := re.fullmatch(r"\[channel([1-4])\]", output.group.lower()):
        meter = f"/channel/{found[1]}/meter"
    elif output.group.lower() == "[master]":
        meter = "/mixer/meter/right" if output.key.endswith("R") else "/mixer/meter/left"
    else:
        return None
    return {"shows": meter, "above": 1.0 if output.key == "PeakIndicator" else round(output.minimum, 4)}


def _shown(here: Here) -> dict[str, Any]:
    """What has no state is lit while it is pressed."""
    if not here.shows:
        return {"shows": PRESSED}
    feedback: dict[str, Any] = {"shows": here.shows}
    if here.equals is not None:
        feedback["equals"] = here.equals
    if here.shows.endswith("/at"):  # of a hot cue: below 0 where there is none
        feedback["above"] = -0.5
    return feedback


def _reason(error: Exception) -> str:
    """The kind of refusal: its words without the addresses."""
    if isinstance(error, ValidationError):
        return str(error.errors()[0]["msg"]).removeprefix("Value error, ")
    text = error.message if isinstance(error, ApplianceError) else str(error)
    return re.sub(r"/[a-z][\w/+]*", "it", text).split(";")[0]


_LAST = re.compile(r"/(\d+)(?=/[^/\d]*$|$)")


def _with_n(target: dict[str, Any]) -> dict[str, Any]:
    return {**target, "to": _LAST.sub("/N", target["to"], count=1)}


def _in_row(item: _Item, feedback: dict[str, Any]) -> tuple[tuple[Any, ...], int] | None:
    """What its row has in common, and its number in it; None for what is in none."""
    found = re.fullmatch(r"(.+) (\d+)", item.name)
    kind = next((kind for kind in ("note", "cc") if kind in item.surface), None)
    shown = feedback.get(item.name)
    texts = [target["to"] for target in item.targets] + ([shown["shows"]] if shown else [])
    if not found or kind is None or "encoder" in item.surface or not texts:
        return None
    if any((last := _LAST.search(text)) is None or last[1] != found[2] for text in texts):
        return None
    alike = yaml.safe_dump([[_with_n(target) for target in item.targets],
                            shown and {**shown, "shows": _LAST.sub("/N", shown["shows"], count=1)}])
    return (found[1], kind, item.surface["channel"], alike), int(found[2])


def _short(targets: list[dict[str, Any]]) -> Any:
    """As a person would write it."""
    written = [target["to"] if set(target) == {"to"} else target for target in targets]
    return written[0] if len(written) == 1 else {"to": written}


class _Flow(yaml.SafeDumper):
    """Sections as blocks, what stands in them on one line."""

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        flat = all(not isinstance(value, dict) for value in mapping.values())
        return super().represent_mapping(tag, mapping, flow_style=flat and "profile" not in mapping)


def profile_text(tree: dict[str, Any], report: Report) -> str:
    """The file, with the report as a comment at its end."""
    body = yaml.dump(tree, Dumper=_Flow, sort_keys=False, allow_unicode=True, width=120)
    told = "".join(f"# {line}\n" for line in report.text().splitlines())
    return f"# yaml-language-server: $schema=profile.schema.json\n{body}\n{told}"


__all__ = ["Control", "Report", "convert", "profile_text"]
