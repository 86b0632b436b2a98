# SPDX-License-Identifier: GPL-3.0-or-later
"""A learned control put into the text of a profile, as a person would put it there: comments, order and names stay; equal
controls become a row; a row of which one control learns something else keeps the rest."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from ruamel.yaml.tokens import CommentToken

from appliance.control.learn.naming import control_name
from appliance.control.learn.recognise import Form, Learned
from appliance.control.learn.yamltext import again, dump, flow, load, numbers_of, put, runs, value_of
from appliance.control.mapping.check import read_profile_text
from appliance.control.mapping.controls import Control
from appliance.control.mapping.profile import Profile, Source, Surface
from appliance.control.mapping.rules import fill_in, number_in
from appliance.control.mapping.selectors import Gesture, NoSuchControl, Selector, parse_selector
from appliance.errors import BadFile

HEADER = """\
# yaml-language-server: $schema=profile.schema.json
# Begun by learning on the box. Change what you like: it is in force half a second after it is saved (docs/profiles.md).
"""
KEPT_FROM = "# The rest comes from the profile of all devices that have none, so that what played goes on playing.\n"


@dataclass(frozen=True, slots=True)
class Lesson:
    """``layers``: those that were on, with their values; ``binding``: an address, or one with settings; ``name``: the wish."""

    learned: Learned
    target: str
    binding: Any
    layers: tuple[tuple[str, int], ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    text: str
    control: str
    selector: str


def new_profile(device: str, like: str | None) -> str:
    """An empty profile for a device; ``like``: the text of the profile that it played by, whose controls stay."""
    quoted = '"' + device.replace("\\", "").replace('"', "") + '"'
    head = f"profile: 1\nname: {quoted}\n"
    if like is None:
        return f"{HEADER}{head}\ndevice:\n  match: [{quoted}]\n\nsurface: {{}}\n\nbindings: {{}}\n"
    body = re.sub(r"\A(?:#[^\n]*\n|\s*\n)*", "", like)
    tree = load(body)
    tree["name"] = DoubleQuotedScalarString(device)
    tree.pop("doc", None)
    match = CommentedSeq([DoubleQuotedScalarString(device)])
    match.fa.set_flow_style()
    tree["device"] = CommentedMap(match=match)
    text = dump(tree)
    for section in ("device", "surface", "bindings"):
        text = re.sub(rf"\n*^{section}:", f"\n\n{section}:", text, count=1, flags=re.MULTILINE)
    return HEADER + KEPT_FROM + text


def write(text: str, lesson: Lesson, path: Path) -> Written:
    """The new text. Raises :class:`BadFile` when the old one has a fault, or the new one would."""
    profile = _read(text, path, "it cannot learn until that is mended")
    tree = load(text)
    for section in ("surface", "bindings"):
        if not isinstance(tree.get(section), CommentedMap):
            tree[section] = CommentedMap()
        tree[section].fa.set_block_style()
    name, member, selector = _place(tree, profile, lesson)
    wheel = lesson.learned.touch
    if wheel is not None and lesson.target.endswith("/jog/turn"):
        profile = _read(dump(tree), path, "")
        touch = Learned(Form.BUTTON, {"note": wheel.number} | ({"channel": wheel.channel} if wheel.channel > 1 else {}),
                        frozenset({wheel}), 0.0, 0.0, 1.0)
        address = lesson.target.removesuffix("turn") + "touch"
        _place(tree, profile, Lesson(touch, address, address, lesson.layers))
    new = dump(tree)
    _read(new, path, "nothing was learned")
    count = Surface.model_validate(dict(tree["surface"][name])).count
    return Written(new, name if count == 1 else f"{name} {member}", selector)


def _read(text: str, path: Path, goes_on: str) -> Profile:
    compiled, problems = read_profile_text(path, text)
    if compiled is None:
        raise BadFile(f"{problems[0]}; {goes_on}")
    return compiled.profile


def _place(tree: CommentedMap, profile: Profile, lesson: Lesson) -> tuple[str, int, str]:
    """Name it and bind it; the control's name, its number and the binding's key."""
    control = _known(profile, lesson.learned)
    for other in list(_overlapping(profile, lesson.learned)):
        if other != control:  # it hears the same messages and takes them for something else
            _unbind(tree, profile, other, None)
            _forget(tree, profile, other[0])
    if control is None:
        grown = _grow(tree, profile, lesson)
        if grown is not None:
            return grown
        taken = {*tree["surface"], *profile.layers}
        name = control_name(lesson.name, lesson.target, lesson.learned.form, taken)
        put(tree["surface"], name, flow(lesson.learned.surface | _per_turn(lesson)))
        _comment(tree["surface"], name, lesson.learned)
        control = name, 1
    else:
        _unbind(tree, profile, control, lesson.layers)
        if _per_turn(lesson) and profile.surface[control[0]].count == 1:
            tree["surface"][control[0]].update(_per_turn(lesson))
    count = profile.surface[control[0]].count if control[0] in profile.surface else 1
    key = " + ".join((*_layer_words(profile, lesson.layers), control[0] if count == 1 else f"{control[0]} {control[1]}"))
    put(tree["bindings"], key, value_of(lesson.binding), after=lambda text: _is_of(profile, text, control[0]))
    return control[0], control[1], key


def _per_turn(lesson: Lesson) -> dict[str, int]:
    if lesson.learned.form is Form.JOG and lesson.target.endswith("/jog/turn") and lesson.learned.turned:
        return {"per_turn": _round_turn(lesson.learned.turned)}
    return {}


def _round_turn(counted: int) -> int:
    """A hand stops a little before or after the full turn: the number that wheels have."""
    usual = (24, 32, 48, 64, 96, 128, 192, 256, 360, 384, 512, 600, 720, 768, 1000, 1024, 1200, 1440, 2048, 3600, 4096)
    nearest = min(usual, key=lambda number: abs(number - counted))
    return nearest if abs(nearest - counted) <= 0.06 * nearest else counted


def _comment(section: CommentedMap, name: str, learned: Learned) -> None:
    said = []
    if learned.doubt:
        said.append(learned.doubt)
    if "per_turn" in section[name]:
        said.append(f"{learned.turned} ticks counted for a full turn")
    if not learned.released and learned.form is Form.BUTTON:
        said.append("tells no release: switches by itself")
    if said:
        section.yaml_add_eol_comment("; ".join(said), name)


def _layer_words(profile: Profile, layers: Iterable[tuple[str, int]]) -> list[str]:
    return [name if profile.layers[name].way in ("hold", "toggle") else f"{name} {value}" for name, value in layers]


def _is_of(profile: Profile, text: str, name: str) -> bool:
    try:
        return any(control[0] == name for control in parse_selector(profile, text).controls)
    except NoSuchControl:
        return False


# -- what the profile has already

def _messages(surface: Surface, member: int) -> set[Any]:
    if surface.source in (Source.NRPN, Source.RPN):
        number = getattr(surface, surface.source.value)[member - 1]
        return {(surface.source, channel, number) for channel in surface.channel}
    return {*surface.messages(member), *surface.fine_messages(member)}


def _of(learned: Learned) -> tuple[Surface, set[Any]]:
    surface = Surface.model_validate(learned.surface)
    return surface, _messages(surface, 1)


def _overlapping(profile: Profile, learned: Learned) -> Iterable[Control]:
    _, messages = _of(learned)
    for name, surface in profile.surface.items():
        for member in range(1, surface.count + 1):
            if _messages(surface, member) & messages:
                yield name, member


def _known(profile: Profile, learned: Learned) -> Control | None:
    """The control of the surface that says the same in the same way."""
    new, messages = _of(learned)
    for control in _overlapping(profile, learned):
        old = profile.surface[control[0]]
        if (old.source, old.encoder, old.fine_first) == (new.source, new.encoder, new.fine_first) \
                and messages <= _messages(old, control[1]):
            return control
    return None


# -- bindings taken away

def _unbind(tree: CommentedMap, profile: Profile, control: Control, layers: tuple[tuple[str, int], ...] | None) -> None:
    """Take the control out of the bindings for a press in these layers (None: out of all, and out of the lamps)."""
    sections = ("bindings",) if layers is not None else ("bindings", "feedback")
    for section in sections:
        entries = tree.get(section)
        for text in list(entries) if isinstance(entries, CommentedMap) else ():
            try:
                selector = parse_selector(profile, text)
            except NoSuchControl:
                continue
            if control not in selector.controls:
                continue
            if layers is not None and (selector.gesture is not Gesture.PRESS or set(selector.layers) != set(layers)):
                continue
            _split(entries, text, selector, control)


def _forget(tree: CommentedMap, profile: Profile, name: str) -> None:
    """A control that has been taken for something else, and is named nowhere any more."""
    section = tree["surface"]
    if profile.surface[name].count > 1 or name not in section or _named_elsewhere(tree, profile, name, ""):
        return
    at = list(section).index(name)
    comment = section.ca.items.pop(name, None)
    del section[name]
    if comment is not None and comment[2] is not None and at:
        before, (_, _, rest) = list(section)[at - 1], comment[2].value.partition("\n")
        if before not in section.ca.items and rest.strip(" ") != "":
            section.ca.items[before] = [None, None, CommentToken("\n" + rest, comment[2].start_mark, None), None]


def _split(entries: CommentedMap, text: str, selector: Selector, control: Control) -> None:
    """The other controls of the binding keep it."""
    value, at = entries[text], list(entries).index(text)
    numbers = [member for _, member in selector.controls if member != control[1]]
    head = "".join(f"{part.strip()} + " for part in text.split("+")[:-1])
    tail = (found[0] if (found := re.search(r" (held|double)( [\d.]+)?$", text)) else "")
    keys = [f"{head}{control[0]} {first}{f'..{last}' if last > first else ''}{tail}" for first, last in runs(numbers)]
    comment = entries.ca.items.pop(text, None)
    del entries[text]
    for offset, key in enumerate(keys):
        entries.insert(at + offset, key, value if offset == 0 else again(value))
    if comment is not None:
        home = keys[-1] if keys else (list(entries)[at - 1] if at else None)
        if home is not None and home not in entries.ca.items:
            entries.ca.items[home] = comment


# -- rows

def _grow(tree: CommentedMap, profile: Profile, lesson: Lesson) -> tuple[str, int, str] | None:
    """The control as the next of a row that does the same for the number before: ``fader 3`` after ``fader 2``."""
    new, _ = _of(lesson.learned)
    if lesson.name and lesson.name not in profile.surface:
        return None
    for key, value in tree["bindings"].items():
        try:
            selector = parse_selector(profile, key)
        except NoSuchControl:
            continue
        name = selector.controls[0][0]
        row = profile.surface[name]
        if selector.gesture is not Gesture.PRESS or set(selector.layers) != set(lesson.layers) \
                or len(selector.controls) != row.count or not _alike(row, new) or _named_elsewhere(tree, profile, name, key):
            continue
        template = _next(value, row.count, value_of(lesson.binding))
        if template is None:
            continue
        field = "channel" if "bend" in lesson.learned.surface or "pressure" in lesson.learned.surface else new.source.value
        numbers = row.channel if field == "channel" else getattr(row, field)
        tree["surface"][name][field] = numbers_of([*numbers, *getattr(new, field)])
        tree["bindings"][key] = template
        return name, row.count + 1, key
    return None


def _alike(row: Surface, new: Surface) -> bool:
    """Of one make, but for the number."""
    by_channel = new.source in (Source.BEND, Source.PRESSURE)
    same_place = by_channel or row.channel == new.channel
    return same_place and row.fine is None and row.per_turn is None \
        and (row.source, row.encoder, row.fine_first) == (new.source, new.encoder, new.fine_first)


def _named_elsewhere(tree: CommentedMap, profile: Profile, name: str, key: str) -> bool:
    """Whether the row has other bindings, lamps or layers, which would get the new control as well."""
    texts = [text for section in ("bindings", "feedback") for text in (tree.get(section) or ()) if text != key]
    texts += [text for layer in profile.layers.values() if (text := getattr(layer, layer.way))]
    return any(re.search(rf"(^|\+ ?){re.escape(name)}( |$)", " ".join(text.split())) for text in texts)


def _next(value: Any, count: int, new: Any) -> Any:
    """The row's binding, if ``new`` is what it means for the number ``count + 1``; None when it is not."""
    if isinstance(value, str) != isinstance(new, str):
        return None
    if isinstance(value, str):
        return _next_text(value, count, new)
    if not isinstance(value, CommentedMap) or set(value) != set(new) or not isinstance(value.get("to"), str):
        return None
    to = _next_text(value["to"], count, new["to"])
    if to is None or any(number_in(value[name], count + 1) != new[name] for name in value if name != "to"):
        return None
    value["to"] = to
    return value


def _next_text(template: str, count: int, address: str) -> str | None:
    if "{" in template:
        return None
    if count == 1 and not re.search(r"/N([+-]\d+)?(/|$)", template):
        before, after = re.split(r"(\d+)", template), re.split(r"(\d+)", address)
        differ = [at for at in range(len(before)) if at < len(after) and before[at] != after[at]]
        if len(before) != len(after) or len(differ) != 1 or not before[differ[0]].isdigit():
            return None
        first, second = int(before[differ[0]]), int(after[differ[0]])
        whole = before[differ[0] - 1].endswith("/") and (differ[0] + 1 == len(before) or before[differ[0] + 1][:1] in ("/", ""))
        if second != first + 1 or not whole:
            return None
        before[differ[0]] = "N" if first == 1 else f"N{first - 1:+d}"
        return "".join(before)
    return template if "/N" in template and fill_in(template, count + 1) == address else None
