# SPDX-License-Identifier: GPL-3.0-or-later
"""A hand on a device: which layers are on, what is held, where the faders stand; so what each touch means.

Mirrors the engine's planes: the engine tells of every message that changes a layer, in order with all that it hands over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from appliance.bus.binding import BindingFlag, BindingKind
from appliance.bus.takeover import UNKNOWN
from appliance.control.mapping.compile import Compiled
from appliance.control.mapping.controls import FULL, NO_MESSAGE, Control, Message, Touch
from appliance.control.mapping.planes import Entry
from appliance.control.mapping.profile import Mode, Source
from appliance.control.mapping.roles import SHIFT
from appliance.control.mapping.rules import Rule
from appliance.control.mapping.selectors import HELD_S, Gesture
from appliance.control.midi.router import Router
from appliance.errors import BadValue

DOUBLE_S = 0.35
"""Longest time between the two presses of a double one."""
REST_S = 0.6
"""A button that is held for so long has its name said."""
Flash = Callable[[Message], None]
Send = Callable[[bytes], object]


LONG_S = 2.5
"""A hold this long ends sound or power: its lamp says so while it lasts."""


@dataclass(slots=True)
class Press:
    """What a release ends: the rule that counted when it was pressed, and the bank; the gestures that it may still become.
    ``long_s``: of a hold that ends something, when it began and how long it is."""

    rule: Rule | None
    waiting: list[asyncio.TimerHandle] = field(default_factory=list)
    long_s: tuple[float, float] | None = None
    since_s: float = field(default_factory=time.monotonic)
    message: Message = NO_MESSAGE
    bank: int = 1


class Hand:
    """Lives on control's loop. ``flash`` shows a refusal on a control's lamp, ``send`` writes to the device; ``plane``: the one
    that the engine is on (after a restart of control)."""

    def __init__(self, compiled: Compiled, router: Router, flash: Flash | None = None, send: Send | None = None,
                 plane: int = 0, latched: Mapping[str, int] | None = None) -> None:
        self.layers = {name: values[0] for name, values in compiled.values.items()}
        for layer in compiled.plane_layers:
            self.layers[layer.name] = layer.value(plane)
        self.layers.update((name, value) for name, value in (latched or {}).items() if value in compiled.values.get(name, ()))
        self.compiled = compiled
        self._router = router
        self._flash = flash
        self._send = send
        self.observer: Callable[[Rule | None, Touch], None] | None = None
        """Hears of what is about to be done."""
        self._decoder = compiled.decoder()
        self._note_planes: dict[tuple[int, int], int] = {}
        self._pressed: dict[Control, Press] = {}
        self._pressed_s: dict[Control, float] = {}
        self._last: dict[Control, float] = {}

    @property
    def plane(self) -> int:
        """The engine's plane for the layers that are on."""
        return sum(layer.values.index(self.layers[layer.name]) * layer.stride for layer in self.compiled.plane_layers)

    def take(self, status: int, data1: int, data2: int) -> Entry | None:
        """Take a channel message that the engine has handed over or told of, or any of a device that it does not hear.
        Returns the engine's entry for it."""
        entry = self._entry(status, data1, data2)
        if entry is not None and entry.kind is not BindingKind.HAND_OVER and not entry.flags & BindingFlag.TELL:
            return entry
        touch = self._decoder.feed(status, data1, data2)
        if touch is not None:
            if touch.control in self.compiled.layer_of:
                self._change_layer(touch)
            engines = entry is not None and entry.kind not in (BindingKind.HAND_OVER, BindingKind.LAYER)
            self._take(touch, done=engines)
        return entry

    def _entry(self, status: int, data1: int, data2: int) -> Entry | None:
        """A release is read in the plane of its press, as the engine does."""
        plane, note = self.plane, (status & 15, data1)
        if status & 0xF0 == 0x90 and data2 > 0:
            self._note_planes[note] = plane
        elif status & 0xE0 == 0x80:
            plane = self._note_planes.pop(note, plane)
        return self.compiled.planes[plane].get((status, data1))

    def touch(self, touch: Touch) -> None:
        """A touch of a device that is no MIDI device: the engine does none of it."""
        if touch.control in self.compiled.layer_of:
            self._change_layer(touch)
        self._take(touch, done=False)

    def leave(self) -> None:
        """The device has gone: what it held is let go, layers too."""
        for control, press in list(self._pressed.items()):
            self._let_go(control, press)
        for name, layer in self.compiled.profile.layers.items():
            if layer.way == "hold":
                self.layers[name] = self.compiled.values[name][0]

    def notes_off(self, channel: int) -> None:
        """All keys of a channel (0 … 15) are up: the device says so."""
        for control, press in list(self._pressed.items()):
            if press.message[0] == 0x90 + channel:
                self._let_go(control, press)
                if control in self.compiled.layer_of:
                    self._change_layer(Touch(control, 0.0, FULL, 0, press.message))

    @property
    def latched(self) -> dict[str, int]:
        """The layers that stay as they are when the device comes back."""
        return {name: value for name, value in self.layers.items() if self.compiled.profile.layers[name].way != "hold"}

    def adopt(self, before: Hand) -> None:
        """The profile has changed under the hand: what it holds stays held, and its faders stand where they stood."""
        for control in tuple(before._pressed):
            if self._has(control, before):
                self._pressed[control] = before._pressed.pop(control)
        self._last = {control: place for control, place in before._last.items() if self._has(control, before)}
        before.leave()

    def _has(self, control: Control, before: Hand) -> bool:
        """Whether a control of the profile before is there still, and the same."""
        new, old = self.compiled.profile.surface.get(control[0]), before.compiled.profile.surface[control[0]]
        return new is not None and control[1] <= new.count and new.source is old.source \
            and new.messages(control[1]) == old.messages(control[1])

    # -- layers

    def put_layer(self, name: str, value: int) -> None:
        """By hand of another surface. Raises :class:`BadValue` when there is no such layer, or it has no such value."""
        values = self.compiled.values.get(name)
        if values is None:
            raise BadValue(f"{self.compiled.profile.name} has no layer {name!r}; it has "
                           f"{', '.join(self.compiled.values) or 'none'}")
        if value not in values:
            raise BadValue(f"the layer {name} has the values {', '.join(map(str, values))}, not {value}")
        self.layers[name] = value

    def _change_layer(self, touch: Touch) -> None:
        name, number = self.compiled.layer_of[touch.control]
        values, before = self.compiled.values[name], self.layers[name]
        pressed = touch.value > 0.0
        match self.compiled.profile.layers[name].way:
            case "hold":
                self.layers[name] = values[1 if pressed else 0]
            case "toggle" | "cycle" if pressed:
                self.layers[name] = values[(values.index(before) + 1) % len(values)]
            case "choose" if pressed:
                self.layers[name] = values[number]
            case _:
                pass

    # -- what a touch means

    def _take(self, touch: Touch, *, done: bool) -> None:
        control = touch.control
        if touch.value == 0.0 and (press := self._pressed.pop(control, None)) is not None:
            for timer in press.waiting:
                timer.cancel()
            if not done:
                self._do(press.rule, touch, press.bank)
            return
        again = self._pressed.get(control)  # a button that repeats itself while it is held, whatever has become of the layer
        rule = again.rule if again is not None else self._rule(control, Gesture.PRESS)
        if not done:
            self._do(rule, touch, again.bank if again is not None else None)
        if touch.value > 0.0 and self._is_button(control, rule):
            fresh = control not in self._pressed
            self._begin(touch, rule)
            if fresh and not done and rule is not None:
                self._rest(self._pressed[control], rule)
        self._last[control] = touch.value

    def _is_button(self, control: Control, rule: Rule | None) -> bool:
        """Whether its release belongs to its press."""
        if self.compiled.profile.surface[control[0]].source in (Source.NOTE, Source.KEY):
            return True
        holds = rule is not None and any(action.mode is Mode.HOLD for action in rule.actions)
        return holds or self._has_gestures(control)

    def _has_gestures(self, control: Control) -> bool:
        return any(rule.gesture is not Gesture.PRESS for rule in self.compiled.rules.get(control, ()))

    def _begin(self, touch: Touch, rule: Rule | None) -> None:
        control = touch.control
        if control in self._pressed:
            return  # a CC button that repeats itself while it is held
        press = self._pressed[control] = Press(rule, message=touch.message, bank=self._router.bank)
        if not self._has_gestures(control):
            return
        now = time.monotonic()
        if now - self._pressed_s.pop(control, -1e9) < DOUBLE_S:
            self._do(self._rule(control, Gesture.DOUBLE), touch)
        else:
            self._pressed_s[control] = now
        for after_s in sorted({r.after_s for r in self.compiled.rules[control] if r.gesture is Gesture.HELD}):
            held = self._rule(control, Gesture.HELD, after_s)
            if held is not None:
                loop = asyncio.get_running_loop()
                press.waiting.append(loop.call_later(after_s, self._do, held, touch))
                if after_s >= LONG_S:
                    press.long_s = now, after_s

    def asks(self) -> bool:
        """How the box is: shift and a deck's play key are held."""
        if not self.layers.get(SHIFT):
            return False
        now = time.monotonic()
        return any(control in self.compiled.plays and now - press.since_s >= HELD_S
                   for control, press in self._pressed.items())

    def held(self, message: Message) -> float | None:
        """How much of a long hold of this control is over, 0…1; None when there is none."""
        for control, press in self._pressed.items():
            if press.long_s is None or message not in self.compiled.profile.surface[control[0]].messages(control[1]):
                continue
            share = (time.monotonic() - press.long_s[0]) / press.long_s[1]
            return share if share < 1.0 else None
        return None

    def _rest(self, press: Press, rule: Rule) -> None:
        """A finger that stays on a button is told its name; of what the engine does at once, others see that."""
        if address := next((action.address for action in rule.actions if action.address), ""):
            press.waiting.append(asyncio.get_running_loop().call_later(REST_S, self._router.rested, address))

    def _let_go(self, control: Control, press: Press) -> None:
        """As if it had been released."""
        self._take(Touch(control, 0.0, FULL, 0, press.message), done=False)

    def _rule(self, control: Control, gesture: Gesture, after_s: float | None = None) -> Rule | None:
        """The first that counts now."""
        for rule in self.compiled.rules.get(control, ()):
            if rule.gesture is gesture and (after_s is None or rule.after_s == after_s) \
                    and all(self.layers[name] == value for name, value in rule.layers) and self._router.holds(rule.when):
                return rule
        return None

    def _do(self, rule: Rule | None, touch: Touch, bank: int | None = None) -> None:
        if self.observer is not None:
            self.observer(rule, touch)
        if rule is None:
            return
        flash = self._flash
        refused = (lambda: flash(touch.message)) if flash else None
        for action in rule.actions:
            last = self._last.get(touch.control, UNKNOWN)
            self._router.perform(self.compiled.profile.name, action, touch, last, refused, self._send, bank)
