# SPDX-License-Identifier: GPL-3.0-or-later
"""The surface as a session for Open Stage Control 1.30: one JSON file, widgets placed in per cent, so it fits any screen.

Every widget that sends names the box as its target, and ``/hello`` goes out when a client opens the session and every five
seconds. The program itself keeps incoming values away from a fader that is being touched and applies the last on release.
"""

from __future__ import annotations

import json
from typing import Any

from appliance.layouts.surface import BAR, PAGES
from appliance.layouts.widgets import BACKGROUND, COLOURS, ROLES, Area, Kit, Page, Widget, subscriptions
from appliance.namespace import Type

VERSION = "1.30.1"
BAR_PERCENT = 7
JOG_STEPS = 96
"""Messages a turn."""
_LIGHT = {"empty": 0.08, "loaded": 0.35, "queued": 0.75, "playing": 1, "stopping": 0.6, "missing": 0.5}


def render(host: str, port: int, token: str, *, portrait: bool = False) -> bytes:
    """The session. ``host`` and ``port``: where the box listens."""
    root = _container("panel", "root", {
        "type": "root", "colorBg": BACKGROUND, "hideMenu": True, "innerPadding": False, "padding": 1,
        "onCreate": _hello(f"{host}:{port}", token),
    }, [
        _container("panel", "bar", {**_place((0, 0, 100, BAR_PERCENT))}, _widgets(BAR, f"{host}:{port}", portrait=portrait)),
        {**_base("panel", "pages"), **_place((0, BAR_PERCENT, 100, 100 - BAR_PERCENT)), "bypass": True, "tabs": [
            _container("tab", page.name, {"label": page.name, "colorWidget": COLOURS[page.colour]},
                       _widgets(page, f"{host}:{port}", portrait=portrait)) for page in PAGES]},
    ])
    session = {"createdWith": "Open Stage Control", "version": VERSION, "type": "session", "content": root}
    compact = json.dumps(session, separators=(",", ":"), ensure_ascii=False)
    return (compact.replace('{"type":', '\n{"type":') + "\n").encode()


def _hello(target: str, token: str) -> str:
    """JavaScript: says hello now and every five seconds. Without a port the box answers where it came from."""
    words = [token] if token else []
    calls = [["/hello", *words], *(["/subscribe", pattern] for pattern in subscriptions((BAR, *PAGES)))]
    lines = [f"  send({', '.join(json.dumps(word) for word in [target, *call])})" for call in calls]
    return "function hello() {\n" + "\n".join(lines) + "\n}\nhello()\nsetInterval('hello', hello, 5000)"


def _base(kind: str, name: str) -> dict[str, Any]:
    return {"type": kind, "id": name, "interaction": True, "padding": 1}


def _container(kind: str, name: str, more: dict[str, Any], widgets: list[dict[str, Any]]) -> dict[str, Any]:
    return {**_base(kind, name), "layout": "default", "scroll": False, "bypass": True, **more, "widgets": widgets}


def _place(area: Area) -> dict[str, str]:
    return {name: f"{part:.4g}%" for name, part in zip(("left", "top", "width", "height"), area, strict=True)}


def _widgets(page: Page, target: str, *, portrait: bool) -> list[dict[str, Any]]:
    """The page on a canvas of 10,000 by 10,000, as per cent."""
    made: list[dict[str, Any]] = []
    for index, (widget, area) in enumerate(page.placed(10000, 10000, portrait=portrait)):
        part = (area[0] / 100, area[1] / 100, area[2] / 100, area[3] / 100)
        made += _widget(widget, f"{page.name} {index} {widget.address or widget.text}", part, target)
    return made


def _widget(widget: Widget, name: str, area: Area, target: str) -> list[dict[str, Any]]:
    match widget.kind:
        case Kit.CAPTION:
            return [{**_base("text", name), **_place(area), "default": widget.text, "colorText": widget.colour_code,
                     "css": _font(widget.size), "bypass": True, "interaction": False}]
        case Kit.READOUT:
            return _readout(widget, name, area)
        case _:
            made = {**_base("button", name), **_place(area), "address": widget.address, "target": target, "decimals": 5,
                    "colorWidget": widget.colour_code, "css": _font(widget.size)}
            return [{**made, **_OF_KIND[widget.kind](widget, target)}, *_caption(widget, name, area)]


def _readout(widget: Widget, name: str, area: Area) -> list[dict[str, Any]]:
    """What the box says, under its own address; its label stands before it."""
    look = {"bypass": True, "interaction": False, "address": widget.address}
    if widget.node.type is Type.BOOL:
        return [{**_base("button", name), **_place(area), **look, "mode": "toggle", "on": 1, "off": 0, "label": widget.text,
                 "colorWidget": widget.colour_code}]
    left, top, width, height = area
    side = width * 0.4 if widget.label else 0
    value = {**_base("text", name), **_place((left + side, top, width - side, height)), **look, "decimals": widget.places,
             "css": _font(widget.size), "align": "center" if widget.label else "left", "wrap": not widget.label}
    label = {**_base("text", f"{name} label"), **_place((left, top, side, height)), "default": widget.label, "bypass": True,
             "interaction": False, "css": _font(14)}
    return [label, value] if widget.label else [value]


def _font(size: int) -> str:
    return f"font-size: {size}rem;"


def _caption(widget: Widget, name: str, area: Area) -> list[dict[str, Any]]:
    """Faders, meters and entries have no text of their own: a label lies over them, transparent for fingers."""
    if widget.kind in (Kit.METER, Kit.FADER, Kit.SPRING, Kit.JOG) and (widget.label or widget.kind is not Kit.METER):
        left, top, width, height = area
        place = (left, top, width * 0.5, height) if widget.sideways else (left, top, width, height * 0.2)
        return [{**_base("text", f"{name} label"), **_place(place), "default": widget.text, "bypass": True,
                 "interaction": False, "css": _font(widget.size)}]
    return []


def _fader(widget: Widget, target: str) -> dict[str, Any]:
    low, high = widget.limits
    return {"type": "fader", "design": "compact", "horizontal": widget.sideways, "range": {"min": low, "max": high},
            "default": widget.default, "snap": widget.jumps, "doubleTap": True, "origin": 0 if widget.centred else "auto",
            "spring": widget.kind is Kit.SPRING}


def _meter(widget: Widget, target: str) -> dict[str, Any]:
    return {"type": "fader", "design": "compact", "horizontal": widget.sideways, "range": {"min": 0, "max": 1},
            "interaction": False, "bypass": True, "default": 0}


def _named(widget: Widget) -> str:
    """The label: a text of the box while it is not empty."""
    if not widget.named:
        return widget.text
    return f"JS{{ var name = OSC{{{widget.named}, }}; return name ? String(name) : {json.dumps(widget.text)} }}"


def _pad(widget: Widget, target: str) -> dict[str, Any]:
    pad = widget.address.removesuffix("/trigger")
    state, role, own = (f"OSC{{{pad}/{name}, {first}}}"
                        for name, first in (("state", "empty"), ("role", "none"), ("colour", "")))
    roles = json.dumps(ROLES)
    return {
        "mode": "push", "on": 1, "off": 0, "wrap": True,
        "label": f"JS{{ var name = OSC{{{widget.named}, }}, state = {state}; return (name ? String(name) : "
                 f"{json.dumps(widget.text)}) + (state == 'empty' || state == 'loaded' ? '' : ' · ' + state) }}",
        "colorWidget": f"JS{{ var own = {own}, roles = {roles}; return {state} == 'missing' ? {json.dumps(COLOURS['red'])} : "
                       f"/^#[0-9a-f]{{6}}$/i.test(own) ? own : roles[{role}] || roles.none }}",
        "alphaFillOff": f"JS{{ var light = {json.dumps(_LIGHT)}; return light[{state}] || 0.35 }}",
    }


def _lit(widget: Widget) -> dict[str, str]:
    """How bright it is while nobody touches it: what the box says lights it."""
    if widget.lit:
        return {"alphaFillOff": f"JS{{ return OSC{{{widget.lit}, -1}} >= 0 ? 0.8 : 0.15 }}"}
    return {}


def _hold(widget: Widget, target: str) -> dict[str, Any]:
    return {"mode": "push", "on": 1 if widget.value is None else widget.value, "off": 0, "label": _named(widget),
            "wrap": True, **_lit(widget)}


def _toggle(widget: Widget, target: str) -> dict[str, Any]:
    return {"mode": "toggle", "on": 1, "off": 0, "label": widget.text, "wrap": True, "default": int(widget.default)}


def _press(widget: Widget, target: str) -> dict[str, Any]:
    return {"mode": "tap", "on": 1, "off": 0, "label": _named(widget), "wrap": True}


def _set(widget: Widget, target: str) -> dict[str, Any]:
    *before, last = widget.arguments
    more: dict[str, Any] = {"alphaFillOff": f"JS{{ return OSC{{{widget.address}, }} == {json.dumps(last)} ? 0.9 : 0.2 }}"}
    if not widget.node.readable or before:
        more = {}
    tags = "".join("s" if isinstance(v, str) else "i" if isinstance(v, int) else "f" for v in widget.arguments)
    return {"mode": "tap", "on": last, "off": "", "preArgs": before or "", "typeTags": tags, "label": widget.text, "wrap": True,
            **more}


def _jog(widget: Widget, target: str) -> dict[str, Any]:
    touch = widget.address.replace("/turn", "/touch")
    return {"type": "encoder", "ticks": JOG_STEPS, "back": -1 / JOG_STEPS, "forth": 1 / JOG_STEPS, "release": "", "decimals": 6,
            "onTouch": f"send({json.dumps(target)}, {json.dumps(touch)}, event.type == 'start' ? 1 : 0)"}


def _entry(widget: Widget, target: str) -> dict[str, Any]:
    return {"type": "input", "align": "left", "default": "", "typeTags": "s"}


_OF_KIND = {
    Kit.FADER: _fader, Kit.SPRING: _fader, Kit.METER: _meter, Kit.PAD: _pad, Kit.HOLD: _hold, Kit.TOGGLE: _toggle,
    Kit.PRESS: _press, Kit.SET: _set, Kit.JOG: _jog, Kit.ENTRY: _entry,
}
