# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a file that a person wrote, by file, line and column: ``appliance check``."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from appliance.config import Config
from appliance.errors import ApplianceError

SCENE_SUFFIXES = (".fs", ".frag", ".glsl", ".isf")


@dataclass(frozen=True)
class Finding:
    """One thing to say about a file; ``line`` and ``column`` count from 1 (0: none can be named)."""

    path: Path
    line: int
    column: int
    message: str
    warning: bool = False

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.path, self.line, self.column) if part)
        return f"{where}: {'warning: ' if self.warning else ''}{self.message}"


def check_file(path: Path) -> tuple[str, list[Finding]]:
    """``(kind of file, findings)``; the file is good when no finding is an error."""
    if not path.is_file():
        return "file", [Finding(path, 0, 0, "there is no such file" if not path.exists() else "is no file")]
    if path.suffix.lower() in SCENE_SUFFIXES:
        return "scene", _scene(path)
    try:
        text = path.read_text(encoding="utf-8")
        document = yaml.compose(text, yaml.SafeLoader)
        tree = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        return "file", [Finding(path, 0, 0, f"is no text (byte {error.start}): neither YAML nor a scene")]
    except OSError as error:
        return "file", [Finding(path, 0, 0, f"cannot be read: {error.strerror}")]
    except yaml.YAMLError as error:
        return "YAML", [_syntax(path, error)]
    kind = _kind_of(tree)
    doubled = [] if document is None else [
        Finding(path, *_place(key), f"{key.value} stands here twice; the last one would count") for key in _doubled(document)
    ]
    return kind, [*doubled, *_CHECKS[kind](path, tree, document)]


def _kind_of(tree: Any) -> str:
    """A session names its format, a profile its device, a file of events its events or clips; the rest is a config."""
    keys: set[Any] = set(tree) if isinstance(tree, dict) else set()
    if "session" in keys and not isinstance(tree["session"], dict | None):
        return "session"
    if keys & {"device", "surface", "bindings", "feedback"}:
        return "profile"
    return "events" if keys & {"events", "clips", "pads", "start_frame"} else "config"


def _syntax(path: Path, error: yaml.YAMLError) -> Finding:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        message = ", ".join(part for part in (error.context, error.problem) if part)
        return Finding(path, mark.line + 1 if mark else 0, mark.column + 1 if mark else 0, f"is not YAML: {message}")
    return Finding(path, 0, 0, f"is not YAML: {' '.join(str(error).split())}")


# -- the kinds


def _scene(path: Path) -> list[Finding]:
    from appliance.visuals.check import check_scene

    return [Finding(problem.file, problem.line, 0, f"{problem.message}; {problem.advice}", problem.severity != "error")
            for problem in check_scene(path)]


def _config(path: Path, tree: Any, document: yaml.Node | None) -> list[Finding]:
    if tree is not None and not isinstance(tree, dict):
        return [Finding(path, 1, 1, f"a config is a tree of sections (audio:, http:, …), not {type(tree).__name__}")]
    return list(_against(Config, path, tree or {}, document))


def _events(path: Path, tree: Any, document: yaml.Node | None) -> list[Finding]:
    from appliance.bus.eventfile import EventFile

    if findings := list(_against(EventFile, path, tree, document)):
        return findings
    file = EventFile.load(path)
    return [Finding(path, *_place(_node_at(document, ("clips", name))), f"clips.{name}: there is no file {file.path(clip)}")
            for name, clip in file.clips.items() if not file.path(clip).is_file()]


def _session(path: Path, tree: Any, document: yaml.Node | None) -> list[Finding]:
    from appliance.control.session.model import SCHEMA, SessionFile, read_session

    if isinstance(tree["session"], int) and tree["session"] <= SCHEMA and (
        findings := list(_against(SessionFile, path, tree, document))
    ):
        return findings
    try:
        _, remarks = read_session(path)
    except ApplianceError as error:
        return [Finding(path, *_place(_node_at(document, ("session",))), error.message.removeprefix(f"{path}: "))]
    return [Finding(path, 0, 0, remark.removeprefix(f"{path}: "), warning=True) for remark in remarks]


def _profile(path: Path, tree: Any, document: yaml.Node | None) -> list[Finding]:
    from appliance.control.mapping.check import check_profile

    return [Finding(path, problem.line, problem.column, problem.message, problem.warning) for problem in check_profile(path)]


_CHECKS: dict[str, Callable[[Path, Any, yaml.Node | None], list[Finding]]] = {
    "config": _config, "events": _events, "session": _session, "profile": _profile,
}


# -- a pydantic model's complaints at their place in the YAML text


def _against(model: type[BaseModel], path: Path, tree: Any, document: yaml.Node | None) -> Iterator[Finding]:
    try:
        model.model_validate(tree)
    except ValidationError as error:
        for fault in error.errors():
            place = fault["loc"]
            message = str(fault["msg"]).removeprefix("Value error, ")
            if fault["type"] == "extra_forbidden":
                message = f"there is no such setting{_meant(model, place)}"
            elif fault["type"] == "missing":
                message = "is missing"
            yield Finding(path, *_place(_node_at(document, place)), f"{'.'.join(str(part) for part in place)}: {message}")


def _meant(model: type[BaseModel], place: Sequence[str | int]) -> str:
    """``; did you mean …?`` among the names that the model takes there."""
    for part in place[:-1]:
        field = model.model_fields.get(str(part))
        inner = next((a for a in _classes(field.annotation) if issubclass(a, BaseModel)), None) if field else None
        if inner is None:
            return ""
        model = inner
    close = difflib.get_close_matches(str(place[-1]), list(model.model_fields), 1)
    return f"; did you mean {close[0]}?" if close else f"; here stand {', '.join(model.model_fields)}"


def _classes(annotation: Any) -> Iterator[type]:
    """The classes that an annotation names, also within ``list[…]`` and ``… | None``."""
    if isinstance(annotation, type):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _classes(inner)


def _node_at(document: yaml.Node | None, place: Iterable[str | int]) -> yaml.Node | None:
    """The key (or list item) at ``place``, or the nearest one above it that is there."""
    found = inside = document
    for part in place:
        if isinstance(inside, yaml.MappingNode):
            pair = next(((key, value) for key, value in inside.value if key.value == str(part)), None)
            if pair is None:
                break
            found, inside = pair
        elif isinstance(inside, yaml.SequenceNode) and isinstance(part, int) and part < len(inside.value):
            found = inside = inside.value[part]
        else:
            break
    return found


def _place(node: yaml.Node | None) -> tuple[int, int]:
    return (node.start_mark.line + 1, node.start_mark.column + 1) if node is not None else (0, 0)


def _doubled(node: yaml.Node) -> Iterator[yaml.Node]:
    """Keys that stand twice in one mapping."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key
            if isinstance(key.value, str):
                seen.add(key.value)
            yield from _doubled(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _doubled(item)
