# SPDX-License-Identifier: GPL-3.0-or-later
"""The comment at the top of an ISF file: a scene's inputs, passes, buffers and pictures, versions 1 and 2 of the format.

Scene files in the wild are written by hand: trailing commas, `1` for true, numbers as text. All of that is read; what
cannot be shown is refused with the line it stands on.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import json5
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from appliance.visuals.isf.errors import SceneError
from appliance.visuals.isf.expression import Expression, ExpressionError
from appliance.visuals.isf.expression import parse as parse_expression

MAX_HEADER = 200_000
MAX_INPUTS = 256
MAX_PASSES = 32
MAX_SOUND_WIDTH = 2048
"""Largest width of a sound texture; the analysis has no more than this to tell."""

InputType = Literal["float", "bool", "event", "long", "color", "point2D", "image", "audio", "audioFFT"]
_TYPES: dict[str, InputType] = {
    name.lower(): name for name in ("float", "bool", "event", "long", "color", "point2D", "image", "audio", "audioFFT")
}
_IDENTIFIER = re.compile(r"[A-Za-z_]\w{0,62}\Z")
_OPENING = re.compile(r"/\*")


def _truth(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in ("1", "true", "yes", "on")
    return bool(value)


def _text(value: Any) -> Any:
    return "" if value is None else str(value)


def _number(value: Any) -> float:
    first: Any = value[0] if isinstance(value, list) and value else value
    try:
        number = float(first)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{str(value)[:40]!r} is no number") from None
    if not math.isfinite(number):
        raise ValueError("a number must be finite")
    return number


def _whole(value: Any) -> int:
    """A number as the 32-bit integer that a shader has."""
    return max(-(2**31), min(2**31 - 1, int(_number(value))))


def _numbers(value: Any) -> tuple[float, ...]:
    return tuple(_number(v) for v in (value if isinstance(value, list) else [value]))


def _identifier(value: Any) -> str:
    name = str(value).strip()
    if not _IDENTIFIER.match(name) or name.startswith("gl_"):
        raise ValueError(
            f"'{name[:40]}' is no name a shader can use (letters, digits, _; not starting with a digit or gl_)"
        )
    return name


Truth = Annotated[bool, BeforeValidator(_truth)]
Text = Annotated[str, BeforeValidator(_text)]
Name = Annotated[str, BeforeValidator(_identifier)]


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _upper_case(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            raise ValueError(f"expected {{…}}, found {type(data).__name__}")
        return {str(key).upper(): value for key, value in data.items()}


class Input(_Lenient):
    """One control of a scene. `default` fits `type`: a number, bool, 4 colours 0…1 (RGBA), 2 coordinates, or None.

    `minimum` and `maximum` bound a float or long; for a sound texture `maximum` is its width in samples or bins, 0 for
    the usual one.
    """

    name: Name = Field(alias="NAME")
    type: InputType = Field(alias="TYPE")
    label: Text = Field("", alias="LABEL")
    default: Any = Field(None, alias="DEFAULT")
    minimum: Any = Field(None, alias="MIN")
    maximum: Any = Field(None, alias="MAX")
    values: tuple[int, ...] = Field((), alias="VALUES")
    labels: tuple[Text, ...] = Field((), alias="LABELS")

    @field_validator("type", mode="before")
    @classmethod
    def _known_type(cls, value: Any) -> InputType:
        known = _TYPES.get(str(value).strip().lower())
        if known is None:
            raise ValueError(f"'{value}' is no type of input; it is one of {', '.join(_TYPES.values())}")
        return known

    @field_validator("values", mode="before")
    @classmethod
    def _whole_values(cls, value: Any) -> tuple[int, ...]:
        return tuple(_whole(v) for v in value) if isinstance(value, list) else ()

    @field_validator("labels", mode="before")
    @classmethod
    def _label_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else ()

    @model_validator(mode="after")
    def _settle(self) -> Input:
        getattr(self, f"_settle_{self.type.lower()}", self._settle_texture)()
        return self

    def _settle_float(self) -> None:
        low = 0.0 if self.minimum is None else _number(self.minimum)
        high = max(low, 1.0) if self.maximum is None else _number(self.maximum)
        if low > high:
            low, high = high, low
        default = (low + high) / 2 if self.default is None else _number(self.default)
        self.minimum, self.maximum, self.default = low, high, default

    def _settle_long(self) -> None:
        first = self.values[0] if self.values else 0
        self.default = first if self.default is None else _whole(self.default)
        bounds = self.values or (self.default,)
        self.minimum = min(bounds) if self.minimum is None else _whole(self.minimum)
        self.maximum = max(bounds) if self.maximum is None else _whole(self.maximum)

    def _settle_bool(self) -> None:
        self.default = _truth(self.default)
        self.minimum = self.maximum = None

    def _settle_event(self) -> None:
        self.default, self.minimum, self.maximum = False, None, None

    def _settle_color(self) -> None:
        given = (1.0, 1.0, 1.0, 1.0) if self.default is None else _numbers(self.default)
        self.default = (*given, *(0.0, 0.0, 0.0, 1.0)[len(given) :])[:4]
        self.minimum = self.maximum = None

    def _settle_point2d(self) -> None:
        given = (0.0, 0.0) if self.default is None else _numbers(self.default)
        self.default = (*given, 0.0, 0.0)[:2]
        self.minimum = None if self.minimum is None else _numbers(self.minimum)
        self.maximum = None if self.maximum is None else _numbers(self.maximum)

    def _settle_texture(self) -> None:
        width = 0 if self.type == "image" or self.maximum is None else _whole(self.maximum)
        self.default, self.minimum, self.maximum = None, None, max(0, min(MAX_SOUND_WIDTH, width))

    @property
    def is_texture(self) -> bool:
        """True for what a shader samples rather than reads as a number."""
        return self.type in ("image", "audio", "audioFFT")


def _size(value: Any) -> Expression | None:
    if value is None or isinstance(value, Expression):
        return value
    try:
        return parse_expression(value)
    except ExpressionError as error:
        raise ValueError(str(error)) from None


Size = Annotated[Expression | None, BeforeValidator(_size)]


class Pass(_Lenient):
    """One drawing of the whole picture: into the buffer `target`, or into the scene's own picture when that is empty."""

    target: Text = Field("", alias="TARGET")
    persistent: Truth = Field(False, alias="PERSISTENT")
    floating: Truth = Field(False, alias="FLOAT")
    width: Size = Field(None, alias="WIDTH")
    height: Size = Field(None, alias="HEIGHT")

    @field_validator("target")
    @classmethod
    def _usable(cls, value: str) -> str:
        return _identifier(value) if value else ""


class Header(_Lenient):
    """Everything the comment says. `imported` maps a sampler's name to its file, relative to the scene's folder."""

    description: Text = Field("", alias="DESCRIPTION")
    credit: Text = Field("", alias="CREDIT")
    version: Text = Field("", alias="ISFVSN")
    categories: tuple[Text, ...] = Field((), alias="CATEGORIES")
    inputs: tuple[Input, ...] = Field((), alias="INPUTS", max_length=MAX_INPUTS)
    passes: tuple[Pass, ...] = Field((), alias="PASSES", max_length=MAX_PASSES)
    imported: dict[Name, str] = Field(default_factory=dict, alias="IMPORTED")

    @model_validator(mode="before")
    @classmethod
    def _version_1(cls, data: Any) -> Any:
        """Version 1 named its persistent buffers apart from its passes: move what it says about them into the passes."""
        if not isinstance(data, dict):
            return data
        data = {str(key).upper(): value for key, value in data.items()}
        for key in ("INPUTS", "PASSES", "CATEGORIES"):
            if not data.get(key):
                data[key] = []
        passes = data["PASSES"]
        buffers = data.get("PERSISTENT_BUFFERS") or {}
        if isinstance(buffers, list):
            buffers = {str(name): {} for name in buffers}
        if isinstance(passes, list) and isinstance(buffers, dict):
            data["PASSES"] = [
                {**p, **(buffers[p["TARGET"]] or {}), "PERSISTENT": True}
                if isinstance(p, dict) and isinstance(p.get("TARGET"), str) and p["TARGET"] in buffers
                else p
                for p in passes
            ]
        return data

    @field_validator("categories", mode="before")
    @classmethod
    def _category_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else ()

    @field_validator("imported", mode="before")
    @classmethod
    def _imported_files(cls, value: Any) -> Any:
        entries = value or {}
        if isinstance(entries, list):
            entries = {e.get("NAME"): e for e in entries if isinstance(e, dict)}
        if not isinstance(entries, dict):
            raise ValueError("IMPORTED must be a list or {…}")
        files: dict[str, str] = {}
        for name, entry in entries.items():
            path = entry.get("PATH") if isinstance(entry, dict) else entry
            if not isinstance(path, str):
                raise ValueError(f"IMPORTED '{name}' needs one PATH (cube maps are not shown by this box)")
            files[str(name)] = path
        return files

    @model_validator(mode="after")
    def _consistent(self) -> Header:
        seen: set[str] = set()
        targets = {p.target for p in self.passes if p.target}
        for name in [*(i.name for i in self.inputs), *self.imported, *sorted(targets)]:
            if name in seen:
                raise ValueError(f"the name '{name}' is given twice")
            seen.add(name)
        known = {"WIDTH", "HEIGHT"} | {i.name for i in self.inputs if i.type in ("float", "long", "bool", "event")}
        for size in (s for p in self.passes for s in (p.width, p.height) if s is not None):
            missing = size.names - known
            if missing:
                raise ValueError(
                    f"the size '{size.text}' names ${min(missing)}, which is no numeric input of this scene"
                )
        if not self.passes:
            self.passes = (Pass.model_validate({}),)
        return self

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of all buffers, each once, in the order of the passes."""
        return tuple(dict.fromkeys(p.target for p in self.passes if p.target))


@dataclass(frozen=True)
class ParsedHeader:
    """The header, and the lines of the file it stands on (from 1)."""

    header: Header
    first_line: int
    last_line: int


def parse(source: str, file: Path) -> ParsedHeader:
    """Reads the first comment of a scene. Raises SceneError with the line to look at."""
    opening = _OPENING.search(source)
    closing = source.find("*/", opening.end()) if opening else -1
    if opening is None or closing < 0:
        raise SceneError(
            file,
            1,
            "the scene does not begin with a comment /*{ … }*/",
            'begin with /*{ "ISFVSN": "2", "INPUTS": [] }*/',
        )
    text = source[opening.end() : closing]
    first_line = source.count("\n", 0, opening.end()) + 1
    if len(text) > MAX_HEADER:
        raise SceneError(file, first_line, f"the header has {len(text)} characters", f"keep it under {MAX_HEADER}")
    data = _read_json(text, file, first_line)
    if not isinstance(data, dict):
        raise SceneError(file, first_line, "the header is not a JSON object", "write it between { and }")
    try:
        header = Header.model_validate(data)
    except ValidationError as error:
        raise _explain(error, data, text, file, first_line) from None
    return ParsedHeader(header, first_line, first_line + text.count("\n"))


def _read_json(text: str, file: Path, first_line: int) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        pass
    try:
        return json5.loads(text)
    except RecursionError:
        raise SceneError(file, first_line, "the header is nested too deeply", "write plain lists of inputs") from None
    except ValueError as error:
        found = re.search(r":(\d+)\s*(.*)", str(error), re.DOTALL)
        line = first_line + int(found[1]) - 1 if found else first_line
        reason = " ".join((found[2] if found else str(error)).split())[:120]
        raise SceneError(file, line, f"the header is not JSON: {reason}", "look for a missing comma or quote") from None


def _explain(error: ValidationError, data: dict[str, Any], text: str, file: Path, first_line: int) -> SceneError:
    """The first fault as a sentence, on the line where the input or pass that has it is written."""
    fault = error.errors(include_url=False)[0]
    where = fault["loc"]
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "missing":
        message = f"{where[-1]} is missing"
    offset = 0
    item: Any = data
    names: list[str] = []
    for part in where:
        if isinstance(item, dict) and isinstance(part, str):
            item = next((v for k, v in item.items() if str(k).upper() == part), None)
        elif isinstance(item, list) and isinstance(part, int) and part < len(item):
            item = item[part]
            if isinstance(item, dict):
                names.append(str(item.get("NAME") or item.get("TARGET") or ""))
        needle = item if isinstance(item, str) else names[-1] if names else str(part)
        found = text.find(needle, offset) if needle else -1
        offset = found if found >= 0 else offset
    quoted = re.search(r"'([^']+)'", message)
    if not where and quoted and quoted[1] in text:
        offset = text.rfind(quoted[1])
    label = ".".join(str(p) for p in where) or "header"
    subject = f"{label} ({names[-1]})" if names and names[-1] else label
    line = first_line + text.count("\n", 0, offset)
    return SceneError(file, line, f"{subject}: {message}", "correct the header; docs/scenes.md lists what it may hold")
