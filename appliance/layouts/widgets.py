# SPDX-License-Identifier: GPL-3.0-or-later
"""What a surface is made of: widgets that name an address, in blocks, on pages.

A widget says where it stands and which address it moves; its range, unit, default and choices are the node's. An address
that the box does not have, or that a widget of this kind cannot move, is refused when the widget is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from appliance.errors import ApplianceError
from appliance.namespace import Address, Kind, Node, Type
from appliance.nodes import NAMESPACE

LANDSCAPE = (1180, 820)
PORTRAIT = (820, 1180)
"""Canvas in points: a tablet of 10.9 inches has 5.2 points to a millimetre."""
BAR = 60
"""Height of the line that every page has."""
TABS = 60
GAP = 3
TOUCH = 44
"""What a finger is meant to hit is at least this wide and high: 8.5 mm."""

ROLES = {"drums": "#ff8c1a", "percussion": "#c97b2e", "bass": "#2f7bff", "chords": "#30c04f",
         "lead": "#ff5fb0", "texture": "#9a5cff", "voice": "#f2f2f2", "recorded": "#ffd21f", "none": "#7d8ea3"}
"""Colours of what a pad plays, the same as on a controller's lamps."""
COLOURS = {**ROLES, "red": "#ff3b30", "white": "#e8eef5", "grey": "#4a5868", "cyan": "#20c8d8",
           "deck 1": "#2f9bff", "deck 2": "#ff8c1a", "deck 3": "#30c04f", "deck 4": "#e15fd0"}
BACKGROUND = "#0c1015"
SOFT = "#9fb0c3"
"""What stands beside a value."""
UNIT_ROOM = 140
"""A value narrower than this stands without its unit."""


class Kit(StrEnum):
    """Kinds of widgets."""

    PAD = "pad"  # plays a pad while held; shows name and state
    PRESS = "press"  # does an action
    HOLD = "hold"  # on while held
    TOGGLE = "toggle"
    SET = "set"  # sends one value; lit while the address has it
    FADER = "fader"
    SPRING = "spring"  # a fader that goes back when it is let go
    JOG = "jog"
    METER = "meter"
    READOUT = "readout"
    ENTRY = "entry"  # text that can be typed where the program can
    CAPTION = "caption"  # words, no address

    @property
    def touched(self) -> bool:
        return self not in (Kit.METER, Kit.READOUT, Kit.CAPTION)


@dataclass(frozen=True)
class Widget:
    """One control. ``x``, ``y``, ``w``, ``h`` in cells of its block; ``size`` of the text in points.

    ``value``: what SET sends (a tuple: several arguments), what HOLD sends while held. ``span``: the part of the node's range
    that a fader covers. ``jumps``: a fader goes to the finger; else the finger moves it from where it is, wherever it touches,
    so that a tempo or a master level never jumps. ``named``: address of a text that is shown instead of ``label`` while it is
    not empty. ``lit``: address of a place that lights it while it is 0 or more.
    """

    kind: Kit
    address: str
    x: float = 0.0
    y: float = 0.0
    w: float = 1.0
    h: float = 1.0
    label: str = ""
    colour: str = "grey"
    value: Any = None
    span: tuple[float, float] | None = None
    sideways: bool = False
    jumps: bool = False
    named: str = ""
    lit: str = ""
    size: int = 18

    def __post_init__(self) -> None:
        if self.kind is Kit.CAPTION:
            return
        for address in filter(None, (self.address, self.named, self.lit)):
            NAMESPACE.find(address)  # raises UnknownAddress
        if not _fits(self):
            raise ApplianceError(f"layouts: {self.address} ({self.node.kind}, {self.node.type}) is nothing for a {self.kind}")
        if self.span and not self.node.minimum <= self.span[0] < self.span[1] <= self.node.maximum:
            raise ApplianceError(f"layouts: {self.address}: the span {self.span} is no part of its range")

    @property
    def place(self) -> Address:
        return NAMESPACE.find(self.address)

    @property
    def node(self) -> Node:
        return self.place.node

    @property
    def text(self) -> str:
        """What stands on it: its label, else the last word of its address."""
        return self.label or self.address.rsplit("/", 1)[-1].replace("_", " ")

    @property
    def limits(self) -> tuple[float, float]:
        """What the ends of a fader send, as the namespace has them."""
        if self.kind in (Kit.TOGGLE, Kit.PAD, Kit.PRESS):
            return 0.0, 1.0
        if self.kind is Kit.HOLD:
            return 0.0, float(1.0 if self.value is None else self.value)
        if self.kind is Kit.METER:
            return 0.0, 1.0
        return self.span or (self.node.minimum, self.node.maximum)

    @property
    def default(self) -> float:
        """Where a fader stands at first; a command has no default and stands at its lower end."""
        default = self.node.default
        if isinstance(default, tuple):
            default = default[self.place.index % len(default)]
        low, high = self.limits
        return min(max(float(default), low), high) if isinstance(default, int | float) else low

    @property
    def centred(self) -> bool:
        """Its neutral place is the middle."""
        low, high = self.limits
        return low < 0 < high and abs(low + high) < 1e-9

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What SET sends."""
        return self.value if isinstance(self.value, tuple) else (self.value,)

    @property
    def colour_code(self) -> str:
        return COLOURS[self.colour]

    @property
    def places(self) -> int:
        """Decimal places that are worth reading."""
        low, high = self.limits
        return 0 if self.node.type is Type.INT else 1 if high - low >= 20 else 2


def _fits(widget: Widget) -> bool:
    node, kind = widget.node, widget.kind
    acts = node.kind in (Kind.COMMAND, Kind.CALL)
    match kind:
        case Kit.PAD:
            return node.kind is Kind.COMMAND and node.type is Type.FLOAT and node.momentary
        case Kit.PRESS:
            return node.kind is Kind.CALL or (node.kind is Kind.COMMAND and node.type is Type.NONE)
        case Kit.HOLD:
            if node.type is Type.FLOAT:
                return node.check(widget.value, widget.address) is not None
            return node.type is Type.BOOL and (acts or node.writable)
        case Kit.TOGGLE:
            return node.type is Type.BOOL and node.writable
        case Kit.SET:
            if node.kind is Kind.CALL:
                return widget.value is not None
            node.check(widget.value, widget.address)
            return node.writable or acts
        case Kit.FADER | Kit.SPRING:
            return node.type is Type.FLOAT and node.kind in (Kind.VALUE, Kind.COMMAND)
        case Kit.JOG:
            return node.name == "jog/turn"
        case Kit.METER:
            return node.kind is Kind.STATE and node.type is Type.FLOAT
        case Kit.ENTRY:
            return node.kind is Kind.TEXT
        case _:
            return node.readable


@dataclass(frozen=True)
class Block:
    """Widgets on a grid of their own, the same in landscape and portrait unless ``upright`` says otherwise."""

    columns: float
    rows: float
    widgets: tuple[Widget, ...]
    upright: Block | None = None


def tiles(widgets: Sequence[Widget], columns: int, upright: int) -> Block:
    """A block of equal tiles in reading order: so many columns in landscape, so many in portrait."""
    def block(columns: int) -> Block:
        placed = tuple(replace(w, x=i % columns, y=i // columns) for i, w in enumerate(widgets))
        return Block(columns, -(-len(widgets) // columns), placed)
    return replace(block(columns), upright=block(upright))


Area = tuple[float, float, float, float]


@dataclass(frozen=True)
class Part:
    """A block and where it stands on the page: x, y, width, height in hundredths of the page."""

    block: Block
    landscape: Area
    portrait: Area


@dataclass(frozen=True)
class Page:
    name: str
    colour: str
    parts: tuple[Part, ...]

    def placed(self, width: float, height: float, *, portrait: bool) -> Iterator[tuple[Widget, Area]]:
        """Every widget with its place in points on a page of this size."""
        for part in self.parts:
            block = part.block.upright or part.block if portrait else part.block
            left, top, wide, high = part.portrait if portrait else part.landscape
            cell_w, cell_h = width * wide / 100 / block.columns, height * high / 100 / block.rows
            for widget in block.widgets:
                x, y = width * left / 100 + widget.x * cell_w, height * top / 100 + widget.y * cell_h
                begin = round(x) + GAP, round(y) + GAP
                end = round(x + widget.w * cell_w) - GAP, round(y + widget.h * cell_h) - GAP
                yield widget, (*begin, end[0] - begin[0], end[1] - begin[1])

    @property
    def widgets(self) -> list[Widget]:
        return [w for part in self.parts for w in part.block.widgets]


def label_room(widget: Widget, width: float) -> float:
    """Width of the label beside a value, in points; the value gets the rest."""
    return min(width * 0.45, 6 + 9.5 * len(widget.label))


def is_continuous(widget: Widget) -> bool:
    """Told only to those who ask for it: meters and positions."""
    node = widget.node
    return bool(node.reads) and node.type is Type.FLOAT and not node.momentary


def subscriptions(pages: Sequence[Page]) -> list[str]:
    """Patterns of the meters and positions that the pages show; the rest comes with ``/hello``."""
    return sorted({re.sub(r"/\d+(?=/)", "/*", w.address) for page in pages for w in page.widgets
                   if w.kind is not Kit.CAPTION and is_continuous(w)})
