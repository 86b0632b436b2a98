# SPDX-License-Identifier: GPL-3.0-or-later
"""The lamps of one device: what each should show now, sent when it differs from what was sent, and never faster than a device
can take."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from appliance.bus.events import Event, Kind
from appliance.control.mapping.compile import Compiled
from appliance.control.mapping.controls import Message
from appliance.control.mapping.lights import SCALES, Light
from appliance.control.mapping.profile import Lamp
from appliance.control.mapping.roles import SHIFT
from appliance.control.midi.rhythm import BRIGHT, LIT, RGB, Look, light, quickening, refused
from appliance.control.midi.view import View
from appliance.nodes import NAMESPACE

LAMP_S = 0.02
"""Time between two messages to one lamp."""
TICK_S = 0.02
MESSAGES_A_TICK = 20
"""A DIN cable carries a note in 1 ms; a device on USB takes more, but none is asked for more."""

FALL_DB_S = 20 / 1.7
"""A meter falls by so much a second: 20 dB in 1.7 s (IEC 60268-10, type I)."""

Send = Callable[[bytes], bool]

_PAD_COMMANDS = frozenset(NAMESPACE.command("pad", name) for name in ("trigger", "stop", "release", "cut"))
_DECK_COMMANDS = frozenset(code for name, code in NAMESPACE.commands.items() if name.startswith("deck."))


class Lamps:
    """``send`` takes one complete message and answers whether it was taken; ``layers``: those of the device, by name;
    ``is_down``: whether a key is held; ``held``: how much of a long hold is over, 0…1; ``asks``: whether the
    pads show how the box is. :meth:`resync` after every connection."""

    def __init__(self, compiled: Compiled, view: View, send: Send, layers: Mapping[str, int] | None = None,
                 is_down: Callable[[Message], bool] = lambda _message: False,
                 held: Callable[[Message], float | None] = lambda _message: None,
                 asks: Callable[[], bool] = lambda: False) -> None:
        self._compiled = compiled
        self._view = view
        self._send = send
        self._layers: Mapping[str, int] = layers if layers is not None else {}
        self._is_down = is_down
        self._held = held
        self._asks = asks
        self._falling: dict[Message, tuple[float, float]] = {}
        self._lamps: dict[Message, list[Light]] = {}
        self._sent: dict[Message, bytes] = {}
        self._sent_s: dict[Message, float] = {}
        self._refused_s: dict[Message, float] = {}
        self._start = 0
        self._greeting: list[bytes] = []
        for one in compiled.lights:
            self._lamps.setdefault(one.message, []).append(one)
            if one.subject == "address":
                view.watch(one.address)

    def resync(self) -> None:
        """The device has come (again) and may show anything: greet it, then send every lamp."""
        self._sent.clear()
        self._sent_s.clear()
        self._greeting = list(self._compiled.profile.init)

    def leave(self) -> None:
        """Dark, and the profile's last words."""
        for lights in self._lamps.values():
            self._send(self._message(lights[0], 0.0, "white"))
        for message in self._compiled.profile.exit:
            self._send(message)

    def flash(self, message: Message) -> None:
        """A press of this control was refused."""
        self._refused_s[message] = self._view.now_s

    def on_event(self, event: Event) -> None:
        """The engine refused a command: the lamp of the pad or deck that it was for flashes."""
        if event.kind != Kind.REFUSED:
            return
        for one in map(self._now, self._lamps.values()):
            if one is None:
                continue
            if (one.subject == "pad" and event.code in _PAD_COMMANDS and event.index == self._view.cell(one.number)) or (
                one.subject == "deck" and event.code in _DECK_COMMANDS and event.index == one.number - 1
            ):
                self.flash(one.message)

    def tick(self) -> None:
        """Send what has changed, up to MESSAGES_A_TICK; call it every TICK_S after the view's refresh."""
        budget = MESSAGES_A_TICK
        while self._greeting and budget:
            if not self._send(self._greeting[0]):
                return
            self._greeting.pop(0)
            budget -= 1
        lamps, now_s = list(self._lamps.items()), self._view.now_s
        for count in range(len(lamps)):
            at = (self._start + count) % len(lamps)
            message, lights = lamps[at]
            one = self._now(lights)
            data = self._message(one or lights[0], *(self._shown(one) if one else (0.0, "white")))
            if self._sent.get(message) == data or now_s - self._sent_s.get(message, 0.0) < LAMP_S:
                continue
            if budget == 0 or not self._send(data):
                self._start = at  # whoever had to wait is first next time
                return
            budget -= 1
            self._sent[message] = data
            self._sent_s[message] = now_s
        self._start = 0

    def _now(self, lights: list[Light]) -> Light | None:
        """Which of a lamp's lights counts in the layers that are on."""
        return next((one for one in lights if all(self._layers.get(name) == value for name, value in one.layers)), None)

    def _message(self, one: Light, level: float, colour: str) -> bytes:
        data = encode(one, level, colour)
        before = self._sent.get(one.message)
        if one.lamp.kind == "numbers" and level < LIT and before is not None:
            return bytes((before[0], before[1], one.lamp.dark))  # it is dark under the number that lit it
        return data

    def _shown(self, one: Light) -> tuple[float, str]:
        view = self._view
        if one.lamp.kind in SCALES:
            return self._share(one), "white"
        if (share := self._held(one.message)) is not None:
            return quickening(share)
        if (since := self._refused_s.get(one.message)) is not None:
            if (flash := refused(view.now_s - since)) is not None:
                return flash
            del self._refused_s[one.message]
        match one.subject:
            case "pad" if self._asks():
                return view.status(one.number)
            case "pad":
                look, colour, progress = view.pad(one.number, shifted=bool(self._layers.get(SHIFT)))
            case "deck":
                look, colour, progress = view.deck(one.number)
            case "scene":
                look, colour, progress = view.scene(one.number)
            case "pressed":
                return (BRIGHT if self._is_down(one.message) else 0.0), one.colour
            case "layer":
                value = self._layers.get(one.address, 0)
                on = value == one.equals if one.equals is not None else bool(value)
                return (BRIGHT if on else 0.0), one.colour
            case _:
                value = view.value(one.address)
                on = value == one.equals if one.equals is not None else bool(value)
                if one.above is not None:
                    on = isinstance(value, int | float) and value > one.above
                return (BRIGHT if on else 0.0), one.colour
        return light(look, colour, view.moment, progress)


    def _share(self, one: Light) -> float:
        """Where a value is between the ends, 0…1; a meter falls slowly, as people read them."""
        value = self._view.value(one.address)
        value = float(value) if isinstance(value, int | float) else 0.0
        low, high = one.ends
        if one.lamp.kind == "meter":
            value = 20 * math.log10(max(value, 1e-9))
        share = min(max((value - low) / (high - low), 0.0), 1.0) if high != low else 0.0
        if one.lamp.kind == "meter":
            before, at_s = self._falling.get(one.message, (0.0, self._view.now_s))
            share = max(share, before - (self._view.now_s - at_s) * FALL_DB_S / abs(high - low))
            self._falling[one.message] = share, self._view.now_s
        return share


def encode(one: Light, level: float, colour: str) -> bytes:
    """The message that makes a lamp show a level 0…1 and a colour, as far as it can; a ring or meter shows the level."""
    status, number = one.message
    lamp = one.lamp
    match lamp.kind:
        case "one-colour":
            value = _one_colour(lamp, level)
        case "ring" | "meter":
            value = lamp.values[round(level * (len(lamp.values) - 1))]
        case "numbers":
            offset = lamp.colours.get(colour, lamp.colours["white"])
            assert isinstance(offset, int)
            number, value = min(number + offset, 127), lamp.lit if level >= LIT else lamp.dark
        case "rgb":
            value = 0
        case _:
            status, value = _palette(lamp, status, level, colour)
    if not one.template:
        return bytes((status, number, value))
    parts = [round(part * level * lamp.most / 255) for part in RGB[colour]] if lamp.kind == "rgb" else [0, 0, 0]
    words = {"nn": number, "ss": status, "vv": value, "rr": parts[0], "gg": parts[1], "bb": parts[2]}
    return bytes(part if isinstance(part, int) else words[part] if part in words else one.member + int(part[1:] or 0)
                 for part in one.template)


def _palette(lamp: Lamp, status: int, level: float, colour: str) -> tuple[int, int]:
    """Status and value: brightness by channel, by the colour's own shades, or not at all."""
    shades = lamp.colours.get(colour, lamp.colours["white"])
    if lamp.levels:
        step = min(max(math.ceil(level * len(lamp.levels)), 1), len(lamp.levels)) - 1
        status = (status & 0xF0) | (lamp.levels[step] - 1)
        if level <= 0.0:
            return status, lamp.dark
    elif level <= 0.0 or (level < LIT and isinstance(shades, int)):
        return status, lamp.dark
    if isinstance(shades, int):
        return status, shades
    return status, shades[min(math.ceil(level * len(shades)), len(shades)) - 1]


def _one_colour(lamp: Lamp, level: float) -> int:
    if level < LIT:
        return lamp.dark
    return lamp.dim if lamp.dim is not None and level < 0.6 else lamp.lit


__all__ = ["Lamps", "Look", "encode"]
