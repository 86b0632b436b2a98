# SPDX-License-Identifier: GPL-3.0-or-later
"""The namespace as OSCQuery tells it: nodes with their attributes, containers with their contents.

After the OSCQuery proposal (github.com/Vidvox/OSCQueryProposal). An action without arguments is of type ``I``; what has no type
in OSC (lists, objects) goes as JSON text, ``s``. What lies out of range is refused and not clipped: CLIPMODE is ``none``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

from appliance.control.announce import pad_aliases
from appliance.control.desk import Desk
from appliance.errors import UnknownAddress
from appliance.namespace import Address, Kind, Node, Type
from appliance.nodes import NAMESPACE

ATTRIBUTES = ("FULL_PATH", "CONTENTS", "TYPE", "ACCESS", "VALUE", "RANGE", "DESCRIPTION", "CLIPMODE", "UNIT", "CRITICAL")
READ, WRITE = 1, 2
_UNITS = {"dB": "gain.db", "s": "time.second", "ms": "time.ms", "BPM": "time.bpm", "Hz": "time.hz", "cents": "time.cents"}
_TYPES = {Type.FLOAT: "f", Type.INT: "i", Type.BOOL: "T", Type.CHOICE: "s", Type.TEXT: "s", Type.JSON: "s", Type.NONE: "I"}

May = Callable[[str, bool], bool]
"""Whether the one who asks may read, or with true write, an address."""


class Tree:
    """``may`` hides from a client what it has no right to."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._contents: dict[str, dict[str, str]] = {"/": {}}
        for name in (*(a.address for a in NAMESPACE), *pad_aliases()):
            parts = name[1:].split("/")
            for depth, part in enumerate(parts):
                parent = "/" + "/".join(parts[:depth])
                self._contents.setdefault(parent, {})[part] = "/" + "/".join(parts[: depth + 1])

    def has(self, path: str) -> bool:
        return path in self._contents or path in NAMESPACE

    def node(self, path: str) -> Address | None:
        """The node there; None for what is a container alone."""
        try:
            return self._desk.find(path) if path in NAMESPACE else None
        except UnknownAddress:
            return None

    def attribute(self, path: str, name: str, may: May) -> Any:
        """The value of an attribute; None when the node has none of this name. CONTENTS come as text by :meth:`text`."""
        found = self.node(path)
        if name == "FULL_PATH":
            return path
        if found is None:
            return {"ACCESS": 0, "DESCRIPTION": "container"}.get(name)
        return _attribute(found, name, may(path, False), may(path, True), lambda: self._desk.get_now(found))

    def text(self, path: str, may: May) -> Iterator[str]:
        """Pieces of the JSON object for a path with all below it; one piece a node."""
        contents = self._contents.get(path)
        own = {name: value for name in ATTRIBUTES if (value := self.attribute(path, name, may)) is not None}
        text = _dumps(own)
        if contents is None:
            yield text
            return
        yield f'{text[:-1]},"CONTENTS":{{'
        separator = ""
        for name, below in contents.items():
            if not self._visible(below, may):
                continue
            yield f"{separator}{_dumps(name)}:"
            yield from self.text(below, may)
            separator = ","
        yield "}}"

    def contents(self, path: str, may: May) -> Iterator[str]:
        """The same for ``?CONTENTS`` alone."""
        yield '{"CONTENTS":{'
        separator = ""
        for name, below in self._contents.get(path, {}).items():
            if self._visible(below, may):
                yield f"{separator}{_dumps(name)}:"
                yield from self.text(below, may)
                separator = ","
        yield "}}"

    def _visible(self, path: str, may: May) -> bool:
        return path in self._contents or may(path, False) or may(path, True)


def _attribute(found: Address, name: str, may_read: bool, may_write: bool, value: Callable[[], Any]) -> Any:
    node = found.node
    writable = node.kind is not Kind.STATE and may_write
    readable = node.readable and may_read
    match name:
        case "TYPE":
            return type_of(node)
        case "ACCESS":
            return READ * readable + WRITE * writable
        case "VALUE" if readable:
            return _value(node, value())
        case "RANGE":
            return _range(node)
        case "DESCRIPTION":
            return node.doc
        case "CLIPMODE" if node.type in (Type.FLOAT, Type.INT):
            return ["none"]
        case "UNIT" if node.unit:
            return [_UNITS.get(node.unit, node.unit)]
        case "CRITICAL" if node.kind in (Kind.COMMAND, Kind.CALL):
            return True
        case _:
            return None


def type_of(node: Node) -> str:
    """OSC's type tag."""
    if node.type is Type.INT and node.maximum >= 2**31:
        return "h"
    return _TYPES[node.type]


def _value(node: Node, value: Any) -> list[Any] | None:
    if value is None:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if type_of(node) == "s" and not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return [value]


def _range(node: Node) -> list[dict[str, Any]] | None:
    if node.type in (Type.FLOAT, Type.INT):
        return [{"MIN": node.minimum, "MAX": node.maximum}]
    return [{"VALS": list(node.choices)}] if node.choices else None


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
