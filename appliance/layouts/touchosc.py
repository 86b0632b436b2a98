# SPDX-License-Identifier: GPL-3.0-or-later
"""The surface for TouchOSC: a ``.tosc`` file is zlib-compressed XML, ``<lexml version="6">`` since TouchOSC 1.5.

What a control sends is an OSC message of the control, to be seen and changed in TouchOSC's editor. What the box says back
moves faders and switches by the same message; lamps, names, values and the finger's right of way are the script at the root
(``touchosc.lua``).
"""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.layouts.surface import BAR as BAR_PAGE
from appliance.layouts.surface import PAGES
from appliance.layouts.widgets import (
    BACKGROUND,
    BAR,
    COLOURS,
    LANDSCAPE,
    PORTRAIT,
    SOFT,
    TABS,
    UNIT_ROOM,
    Area,
    Kit,
    Page,
    Widget,
    label_room,
    subscriptions,
)
from appliance.namespace import Type

HERE = Path(__file__).parent
CONNECTIONS = "1" * 10
_IDS = uuid.UUID("6b0f6f0e-5f39-4c3a-9a55-0d7b1d3d9c11")
_NORTH, _EAST = 0, 1
_MOMENTARY, _TOGGLE_PRESS = 0, 2
_LEFT, _CENTRE, _RIGHT = 1, 2, 3
_TOP, _MIDDLE = 1, 2


@dataclass
class Control:
    """One node of the document. ``messages`` are ready XML."""

    type: str
    name: str
    frame: Area
    properties: dict[str, Any]
    values: list[tuple[str, Any, int]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    children: list[Control] = field(default_factory=list)

    def xml(self, path: str = "") -> str:
        """The node; its ID comes from its path of names, so that the same surface is the same file."""
        path = f"{path}/{self.name}"
        properties = {**_COMMON, **_OF_TYPE[self.type], **self.properties, "name": self.name, "frame": self.frame}
        parts = [f"<node ID='{uuid.uuid5(_IDS, path)}' type='{self.type}'>",
                 "" if path.count("/") > 1 else "<includes></includes>",
                 "<properties>", *(_property(key, properties[key]) for key in sorted(properties)), "</properties>", "<values>",
                 *(_value(*value) for value in [*self.values, ("touch", False, 0)]), "</values>"]
        if self.messages:
            parts += ["<messages>", *self.messages, "</messages>"]
        if self.children:
            parts += ["<children>", *(child.xml(path) for child in self.children), "</children>"]
        return "".join([*parts, "</node>"])


_COMMON: dict[str, Any] = {
    "background": True, "color": COLOURS["grey"], "cornerRadius": 3.0, "grabFocus": True, "interactive": True, "locked": False,
    "orientation": _NORTH, "outline": True, "outlineStyle": 0, "pointerPriority": 0, "shape": 1, "visible": True,
}
_TEXT: dict[str, Any] = {"font": 0, "textAlignH": _CENTRE, "textAlignV": _MIDDLE, "textColor": "#ffffff", "textSize": 18,
                         "textClip": True, "interactive": False, "background": False, "outline": False}
_FADER: dict[str, Any] = {"response": 0, "responseFactor": 100, "grid": False, "gridColor": "#00000040", "cursor": True,
                          "cursorDisplay": 0}
_OF_TYPE: dict[str, dict[str, Any]] = {
    "BUTTON": {"buttonType": _MOMENTARY, "press": True, "release": True, "valuePosition": False},
    "LABEL": {**_TEXT, "textLength": 0},
    "TEXT": {**_TEXT, "textWrap": True},
    "FADER": {**_FADER, "bar": True, "barDisplay": 0, "gridSteps": 13, "centered": False},
    "ENCODER": {**_FADER, "gridSteps": 20, "grid": True, "shape": 2},
    "GROUP": {"grabFocus": False, "interactive": False, "background": True, "outline": False},
    "PAGER": {"grabFocus": False, "tabLabels": True, "tabbar": True, "tabbarDoubleTap": False, "tabbarSize": TABS,
              "textSizeOff": 20, "textSizeOn": 22},
}
_COLOUR_KEYS = {"color", "textColor", "gridColor", "tabColorOff", "tabColorOn", "textColorOff", "textColorOn"}


def _property(key: str, value: Any) -> str:
    if key == "frame":
        inner = "".join(f"<{name}>{_number(part)}</{name}>" for name, part in zip("xywh", value, strict=True))
        kind = "r"
    elif key in _COLOUR_KEYS:
        parts = [int(value[at : at + 2] or "ff", 16) / 255 for at in (1, 3, 5, 7)]
        inner = "".join(f"<{name}>{_number(round(part, 4))}</{name}>" for name, part in zip("rgba", parts, strict=True))
        kind = "c"
    elif isinstance(value, bool):
        inner, kind = str(int(value)), "b"
    elif isinstance(value, str):
        inner, kind = _data(value), "s"
    else:
        inner, kind = _number(value), "f" if isinstance(value, float) else "i"
    return f"<property type='{kind}'><key>{_data(key)}</key><value>{inner}</value></property>"


def _value(key: str, default: Any, pull: int) -> str:
    shown = str(default).lower() if isinstance(default, bool) else default if isinstance(default, str) else _number(default)
    return (f"<value><key>{_data(key)}</key><locked>0</locked><lockedDefaultCurrent>0</lockedDefaultCurrent>"
            f"<default>{_data(shown)}</default><defaultPull>{pull}</defaultPull></value>")


def _data(text: str) -> str:
    return f"<![CDATA[{text.replace(']]>', ']] >')}]]>"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def _partial(kind: str, conversion: str, value: str, low: float = 0.0, high: float = 1.0) -> str:
    return (f"<partial><type>{kind}</type><conversion>{conversion}</conversion><value>{_data(value)}</value>"
            f"<scaleMin>{_number(low)}</scaleMin><scaleMax>{_number(high)}</scaleMax></partial>")


def _message(address: str, arguments: str, *, on: str = "x", when: str = "ANY", receive: bool = False) -> str:
    """An OSC message that goes out when a value changes. Feedback is off: what comes in is not sent back."""
    return ("<osc><enabled>1</enabled><send>1</send>" f"<receive>{int(receive)}</receive><feedback>0</feedback>"
            f"<noDuplicates>0</noDuplicates><connections>{CONNECTIONS}</connections>"
            f"<triggers><trigger><var>{_data(on)}</var><condition>{when}</condition></trigger></triggers>"
            f"<path>{_partial('CONSTANT', 'STRING', address)}</path><arguments>{arguments}</arguments></osc>")


def _constant(value: Any) -> str:
    conversion = "STRING" if isinstance(value, str) else "INTEGER" if isinstance(value, int) else "FLOAT"
    return _partial("CONSTANT", conversion, value if isinstance(value, str) else _number(value))


class _Writer:
    """Collects the controls and the script's rows."""

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []

    def controls(self, page: Page, width: float, height: float, *, portrait: bool) -> list[Control]:
        made: list[Control] = []
        for index, (widget, frame) in enumerate(page.placed(width, height, portrait=portrait)):
            made += self._widget(widget, f"{page.name} {index} {widget.address or widget.text}", frame)
        return made

    def _row(self, address: str, name: str, how: str, **more: Any) -> None:
        self.rows.append([address, name, how, *(more.get(key) for key in (
            "first", "second", "places", "unit", "label", "hex", "ink"))])

    def _widget(self, widget: Widget, name: str, frame: Area) -> list[Control]:
        match widget.kind:
            case Kit.FADER | Kit.SPRING:
                return self._fader(widget, name, frame)
            case Kit.METER:
                return self._meter(widget, name, frame)
            case Kit.READOUT | Kit.ENTRY:
                return self._readout(widget, name, frame)
            case Kit.CAPTION:
                return [_label(name, frame, widget.text, widget.size, colour=widget.colour_code)]
            case Kit.JOG:
                return self._jog(widget, name, frame)
            case Kit.PAD:
                return self._pad(widget, name, frame)
            case _:
                return self._button(widget, name, frame)

    def _fader(self, widget: Widget, name: str, frame: Area) -> list[Control]:
        low, high = widget.limits
        at = (widget.default - low) / (high - low)
        message = _message(widget.address, _partial("VALUE", "FLOAT", "x", low, high), receive=True)
        pull = 100 if widget.kind is Kit.SPRING else 0
        control = Control("FADER", name, frame, {
            "color": widget.colour_code, "orientation": _EAST if widget.sideways else _NORTH, "centered": widget.centred,
            "response": 0 if widget.jumps else 1,
        }, [("x", round(at, 6), pull)], [message])
        label, value = f"{name} label", f"{name} value"
        unit = widget.node.unit if frame[2] >= UNIT_ROOM or not widget.sideways else ""
        self._row(widget.address, name, "x", first=low, second=high, places=widget.places, unit=unit, label=value)
        shown = f"{widget.default:.{widget.places}f} {unit}".rstrip()
        words, number = _words(frame, sideways=widget.sideways)
        return [control,
                _label(label, words, widget.text, widget.size, across=_LEFT if widget.sideways else _CENTRE),
                _label(value, number, shown, 16, across=_RIGHT if widget.sideways else _CENTRE)]

    def _meter(self, widget: Widget, name: str, frame: Area) -> list[Control]:
        control = Control("FADER", name, frame, {
            "color": widget.colour_code, "interactive": False, "cursor": False,
            "orientation": _EAST if widget.sideways else _NORTH,
        }, [("x", 0, 0)])
        self._row(widget.address, name, "meter")
        return [control, _label(f"{name} label", frame, widget.label, widget.size, down=_TOP)] if widget.label else [control]

    def _readout(self, widget: Widget, name: str, frame: Area) -> list[Control]:
        x, y, w, h = frame
        back = Control("BUTTON", f"{name} back", frame, {"interactive": False, "color": "#1b232d"}, [("x", 0, 0)])
        value = f"{name} value"
        if widget.node.type is Type.BOOL:
            self._row(widget.address, value, "flag", label=widget.text)
            return [back, _label(value, frame, "", widget.size, colour=widget.colour_code)]
        numbers = widget.node.type in (Type.FLOAT, Type.INT)
        unit = widget.node.unit if not widget.label and w >= UNIT_ROOM else ""
        self._row(widget.address, value, "text", places=widget.places, unit=unit)
        if not widget.label:
            return [back, _label(value, (x + 6, y, w - 12, h), "", widget.size, across=_CENTRE if numbers else _LEFT,
                                 wrap=not numbers)]
        side = label_room(widget, w)
        return [back, _label(f"{name} label", (x + 4, y, side, h), widget.text, 16, across=_LEFT, colour=SOFT),
                _label(value, (x + side + 4, y, w - side - 8, h), "", widget.size)]

    def _jog(self, widget: Widget, name: str, frame: Area) -> list[Control]:
        touch = widget.address.replace("/turn", "/touch")
        script = f"local ADDRESS = {json.dumps(widget.address)}\n" + (HERE / "touchosc_jog.lua").read_text(encoding="utf-8")
        control = Control("ENCODER", name, frame, {"color": widget.colour_code, "script": script}, [("x", 0, 0), ("y", 0, 0)],
                          [_message(touch, _partial("VALUE", "FLOAT", "touch"), on="touch")])
        return [control, _label(f"{name} label", frame, widget.text, widget.size)]

    def _pad(self, widget: Widget, name: str, frame: Area) -> list[Control]:
        x, y, w, h = frame
        pad = widget.address.removesuffix("/trigger")
        control = Control("BUTTON", name, frame, {"color": "#0f1318"}, [("x", 0, 0)], [
            _message(widget.address, _partial("VALUE", "FLOAT", "x"))])
        state, title = f"{name} state", f"{name} title"
        self._row(f"{pad}/state", name, "state", label=state, ink=title)
        self._row(f"{pad}/role", name, "role")
        self._row(f"{pad}/colour", name, "colour")
        self._row(widget.named, title, "name", label=widget.text)
        return [control, _label(title, (x + 6, y + h * 0.1, w - 12, h * 0.55), widget.text, widget.size, wrap=True),
                _label(state, (x + 6, y + h * 0.65, w - 12, h * 0.3), "", 18)]

    def _button(self, widget: Widget, name: str, frame: Area) -> list[Control]:
        low, high = widget.limits if widget.kind is not Kit.SET else (0.0, 1.0)
        toggles, acts = widget.kind is Kit.TOGGLE, widget.kind in (Kit.PRESS, Kit.SET)
        if widget.kind is Kit.SET:
            arguments = "".join(_constant(value) for value in widget.arguments)
        else:
            arguments = _partial("VALUE", "FLOAT", "x", low, high)
        control = Control("BUTTON", name, frame, {
            "color": widget.colour_code, "buttonType": _TOGGLE_PRESS if toggles else _MOMENTARY,
        }, [("x", widget.default if toggles else 0, 0)], [
            _message(widget.address, arguments, when="RISE" if acts else "ANY", receive=toggles)])
        title, readable = f"{name} label", widget.node.readable
        look = {"hex": widget.colour_code, "ink": title}
        if toggles:
            self._row(widget.address, name, "x", first=0, second=1, **look)
        elif widget.kind is Kit.SET and readable and len(widget.arguments) == 1:
            self._row(widget.address, name, "same", first=widget.value, **look)
        elif widget.lit:
            self._row(widget.lit, name, "there", **look)
        elif widget.kind is Kit.HOLD and readable and widget.value is None:
            self._row(widget.address, name, "on", **look)
        if widget.named:
            self._row(widget.named, title, "name", label=widget.text)
        return [control, _label(title, frame, widget.text, widget.size)]


def _label(
    name: str, frame: Area, text: str, size: int, *, across: int = _CENTRE, down: int = _MIDDLE, colour: str = "#ffffff",
    wrap: bool = False,
) -> Control:
    """One line; with ``wrap`` as many as there is room for."""
    look = {"textSize": size, "textAlignH": across, "textAlignV": down, "textColor": colour}
    if wrap:
        return Control("TEXT", name, frame, look, [("text", text, 0)])
    return Control("LABEL", name, frame, look, [("text", text, 0)])


def _words(frame: Area, *, sideways: bool) -> tuple[Area, Area]:
    """Where a fader's name and its value stand: at the ends, or at the foot, where its handle seldom is."""
    x, y, w, h = frame
    if sideways:
        return (x + 8, y, w * 0.6 - 8, h), (x + w * 0.4, y, w * 0.45, h)
    return (x, y + h - 52, w, 24), (x, y + h - 28, w, 24)


def _lua(value: Any) -> str:
    if value is None:
        return "nil"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{" + ", ".join(f"[{_lua(k)}] = {_lua(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(_lua(v) for v in value) + "}"
    return _number(value)


def script(rows: Iterable[list[Any]], token: str, listen: int) -> str:
    """The root's script, with what the box writes before it."""
    head = {"TOKEN": token, "LISTEN": listen, "SUBSCRIBE": subscriptions((BAR_PAGE, *PAGES)),
            "COLOURS": {name: COLOURS[name] for name in sorted(COLOURS)}}
    lines = [f"local {name} = {_lua(value)}" for name, value in head.items()]
    lines += ["local ROWS = {", *(f"  {_lua(row)}," for row in rows), "}"]
    return "\n".join(lines) + "\n" + (HERE / "touchosc.lua").read_text(encoding="utf-8")


def document(token: str, listen: int, *, portrait: bool) -> str:
    """The XML."""
    width, height = PORTRAIT if portrait else LANDSCAPE
    writer = _Writer()
    bar = writer.controls(BAR_PAGE, width, BAR, portrait=portrait)
    inner = height - BAR - TABS
    pages = [Control("GROUP", page.name, (0, TABS, width, inner), {
        "color": BACKGROUND, "tabLabel": page.name, "tabColorOff": "#1b232d", "tabColorOn": COLOURS[page.colour],
        "textColorOff": "#ffffff", "textColorOn": "#000000",
    }, children=writer.controls(page, width, inner, portrait=portrait)) for page in PAGES]
    pager = Control("PAGER", "pages", (0, BAR, width, height - BAR), {"color": BACKGROUND, "outline": False},
                    [("page", 0, 0)], children=pages)
    root = Control("GROUP", "appliance", (0, 0, width, height), {
        "color": BACKGROUND, "script": script(writer.rows, token, listen)}, children=[*bar, pager])
    return f"<?xml version='1.0' encoding='UTF-8'?><lexml version='6'>{root.xml()}</lexml>"


def render(token: str, listen: int, *, portrait: bool = False) -> bytes:
    """The ``.tosc`` file. ``listen`` is the port on which the tablet listens."""
    return zlib.compress(document(token, listen, portrait=portrait).encode(), 9)
