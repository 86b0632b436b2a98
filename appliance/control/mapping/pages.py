# SPDX-License-Identifier: GPL-3.0-or-later
"""A page for each profile: the device as it lies before you, and what every control does in every layer.

``python -m appliance.control.mapping.pages docs/controllers`` writes the pages of the shipped profiles and their index;
``--check`` tells whether they are current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from appliance.control.mapping.check import load_profile
from appliance.control.mapping.compile import Compiled
from appliance.control.mapping.controls import Control
from appliance.control.mapping.library import shipped_folder
from appliance.control.mapping.picture import Place, picture_controls
from appliance.control.mapping.profile import Binding, DeviceKind, Feedback, Layer, Mode, Profile
from appliance.control.mapping.roles import FOCUS
from appliance.control.mapping.rules import fill_in, number_in
from appliance.control.mapping.selectors import Gesture, Selector, layer_controls, layer_values

Layers = tuple[tuple[str, int], ...]
WAYS = {"hold": "while held: {}", "toggle": "switches {}", "choose": "chooses {}", "cycle": "next {}"}
MADE = "Made from `mappings/{}` by `make pages`; do not edit."


def page(path: Path, compiled: Compiled) -> str:
    """The whole page of a profile."""
    profile = compiled.profile
    rows = [picture_controls(profile, text) for text in profile.picture or profile.surface]  # without one, row by row
    said = _said(compiled)
    parts = [f"# {profile.name}", "", MADE.format(path.name), "", _doc(profile.doc), "",
             _device(profile), "", "## The picture", "", "Each place: the control, and what it does. ○ has a lamp.", "",
             *_table(compiled, rows, said.get((), {}), base=True)]
    for layers in sorted((key for key in said if key), key=lambda key: _order(profile, key)):
        parts += ["", f"### {_layers_words(profile, layers)}", "", "Where nothing stands, it is as above.", "",
                  *_table(compiled, rows, said[layers], base=False)]
    parts += ["", *_lamps(compiled)]
    return "\n".join(parts).rstrip() + "\n"


def index(profiles: Iterable[tuple[Path, Profile]]) -> str:
    """The list of all pages."""
    rows = []
    for path, profile in profiles:
        names = ", ".join(f"`{name}`" for name in profile.device.match) or "every other port"
        rows.append(f"| [{profile.name}]({path.stem}.md) | {names} | {_kinds(profile)} |")
    head = "Made from `mappings` by `make pages`; do not edit. How to make one: [profiles](../profiles.md)."
    return "\n".join(["# Controllers", "", head, "", "| device | name of its port | lamps |", "|---|---|---|", *rows]) + "\n"


def pages(folder: Path) -> dict[str, str]:
    """All pages by their file's name. Raises :class:`BadFile`."""
    compiled = {path: load_profile(path) for path in sorted(folder.glob("*.yaml"))}
    return {f"{path.stem}.md": page(path, one) for path, one in compiled.items()} | {
        "README.md": index((path, one.profile) for path, one in compiled.items())}


# -- what is said of a control


def _said(compiled: Compiled) -> dict[Layers, dict[Control, list[str]]]:
    """Lines by layers and control."""
    found: dict[Layers, dict[Control, list[str]]] = {}
    for one in compiled.said:
        key = tuple(sorted(one.selector.layers))
        found.setdefault(key, {}).setdefault(one.control, []).append(
            _gesture(one.selector) + _words(compiled.profile, one.control, one.binding))
    return found


def _gesture(selector: Selector) -> str:
    match selector.gesture:
        case Gesture.HELD:
            return f"{selector.after_s:g} s: "
        case Gesture.DOUBLE:
            return "twice: "
        case _:
            return ""


def _words(profile: Profile, control: Control, binding: Binding) -> str:
    member = control[1]
    if (message := binding.midi or binding.osc) is not None:
        return f"sends {message}"
    if isinstance(binding.to, list):
        return " and ".join(_words(profile, control, one) for one in binding.to)
    if binding.to == FOCUS:
        return "its settings"
    text = _address(str(binding.to), member)
    if binding.values:
        text += f" {_value(binding.values[(member - 1) % len(binding.values)])}"
    elif "value" in binding.model_fields_set and binding.value is not None:
        value = number_in(binding.value, member)
        value = fill_in(value, member) if isinstance(value, str) else value
        text += f" {value:+g}" if binding.mode is Mode.STEP else f" {_value(value)}"
    if binding.when:
        text += " when " + ", ".join(f"{_address(at, member)} is {_value(value)}" for at, value in binding.when.items())
    return text


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value).strip("/").replace("/", " ")


def _address(template: str, member: int) -> str:
    """``/channel/N/kill/low`` of the third control: channel 3 kill low."""
    return fill_in(template, member).strip("/").replace("/", " ")


# -- the picture


def _table(compiled: Compiled, rows: list[list[Place]], said: dict[Control, list[str]], *, base: bool) -> list[str]:
    width = max(len(row) for row in rows)
    shown = {control for _, control, _ in compiled.shown}
    out = ["|" + " |" * width, "|" + "---|" * width]
    for row in rows:
        cells = [_cell(compiled, place, said, shown, base=base) for place in row]
        if base or any(cells):
            out.append("| " + " | ".join(cells + [""] * (width - len(cells))) + " |")
    return out


def _cell(compiled: Compiled, place: Place, said: dict[Control, list[str]], shown: set[Control], *, base: bool) -> str:
    parts: list[str] = []
    for control in place:
        lines = list(said.get(control, []))
        if base and control in compiled.layer_of:
            name, number = compiled.layer_of[control]
            lines.insert(0, _layer_words(compiled.profile, name, number))
        if not lines and (not base or control in shown):
            continue
        lamp = " ○" if base and control in shown else ""
        parts.append(f"**{_named(compiled.profile, control)}**{lamp}<br>{'<br>'.join(lines) or 'free'}")
    return "<br>".join(parts)


def _named(profile: Profile, control: Control) -> str:
    return control[0] if profile.surface[control[0]].count == 1 else f"{control[0]} {control[1]}"


def _layer_words(profile: Profile, name: str, number: int) -> str:
    layer: Layer = profile.layers[name]
    value = layer_values(profile, name)[number] if layer.way == "choose" else ""
    return WAYS[layer.way].format(f"{name} {value}".strip())


def _layers_words(profile: Profile, layers: Layers) -> str:
    words = []
    for name, value in layers:
        layer = profile.layers[name]
        buttons = " / ".join(dict.fromkeys(_named(profile, control) for control in layer_controls(profile, name)))
        match layer.way:
            case "hold":
                words.append(f"{name}: {buttons} is held")
            case "toggle":
                words.append(f"{name}: {buttons} was pressed")
            case _:
                words.append(f"{name} is {value}")
    return " and ".join(words)


def _order(profile: Profile, layers: Layers) -> tuple[int, list[tuple[int, int]]]:
    names = list(profile.layers)
    return len(layers), sorted((names.index(name), value) for name, value in layers)


# -- the rest of the page


def _doc(doc: str) -> str:
    """Indented lines are a table of their own, as Markdown has it: four spaces."""
    return "\n".join(f"  {line}" if line.startswith("  ") else line for line in doc.strip().splitlines())


def _device(profile: Profile) -> str:
    names = ", ".join(f"`{name}`" for name in profile.device.match) or "every port that no other profile claims"
    of = "its own name" if profile.device.kind is DeviceKind.KEYS else "its port's name"
    lines = [f"Recognised by {of}: {names}."]
    if profile.init:
        lines.append(f"When it comes, the box sends {len(profile.init)} message{'s' * (len(profile.init) > 1)} to set it up"
                     + (", and sets it back when it lets it go." if profile.exit else "."))
    return " ".join(lines)


def _kinds(profile: Profile) -> str:
    words = {"one-colour": "one colour", "palette": "palette", "numbers": "colours", "rgb": "full colour", "ring": "rings",
             "meter": "meters"}
    return ", ".join(dict.fromkeys(words[lamp.kind] for lamp in profile.lamps.values())) or "none"


def _lamps(compiled: Compiled) -> list[str]:
    """What the lamps show, a line for each entry of the profile."""
    lines: dict[str, list[str]] = {}
    for selector, control, feedback in compiled.shown:
        text = _shown_words(selector, feedback)
        lines.setdefault(text, []).append(_named(compiled.profile, control))
    if not lines:
        return []
    rows = [f"| {_range(names)} | {text} |" for text, names in lines.items()]
    language = "`/pad/N`, `/deck/N` and `/scene/N` speak the [LED language](../profiles.md#lamps-and-feedback)."
    return ["## The lamps", "", language, "", "| lamp | shows |", "|---|---|", *rows]


def _shown_words(selector: Selector, feedback: Feedback) -> str:
    layers = " and ".join(f"{name} {value}" if value != 1 else name for name, value in selector.layers)
    text = "its key is down" if feedback.shows == "pressed" else f"`{feedback.shows}`"
    if feedback.equals is not None:
        text += f" is {_value(feedback.equals)}"
    if feedback.above is not None:
        text += f" is above {feedback.above:g}"
    if feedback.colour != "white":
        text += f", {feedback.colour}"
    return f"in {layers}: {text}" if layers else text


def _range(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    folder = Path(next(argument for argument in arguments if not argument.startswith("-")))
    wanted = pages(shipped_folder())
    if check:
        there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
        stale = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
        if stale:
            print(f"{folder}: {', '.join(stale)} not current; `make pages` writes them", file=sys.stderr)
        return 1 if stale else 0
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.md"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
