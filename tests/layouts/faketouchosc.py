# SPDX-License-Identifier: GPL-3.0-or-later
"""TouchOSC as far as its manual tells: a document's controls, their OSC messages, and their scripts in a real Lua 5.1.

A finger or a script changes a value: the control's ``onValueChanged`` runs, then messages with that trigger go out. A message
that comes in is shown to the root's ``onReceiveOSC`` first; unless it returns true, controls that receive this address take
the value, without sending it back. Scripts have only the functions that TouchOSC gives them.
"""

from __future__ import annotations

from typing import Any

import py2tosc
from lupa import lua51

LIBRARY = ("error ipairs next pairs print select tonumber tostring unpack type string table math").split()


class Values:
    def __init__(self, control: FakeControl, start: dict[str, Any]) -> None:
        object.__setattr__(self, "control", control)
        object.__setattr__(self, "held", start)

    def __getattr__(self, key: str) -> Any:
        if key not in self.held:
            raise AttributeError(f"{self.control.name} has no value {key}")
        return self.held[key]

    def __setattr__(self, key: str, value: Any) -> None:
        assert key in self.held, f"{self.control.name} has no value {key}"
        if self.held[key] != value:
            self.held[key] = value
            self.control.changed(key)


class FakeMessage:
    """One OSC message of a control, as the file describes it."""

    def __init__(self, message: Any) -> None:
        self.file = message
        self.send = message.send
        self.path = "".join(partial.value for partial in message.path)
        assert all(str(partial.type) == "CONSTANT" for partial in message.path)

    def arguments(self, control: FakeControl) -> list[Any]:
        return [self._argument(partial, control) for partial in self.file.arguments]

    def _argument(self, partial: Any, control: FakeControl) -> Any:
        if str(partial.type) == "CONSTANT":
            value: Any = partial.value
        else:
            raw = float(getattr(control.values, partial.value))
            value = partial.scale_min + raw * (partial.scale_max - partial.scale_min)
        return {"FLOAT": float, "INTEGER": int, "STRING": str}[str(partial.conversion)](value)

    def fires(self, key: str, control: FakeControl) -> bool:
        value = getattr(control.values, key)
        return self.send and any(t.var == key and (str(t.condition) == "ANY" or (str(t.condition) == "RISE" and value))
                                 for t in self.file.triggers)


class FakeControl:
    def __init__(self, app: FakeTouchOSC, control: Any) -> None:
        self._app = app
        self.type = str(control.control_type)
        self.name = control.get("name")
        self._colours = {key: control.get(key) for key in ("color", "textColor") if control.has(key)}
        self.file = control
        self.osc = [FakeMessage(m) for m in control.messages]
        self.below = [FakeControl(app, child) for child in control.children]
        self.messages = app.table({"OSC": app.table(self.osc)})
        self.children = app.table(self.below)
        for child in reversed(self.below):
            self.children[child.name] = child
        self.values = Values(self, {v.key: v.default for v in control.values})
        self.script = app.script(self, control.get("script")) if control.has("script") else None
        self.quiet = False

    @property
    def color(self) -> Any:
        return self._colours["color"]

    @color.setter
    def color(self, given: Any) -> None:
        self._colours["color"] = py2tosc.Color(*given.values())

    @property
    def textColor(self) -> Any:  # the property's name in TouchOSC
        return self._colours["textColor"]

    @textColor.setter
    def textColor(self, given: Any) -> None:
        self._colours["textColor"] = py2tosc.Color(*given.values())

    def walk(self) -> list[FakeControl]:
        return [self, *(c for child in self.below for c in child.walk())]

    def call(self, function: str, *args: Any) -> Any:
        called = self.script[function] if self.script is not None else None
        return called(*args) if called is not None else None

    def changed(self, key: str) -> None:
        self.call("onValueChanged", key)
        if not self.quiet:
            for message in self.osc:
                if message.fires(key, self):
                    self._app.sent.append((message.path, message.arguments(self)))

    # -- a finger

    def press(self) -> None:
        self.values.touch = True
        if self.type == "BUTTON":
            toggles = self.file.get("buttonType") == 2
            self.values.x = 1.0 - float(self.values.x) if toggles else 1.0

    def move(self, x: float) -> None:
        assert self.values.touch and self.type in ("FADER", "ENCODER")
        self.values.x = x

    def release(self) -> None:
        if self.type == "BUTTON" and self.file.get("buttonType") == 0:
            self.values.x = 0.0
        self.values.touch = False


class FakeTouchOSC:
    """Opens a ``.tosc`` file. ``sent`` collects (path, arguments)."""

    def __init__(self, tosc: bytes) -> None:
        self.sent: list[tuple[str, list[Any]]] = []
        self.now_ms = 1000.0
        self._lua = lua51.LuaRuntime()
        self.table: Any = self._lua.table_from
        self._colour = self._lua.eval("function(r, g, b, a) return {r, g, b, a} end")
        self.document = py2tosc.loads(tosc)
        self.root = FakeControl(self, self.document.root)
        self.controls = {c.name: c for c in self.root.walk()}
        self._scripted = [c for c in self.controls.values() if c.script is not None]
        for control in self._scripted:
            control.call("init")

    def script(self, control: FakeControl, text: str) -> Any:
        """A script in a scope of its own."""
        everything = self._lua.globals()
        scope = self._lua.table()
        for name in LIBRARY:
            scope[name] = everything[name]
        scope["self"] = control
        scope["getMillis"] = lambda: self.now_ms
        scope["Color"] = self._colour
        scope["sendOSC"] = self._send_osc
        loaded = everything.loadstring(text, "=script")
        assert callable(loaded), loaded
        everything.setfenv(loaded, scope)
        loaded()
        return scope

    def _send_osc(self, message: Any) -> None:
        arguments = [message[2][i] for i in range(1, len(message[2]) + 1)]
        convert = {"f": float, "i": int, "s": str}
        self.sent.append((message[1], [convert[a["tag"]](a["value"]) for a in arguments]))

    def frame(self, ms: float = 16.0) -> None:
        """Time goes on by one frame of the screen."""
        self.now_ms += ms
        for control in self._scripted:
            control.call("update")

    def receive(self, path: str, *values: Any) -> None:
        """A message from the box."""
        table = self.table
        arguments = table([table({"tag": {float: "f", int: "i", str: "s"}[type(v)], "value": v}) for v in values])
        if self.root.call("onReceiveOSC", table([path, arguments]), table([True])):
            return
        for control in self.root.walk():
            for message in control.osc:
                if message.file.receive and message.path == path:
                    self._take(control, message, values)

    @staticmethod
    def _take(control: FakeControl, message: FakeMessage, values: tuple[Any, ...]) -> None:
        for partial, value in zip(message.file.arguments, values, strict=False):
            if str(partial.type) == "VALUE" and not isinstance(value, str):
                x = (float(value) - partial.scale_min) / (partial.scale_max - partial.scale_min)
                control.quiet = not message.file.feedback
                setattr(control.values, partial.value, min(max(x, 0.0), 1.0))
                control.quiet = False

    def that_sends(self, path: str, kind: str = "") -> FakeControl:
        """The first control with a message for this address."""
        return next(c for c in self.root.walk() if (not kind or c.type == kind)
                    and any(m.path == path for m in c.osc))
