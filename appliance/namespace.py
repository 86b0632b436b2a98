# SPDX-License-Identifier: GPL-3.0-or-later
"""Every parameter and action of the box, declared once (in :mod:`appliance.nodes`) and found here by address.

A *node* is one declaration. Nodes stand in *groups*; a group with families (``/deck/{deck}``) is instantiated once a
member, so ``rate`` in the group ``/deck/{deck}`` becomes ``/deck/1/rate`` … ``/deck/4/rate``. From the declarations come
the slots in shared memory (``VALUES``), OSC and HTTP addresses, checks, the reference page and the mapping schema.
"""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np

from appliance.errors import BadValue, NotAllowed, Unavailable, UnknownAddress


class Kind(StrEnum):
    """How a node is carried."""

    VALUE = "value"  # a number in shared memory, read by everybody, smoothed by the engine
    TEXT = "text"  # a string kept by control, travels on the hub
    COMMAND = "command"  # a message to the engine, executed at a frame
    CALL = "call"  # a request to the process that owns the node, over the hub
    STATE = "state"  # read only: what the box reports


class Type(StrEnum):
    FLOAT = "float"
    INT = "int"
    BOOL = "bool"
    CHOICE = "choice"
    TEXT = "text"
    JSON = "json"
    NONE = "none"  # an action without arguments


class Scaling(StrEnum):
    """How a control's travel 0…1 becomes the node's range."""

    LINEAR = "linear"
    LOG = "log"
    DB = "db"
    TOGGLE = "toggle"
    CHOICE = "choice"


class Scope(StrEnum):
    """What a device that is paired may do; each includes those before it."""

    PLAY = "play"
    EDIT = "edit"  # files, configuration, gear
    ADMIN = "admin"  # who may come in, switching off

    @property
    def rank(self) -> int:
        return _RANKS[self]

    def covers(self, needed: Scope) -> bool:
        return self.rank >= needed.rank


_RANKS: dict[Scope, int] = {scope: rank for rank, scope in enumerate(Scope)}


@dataclass(frozen=True, slots=True)
class Node:
    """One declaration. ``name`` is relative to its group (``loop/in``); numbers carry range, unit and default.

    ``reads`` names the telemetry field that tells the node's current state (``deck.playing``); a COMMAND with ``reads`` can
    be read and watched like a value. ``optional`` says that a COMMAND or CALL may come without argument. A COMMAND whose
    type is BOOL toggles when it comes without. ``there`` False: declared so that it can be named; what does it has not started.
    ``scope`` is what a device from elsewhere needs to change or do it; reading takes ``play``, but a ``private`` node is read
    on this machine only.
    """

    name: str
    kind: Kind
    type: Type
    doc: str
    default: Any = None
    minimum: float = 0.0
    maximum: float = 1.0
    unit: str = ""
    scaling: Scaling = Scaling.LINEAR
    choices: tuple[str, ...] = ()
    session: bool = False
    owner: str = "engine"
    reads: str = ""
    optional: bool = False
    momentary: bool = False
    there: bool = True
    scope: Scope = Scope.PLAY
    private: bool = False

    @property
    def field(self) -> str:
        """The node's name as a field of a numpy record (``loop/in`` → ``loop_in``)."""
        return self.name.replace("/", "_")

    @property
    def readable(self) -> bool:
        return self.kind in (Kind.VALUE, Kind.TEXT, Kind.STATE) or bool(self.reads)

    @property
    def writable(self) -> bool:
        return self.kind in (Kind.VALUE, Kind.TEXT) or (self.kind is Kind.COMMAND and self.type is Type.BOOL)

    def check(self, value: Any, address: str = "") -> Any:
        """Return ``value`` as this node's type.

        Numbers may come as int, float, bool or numeric text; choices by name or index; booleans as bool, number or
        ``true/false/on/off``. Raises :class:`BadValue` for wrong types, NaN, infinity and values out of range.
        """
        where = address or self.name
        if self.type in (Type.JSON, Type.NONE):
            return value
        if self.type is Type.TEXT:
            if not isinstance(value, str):
                raise BadValue(f"{where} takes text, not {_kind_of(value)}")
            if len(value) > 4096 or "\x00" in value:
                raise BadValue(f"{where}: text of {len(value)} characters is too long or binary; 4096 at most")
            return value
        if self.type is Type.CHOICE:
            return self._check_choice(value, where)
        if self.type is Type.BOOL:
            return self._check_bool(value, where)
        number = _number(value, where)
        if self.type is Type.INT:
            if number != math.floor(number):
                raise BadValue(f"{where} takes a whole number, not {number:g}")
            number = int(number)
        if not self.minimum <= number <= self.maximum:
            unit = f" {self.unit}" if self.unit else ""
            raise BadValue(f"{where} takes {self.minimum:g} … {self.maximum:g}{unit}, not {number:g}")
        return number

    def _check_choice(self, value: Any, where: str) -> str:
        if isinstance(value, str):
            for choice in self.choices:
                if choice.lower() == value.strip().lower():
                    return choice
            close = difflib.get_close_matches(value, self.choices, 1)
            hint = f"; did you mean {close[0]}?" if close else f"; it is one of {', '.join(self.choices)}"
            raise BadValue(f"{where}: {value!r} is no choice{hint}")
        index = _number(value, where)
        if index != math.floor(index) or not 0 <= index < len(self.choices):
            raise BadValue(f"{where} takes one of {', '.join(self.choices)} or 0 … {len(self.choices) - 1}, not {index:g}")
        return self.choices[int(index)]

    def _check_bool(self, value: Any, where: str) -> bool:
        if isinstance(value, str):
            word = value.strip().lower()
            if word in ("true", "on", "yes", "1"):
                return True
            if word in ("false", "off", "no", "0"):
                return False
            raise BadValue(f"{where} takes true or false, not {value!r}")
        number = _number(value, where)
        if not 0 <= number <= 1:
            raise BadValue(f"{where} takes true or false, not {number:g}")
        return number >= 0.5

    def to_slot(self, value: Any) -> float:
        """The checked value as the float64 that stands in shared memory (a choice is its index)."""
        if self.type is Type.CHOICE:
            return float(self.choices.index(value))
        return float(value)

    def from_slot(self, number: float) -> Any:
        """The inverse of :meth:`to_slot`; tolerant of what another process left there."""
        if self.type is Type.CHOICE:
            return self.choices[min(max(int(number), 0), len(self.choices) - 1)]
        if self.type is Type.BOOL:
            return bool(number >= 0.5)
        return round(number) if self.type is Type.INT else float(number)

    def from_unit(self, unit: float) -> Any:
        """The value at ``unit`` 0…1 of a control's travel, by the node's scaling."""
        unit = min(max(unit, 0.0), 1.0)
        if self.type is Type.BOOL:
            return unit >= 0.5
        if self.type is Type.CHOICE:
            return self.choices[min(int(unit * len(self.choices)), len(self.choices) - 1)]
        if self.scaling is Scaling.LOG:
            value = self.minimum * (self.maximum / self.minimum) ** unit
        else:
            value = self.minimum + unit * (self.maximum - self.minimum)
        return round(value) if self.type is Type.INT else value

    def to_unit(self, value: Any) -> float:
        """The travel 0…1 that stands for ``value``: the inverse of :meth:`from_unit`."""
        if self.type is Type.BOOL:
            return 1.0 if value else 0.0
        if self.type is Type.CHOICE:
            return self.choices.index(value) / max(len(self.choices) - 1, 1)
        if self.scaling is Scaling.LOG:
            return math.log(value / self.minimum) / math.log(self.maximum / self.minimum)
        return (value - self.minimum) / (self.maximum - self.minimum)


def _kind_of(value: Any) -> str:
    return {"NoneType": "nothing", "str": "text", "list": "a list", "dict": "an object"}.get(
        type(value).__name__, type(value).__name__
    )


def _number(value: Any, where: str) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise BadValue(f"{where} takes a number, not {value!r}") from None
    if not isinstance(value, int | float | np.number | np.bool_):
        raise BadValue(f"{where} takes a number, not {_kind_of(value)}")
    number = float(value)
    if not math.isfinite(number):
        raise BadValue(f"{where} takes a finite number, not {number}")
    return number


@dataclass(frozen=True)
class Group:
    """Nodes that stand together. ``record`` names the group's record in shared memory and telemetry."""

    record: str
    prefix: str
    nodes: tuple[Node, ...]
    families: dict[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many members: the product of the families' sizes (1 without families)."""
        return math.prod(self.families.values())

    def addresses(self) -> Iterator[tuple[int, str]]:
        """``(member index from 0, prefix with the numbers filled in)``; numbers in addresses count from 1."""
        names = list(self.families)
        for index, numbers in enumerate(itertools.product(*(range(1, n + 1) for n in self.families.values()))):
            yield index, self.prefix.format(**dict(zip(names, numbers, strict=True)))

    @cached_property
    def value_nodes(self) -> tuple[Node, ...]:
        return tuple(n for n in self.nodes if n.kind is Kind.VALUE)


@dataclass(frozen=True, slots=True)
class Address:
    """One instance of a node: what an address means. ``slot`` is its place in ``VALUES`` (-1 when it has none)."""

    address: str
    node: Node
    group: Group
    index: int
    slot: int = -1

    def __str__(self) -> str:
        return self.address

    def require_readable(self) -> None:
        if not self.node.readable:
            raise NotAllowed(f"{self.address} is an action: it can be done, not read")

    def require_there(self) -> None:
        if not self.node.there:
            raise Unavailable(f"{self.address} cannot be done right now: what does it has not started")


class Namespace:
    """All addresses. ``values`` is the numpy dtype (all float64) of the block of current values in shared memory."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self.groups = tuple(groups)
        self.values = _values_dtype(self.groups)
        self._by_address: dict[str, Address] = {}
        self._pads: tuple[str, int] = ("/pad/", 16)
        for group in self.groups:
            for address in self._expand(group):
                if address.address in self._by_address:
                    raise ValueError(f"{address} is declared twice")
                self._by_address[address.address] = address
        self.by_slot: dict[int, Address] = {a.slot: a for a in self._by_address.values() if a.slot >= 0}
        self.commands: dict[str, int] = {}
        for group in self.groups:
            for node in group.nodes:
                if node.kind is Kind.COMMAND:
                    self.commands[f"{group.record}.{node.field}"] = len(self.commands) + 16

    def _expand(self, group: Group) -> Iterator[Address]:
        values: Any = self.values.fields
        for index, prefix in group.addresses():
            for node in group.nodes:
                slot = -1
                if node.kind is Kind.VALUE:
                    record, offset = values[group.record][:2]
                    element = record.subdtype[0] if record.subdtype else record
                    slot = (offset + index * element.itemsize + element.fields[node.field][1]) // 8
                yield Address(f"{prefix}/{node.name}", node, group, index, slot)

    def __iter__(self) -> Iterator[Address]:
        return iter(self._by_address.values())

    def __len__(self) -> int:
        return len(self._by_address)

    def __contains__(self, address: str) -> bool:
        return address in self._by_address or self.canonical(address, 1) in self._by_address

    def canonical(self, address: str, bank: int) -> str:
        """``/pad/N/…`` means pad N of the chosen bank: turn it into ``/bank/B/pad/N/…``. Others stay as they are."""
        return f"/bank/{bank}{address}" if address.startswith("/pad/") else address

    def find(self, address: str, bank: int = 1) -> Address:
        """The address's meaning, with ``bank`` (from 1) for ``/pad/N/…``. Raises :class:`UnknownAddress`."""
        found = self._by_address.get(address)
        if found is None:
            found = self._by_address.get(self.canonical(address.rstrip("/"), bank))
        if found is None:
            raise UnknownAddress(f"{address!r} is no address of this box{self.hint(address)}")
        return found

    def hint(self, address: str) -> str:
        """``; did you mean …?`` with the nearest address, or nothing when none is near."""
        shown = (self.friendly(a) for a in self._by_address)
        close = difflib.get_close_matches(str(address), shown, 1, 0.7)
        return f"; did you mean {close[0]}?" if close else "; `appliance ls` shows them all"

    @staticmethod
    def friendly(address: str) -> str:
        """The short form of an address of bank 1 (``/bank/1/pad/3/gain`` → ``/pad/3/gain``)."""
        return address[7:] if address.startswith("/bank/1/pad/") else address

    def command(self, record: str, name: str) -> int:
        """The number of a command in the engine's ring (``command("deck", "play")``)."""
        return self.commands[f"{record}.{name.replace('/', '_')}"]

    def defaults(self) -> np.ndarray:
        """Every value's default as a float64 vector, indexed by slot."""
        vector = np.zeros(self.values.itemsize // 8, np.float64)
        for slot, address in self.by_slot.items():
            default = address.node.default
            if isinstance(default, tuple):
                default = default[address.index % len(default)]
            vector[slot] = address.node.to_slot(default)
        return vector


def _values_dtype(groups: Iterable[Group]) -> np.dtype[Any]:
    """One record a group, all fields float64; groups with families are arrays of records."""
    fields: list[tuple[Any, ...]] = []
    for group in groups:
        nodes = group.value_nodes
        if not nodes:
            continue
        record = np.dtype([(n.field, np.float64) for n in nodes])
        fields.append((group.record, record, (group.count,)) if group.families else (group.record, record))
    return np.dtype(fields)


def number(
    name: str, default: Any, minimum: float, maximum: float, doc: str, *, unit: str = "", type: Type = Type.FLOAT,
    scaling: Scaling = Scaling.LINEAR, session: bool = True, owner: str = "engine",
) -> Node:
    """A number in shared memory. A tuple as default gives each member of the group its own."""
    return Node(name, Kind.VALUE, type, doc, default, minimum, maximum, unit, scaling, session=session, owner=owner)


def integer(name: str, default: Any, minimum: int, maximum: int, doc: str, **more: Any) -> Node:
    return number(name, default, minimum, maximum, doc, type=Type.INT, **more)


def switch(name: str, default: Any, doc: str, *, session: bool = True, owner: str = "engine", momentary: bool = False) -> Node:
    """A boolean in shared memory. ``momentary``: held, not latched, by a button."""
    return Node(name, Kind.VALUE, Type.BOOL, doc, default, 0, 1, "", Scaling.TOGGLE, session=session, owner=owner,
                momentary=momentary)


def choice(name: str, default: Any, choices: tuple[str, ...], doc: str, *, session: bool = True, owner: str = "engine") -> Node:
    """One of several names; in shared memory it is the index."""
    return Node(name, Kind.VALUE, Type.CHOICE, doc, default, 0, len(choices) - 1, "", Scaling.CHOICE, choices,
                session=session, owner=owner)


def text(name: str, default: str, doc: str, *, session: bool = True, owner: str = "control") -> Node:
    return Node(name, Kind.TEXT, Type.TEXT, doc, default, session=session, owner=owner)


def command(
    name: str, doc: str, *, type: Type = Type.NONE, minimum: float = 0.0, maximum: float = 1.0, unit: str = "",
    reads: str = "", optional: bool = False, default: Any = None, momentary: bool = False,
) -> Node:
    """A message to the engine; with ``type`` it carries one argument."""
    return Node(name, Kind.COMMAND, type, doc, default, minimum, maximum, unit, reads=reads, optional=optional,
                momentary=momentary, scaling=Scaling.TOGGLE if type is Type.BOOL else Scaling.LINEAR)


def call(name: str, doc: str, *, owner: str, type: Type = Type.JSON, optional: bool = True) -> Node:
    """A request answered by the process ``owner``."""
    return Node(name, Kind.CALL, type, doc, owner=owner, optional=optional)


def state(
    name: str, doc: str, *, type: Type = Type.FLOAT, reads: str = "", owner: str = "engine", unit: str = "",
    minimum: float = 0.0, maximum: float = 1.0, choices: tuple[str, ...] = (),
) -> Node:
    """Something the box reports; from telemetry with ``reads``, else published by its owner over the hub."""
    return Node(name, Kind.STATE, type, doc, None, minimum, maximum, unit, reads=reads, owner=owner, choices=choices)


def edit(node: Node) -> Node:
    """The node, for devices that may edit."""
    return replace(node, scope=Scope.EDIT)


def admin(node: Node) -> Node:
    """The node, for devices that may administer."""
    return replace(node, scope=Scope.ADMIN)


def private(node: Node) -> Node:
    """The node, never told to other machines."""
    return replace(node, private=True)
