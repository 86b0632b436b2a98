# SPDX-License-Identifier: GPL-3.0-or-later
"""The lint of profiles: what is wrong, in which line and column, and what was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from appliance.control.mapping.compile import Compiled, Misfit, compile_profile
from appliance.control.mapping.match import claims
from appliance.control.mapping.profile import Binding, Device, Feedback, Lamp, Layer, Profile, Surface
from appliance.errors import BadFile

FILE_BYTES = 512 * 1024
_SECTIONS: dict[str, type[BaseModel]] = {"device": Device, "surface": Surface, "layers": Layer, "bindings": Binding,
                                         "lamps": Lamp, "feedback": Feedback}
DEEPEST = 40
"""So deep are a profile's sections in each other at most; more is no profile, and would be too much for the reader's stack."""
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's reader, where it is there: shipped profiles are many, and are read whenever the box starts."""
Place = tuple[int, int]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault of a profile. ``line`` and ``column`` count from 1; a ``warning`` does not keep it from being used."""

    path: Path
    line: int
    column: int
    message: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.message}"


def check_profile(path: Path) -> list[Problem]:
    """Everything that is wrong with a profile, in the order of its lines; nothing when it is good."""
    _, problems = read_profile(path)
    return problems


def check_profiles(paths: Sequence[Path]) -> list[Problem]:
    """Every profile by itself, and two that claim the same device."""
    problems: list[Problem] = []
    good: list[tuple[Path, Compiled]] = []
    for path in paths:
        compiled, found = read_profile(path)
        problems += found
        if compiled is not None:
            good.append((path, compiled))
    for (first, a), (second, b) in combinations(good, 2):
        if first.name != second.name and (what := claims(a.profile.device, b.profile.device)):
            problems.append(Problem(second, 1, 1, f"claims {what}, which {first} claims too; take it out of one of the two"))
    return problems


def load_profile(path: Path) -> Compiled:
    """A profile ready for use. Raises :class:`BadFile` with the first problem and how many there are."""
    compiled, problems = read_profile(path)
    if compiled is None:
        more = f" (and {len(problems) - 1} more; `appliance check {path}` shows them)" if len(problems) > 1 else ""
        raise BadFile(f"{problems[0]}{more}")
    return compiled


def read_profile(path: Path) -> tuple[Compiled | None, list[Problem]]:
    """The compiled profile, or None and why not."""
    try:
        data = path.read_bytes()
        if len(data) > FILE_BYTES:
            raise ValueError(f"a profile of {len(data)} bytes; {FILE_BYTES} at most")
        text = data.decode("utf-8")
    except OSError as error:
        return None, [Problem(path, 1, 1, f"cannot be read: {error.strerror}")]
    except ValueError as error:
        return None, [Problem(path, 1, 1, f"cannot be read as text: {error}")]
    return read_profile_text(path, text)


def read_profile_text(path: Path, text: str) -> tuple[Compiled | None, list[Problem]]:
    """The same of a text that stands, or shall stand, in this file."""
    try:
        _check_depth(text)
        loader: Any = LOADER(text)
        root = loader.get_single_node()
        twice = list(_twice(root)) if root is not None else []
        tree = loader.construct_document(root) if root is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return None, [Problem(path, line, column, f"not YAML: {error.problem or error.context}")]
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        return None, [Problem(path, 1, 1, f"not YAML: {' '.join(str(error).split())[:200]}")]
    if not isinstance(tree, dict) or root is None:
        return None, [Problem(path, 1, 1, "a profile is a tree of sections: profile, name, device, surface, bindings, …")]
    return _judge(path, root, tree, twice)


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, LOADER):
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise ValueError("sections in sections, too deep")
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            depth -= 1


def _judge(
    path: Path, root: yaml.Node, tree: dict[Any, Any], twice: list[tuple[str, Place]],
) -> tuple[Compiled | None, list[Problem]]:
    problems = [Problem(path, *place, f"{name!r} is given twice; the second would win in silence") for name, place in twice]
    try:
        profile = Profile.model_validate(tree)
    except ValidationError as error:
        faults = [(fault, _written(root, [part for part in fault["loc"] if part != "[key]"])) for fault in error.errors()]
        for fault, where in faults:
            deeper = (other[: len(where)] == where for one, other in faults if one is not fault)
            if fault["type"] == "string_type" and any(deeper):
                continue  # it is of another form, and that is what is wrong with it
            place = _place(root, where, key=fault["type"] == "extra_forbidden")
            problems.append(Problem(path, *place, f"{_dotted(where)}: {_plain(fault, where)}"))
        return None, sorted(set(problems))

    misfits: list[Misfit] = []
    compiled = compile_profile(profile, misfits)
    problems += [Problem(path, *_place(root, _written(root, misfit.where), key=len(misfit.where) == 2), misfit.message)
                 for misfit in misfits]
    return (None if problems else compiled), sorted(set(problems))


def _written(root: yaml.Node, where: Sequence[Any]) -> tuple[Any, ...]:
    """``where`` without the numbers of lists that the file does not have: one binding is read as a list of one; and without the
    words that tell which of several forms was tried."""
    node: yaml.Node | None = root
    left: list[Any] = []
    for part in where:
        if isinstance(part, int) and not isinstance(node, yaml.SequenceNode):
            continue
        if isinstance(part, str) and re.fullmatch(r"(str|list\[.*\]|function-.*)", part):
            continue
        left.append(part)
        if isinstance(node, yaml.MappingNode):
            node = next((v for k, v in node.value if k.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
    return tuple(left)


def _plain(fault: Any, where: Sequence[Any]) -> str:
    """Pydantic's words in ours."""
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        return f"is no setting here{_meant(str(where[-1]), _settings(where)) or '; see docs/profiles.md'}"
    if fault["type"] in ("enum", "literal_error"):
        message += _meant(str(fault["input"]), re.findall(r"'([^']*)'", str(fault["ctx"]["expected"])))
    if fault["type"] == "missing":
        return "is missing"
    return message[0].lower() + message[1:]


def _settings(where: Sequence[Any]) -> list[str]:
    """The names that stand where this one does."""
    model = _SECTIONS.get(str(where[0]), Profile) if len(where) > 1 else Profile
    return [field.alias or name for name, field in model.model_fields.items()]


def _meant(word: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(names), 1)
    return f"; did you mean {close[0]}?" if close else ""


def _dotted(where: Sequence[Any]) -> str:
    return ".".join(str(part) for part in where) or "profile"


def _place(root: yaml.Node, where: Sequence[Any], *, key: bool = False) -> Place:
    """Line and column of the deepest part of ``where`` that stands in the file: of its value when that is a word or a number,
    else (or with ``key``) of its key."""
    node, mark = root, root.start_mark
    for part in where:
        if isinstance(node, yaml.MappingNode):
            pair = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if pair is None:
                break
            mark, node = pair[0].start_mark, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            mark = node.start_mark
        else:
            break
    if isinstance(node, yaml.ScalarNode) and not key:
        mark = node.start_mark
    return mark.line + 1, mark.column + 1


def _twice(node: yaml.Node, seen: set[int] | None = None) -> Iterator[tuple[str, Place]]:
    """Keys that a mapping has twice, anywhere in the file."""
    seen = set() if seen is None else seen
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        names: set[str] = set()
        for key, value in node.value:
            name = re.sub(r"\s+", " ", str(key.value))
            if name in names:
                yield name, (key.start_mark.line + 1, key.start_mark.column + 1)
            names.add(name)
            yield from _twice(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _twice(item, seen)
