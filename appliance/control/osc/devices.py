# SPDX-License-Identifier: GPL-3.0-or-later
"""Other programs as devices: what they send at addresses of their own plays the box as their profile says, and they are shown
what it does.

A program is told only what differs from what it shows: what it has sent itself it never hears back.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from appliance.bus.pattern import compile_pattern, is_pattern
from appliance.control.desk import Desk
from appliance.control.mapping.compile import Compiled
from appliance.control.mapping.controls import FULL_14, NO_MESSAGE, Control, Touch
from appliance.control.mapping.echoes import Echo
from appliance.control.mapping.oscforms import VALUE, OscControl, Peer
from appliance.control.mapping.profile import Device, Mode, Surface
from appliance.control.midi.hand import Hand
from appliance.control.midi.router import Router, place_of
from appliance.control.osc.packet import IMMEDIATELY, Message, encode
from appliance.errors import ApplianceError, BadValue
from appliance.namespace import Type
from appliance.nodes import NAMESPACE

INTERVAL_S = 1 / 60
"""Each control of a program is told of a change so often at most."""
SETTLE_S = 0.1
"""So long after a press a program's button is told what it stands for, if it shows something else."""
SILENT_S = 60.0
"""A program that begins to speak again after so long may be another: it is told everything."""
FARTHEST_S = 3600.0
MOST_PROGRAMS = 16
"""Of one profile."""
MOST_WAITING = 256

Key = tuple[Peer | None, str, tuple[str | int | float, ...]]
"""A lamp or fader of a program: see :class:`Echo`."""


@dataclass(eq=False, slots=True)
class Program:
    """One program at its profile. ``peer``: where it listens, when that is known; ``shown``: what each of its faders shows."""

    compiled: Compiled
    hand: Hand
    peer: Peer | None
    heard_s: float = -1e9
    shown: dict[Key, float | str] = field(default_factory=dict)
    pending: dict[Key, Echo] = field(default_factory=dict)
    settling: dict[Key, asyncio.TimerHandle] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Heard:
    """A control and how its messages look."""

    control: Control
    surface: Surface
    form: OscControl


class OscDevices:
    """Lives on control's loop. ``use`` the profiles, then :meth:`take` what the namespace does not know."""

    def __init__(self, desk: Desk, router: Router) -> None:
        self._desk = desk
        self._router = router
        self._profiles: list[tuple[Compiled, dict[str, list[Heard]]]] = []
        self._programs: dict[tuple[int, str], Program] = {}
        self._echoes: dict[str, list[Compiled]] = {}
        self._touching: tuple[Program, Control] | None = None
        self._flushing: asyncio.TimerHandle | None = None
        self._flushed_s = 0.0
        self._waiting: set[asyncio.TimerHandle] = set()
        self._leave: Callable[[], None] = desk.subscribe(self._changed, lambda address: address in self._echoes)

    def use(self, profiles: Iterable[Compiled]) -> None:
        """These are in force; those that name a host come before those that hear everybody."""
        ordered = sorted(profiles, key=lambda compiled: not compiled.profile.device.origin)
        self._profiles = [(compiled, _addresses(compiled)) for compiled in ordered]
        kept = {id(compiled) for compiled in ordered}
        for key in [key for key in self._programs if key[0] not in kept]:
            self._end(self._programs.pop(key))
        self._echoes = {}
        for compiled in ordered:
            for address in {echo.address for echo in compiled.echoes}:
                self._echoes.setdefault(address, []).append(compiled)
            if compiled.profile.device.peer is not None:
                self._program(compiled, ("", 0))
        self._desk.interest_changed()

    def close(self) -> None:
        self._leave()
        for program in self._programs.values():
            self._end(program)
        for timer in (*self._waiting, *([self._flushing] if self._flushing else [])):
            timer.cancel()

    def present(self, compiled: Compiled) -> list[str]:
        """Where the programs of a profile are, ``host:port``."""
        return [f"{program.peer[0]}:{program.peer[1]}" for program in self._programs.values()
                if program.compiled is compiled and program.peer is not None]

    # -- what programs say

    def take(self, message: Message, peer: Peer) -> bool:
        """Whether a profile knows this message. Raises :class:`BadValue` when it does and the argument is of no use."""
        found = self._find(message, peer)
        if found is None:
            return False
        compiled, heard = found
        delay_s = message.unix_ns() / 1e9 - time.time() if message.time_tag != IMMEDIATELY else 0.0
        if delay_s > 0:
            self._later(delay_s, message, peer)
            return True
        program = self._program(compiled, peer)
        first: BadValue | None = None
        for one in heard:
            try:
                self._touch(program, one, message.args, message.address)
            except BadValue as error:  # one of a pattern's: the others are done
                first = first or error
        if first is not None:
            raise first
        return True

    def _find(self, message: Message, peer: Peer) -> tuple[Compiled, list[Heard]] | None:
        for compiled, addresses in self._profiles:
            if not is_from(compiled.profile.device, peer):
                continue
            if is_pattern(message.address):
                meant = compile_pattern(message.address)
                heard = [one for address, ones in addresses.items() if meant.fullmatch(address) for one in ones]
            else:
                heard = addresses.get(message.address, [])
            if heard := [one for one in heard if one.form.is_meant(message.args)]:
                return compiled, heard
        return None

    def _later(self, delay_s: float, message: Message, peer: Peer) -> None:
        if delay_s > FARTHEST_S or len(self._waiting) >= MOST_WAITING:
            raise BadValue(f"OSC: {message.address} lies {delay_s:.0f} s ahead, and {len(self._waiting)} messages wait: "
                           "that is too much")

        def now() -> None:
            self._waiting.discard(timer)
            try:
                self.take(Message(message.address, message.args), peer)
            except ApplianceError as error:
                self._desk.say(error.message)

        timer = asyncio.get_running_loop().call_later(delay_s, now)
        self._waiting.add(timer)

    def _program(self, compiled: Compiled, peer: Peer) -> Program:
        """The program at this host; one that comes (again) is told everything."""
        to = compiled.profile.device.peer
        key = (id(compiled), "" if to else peer[0])
        program = self._programs.get(key)
        if program is None:
            own = [at for at in self._programs if at[0] == id(compiled)]
            if len(own) >= MOST_PROGRAMS:
                self._end(self._programs.pop(min(own, key=lambda at: self._programs[at].heard_s)))

            def send(datagram: bytes) -> None:
                if program is not None and program.peer is not None:
                    self._router.outlet.send(datagram, program.peer)

            program = self._programs[key] = Program(compiled, Hand(compiled, self._router, send=send), to)
            self._tell_all(program)
        if peer[1]:
            now = time.monotonic()
            if now - program.heard_s > SILENT_S and program.heard_s > 0:
                program.shown.clear()
                self._tell_all(program)
            program.heard_s = now
            if to is None:
                program.peer = peer
        return program

    def _touch(self, program: Program, heard: Heard, args: tuple[Any, ...], address: str) -> None:
        touch, raw = _read(heard, args, address)
        layers = dict(program.hand.layers)
        for echo in program.compiled.echoes:
            if raw is not None and echo.control == heard.control and echo.message.address == heard.form.address:
                program.shown[echo.key] = raw
                program.pending.pop(echo.key, None)
        self._touching = program, heard.control
        try:
            program.hand.touch(touch)
        finally:
            self._touching = None
        if program.hand.layers != layers:
            self._tell_all(program)
        for echo in program.compiled.echoes:
            if echo.control == heard.control and echo.action is None and echo.key not in program.settling:
                timer = asyncio.get_running_loop().call_later(SETTLE_S, self._settle, program, echo)
                program.settling[echo.key] = timer

    def _settle(self, program: Program, echo: Echo) -> None:
        """A button does not show what it stands for by itself: let go, it is dark, though what it started goes on."""
        program.settling.pop(echo.key, None)
        program.pending[echo.key] = echo
        self._flush_soon()

    @staticmethod
    def _end(program: Program) -> None:
        program.hand.leave()
        for timer in program.settling.values():
            timer.cancel()

    # -- what programs are shown

    def _changed(self, address: str, value: Any) -> None:
        for compiled in self._echoes.get(address, ()):
            for program in self._programs.values():
                if program.compiled is not compiled:
                    continue
                for echo in compiled.echoes:
                    if echo.address == address and self._touching != (program, echo.control):
                        program.pending[echo.key] = echo
                        self._flush_soon()

    def _tell_all(self, program: Program) -> None:
        program.pending.update((echo.key, echo) for echo in reversed(program.compiled.echoes))
        if program.pending:
            self._flush_soon()

    def _flush_soon(self) -> None:
        if self._flushing is None:
            loop = asyncio.get_running_loop()
            self._flushing = loop.call_later(max(self._flushed_s + INTERVAL_S - time.monotonic(), 0.0), self._flush)

    def _flush(self) -> None:
        self._flushing = None
        self._flushed_s = time.monotonic()
        for program in tuple(self._programs.values()):
            pending, program.pending = program.pending, {}
            for key in pending:
                self._show(program, key)

    def _show(self, program: Program, key: Key) -> None:
        """Tell what this lamp or fader shows in the layers that are on, unless it shows that already."""
        echo = next((echo for echo in program.compiled.echoes if echo.key == key
                     and all(program.hand.layers.get(name) == value for name, value in echo.layers)), None)
        peer = key[0] or program.peer
        if echo is None or peer is None:
            return
        try:
            value = self._desk.get_now(echo.address)
        except ApplianceError:
            return
        if value is None:
            return  # what another process tells, and it has not told it yet
        shown = shown_value(echo, value)
        if _is_same(program.shown.get(key), shown):
            return
        program.shown[key] = shown
        args = [shown if arg == VALUE else arg for arg in echo.message.args]
        self._router.outlet.send(encode(echo.message.address, *args), peer)


def is_from(device: Device, peer: Peer) -> bool:
    """Whether what comes from there is this program's."""
    host, port = ("127.0.0.1" if peer[0] == "localhost" else peer[0]), str(peer[1])
    for pattern in device.origin:
        wanted, _, wanted_port = pattern.partition(":")
        wanted = "127.0.0.1" if wanted == "localhost" else wanted
        if fnmatchcase(host, wanted) and wanted_port in ("", port):
            return True
    return not device.origin


def shown_value(echo: Echo, value: Any) -> float | str:
    """What a program is to show for a value of the address."""
    low, high = echo.ends
    if echo.equals is not None:
        return high if value == echo.equals else low
    if echo.above is not None:
        return high if isinstance(value, int | float) and value > echo.above else low
    node, action = NAMESPACE.find(echo.address).node, echo.action
    if node.type not in (Type.FLOAT, Type.INT, Type.BOOL, Type.CHOICE):
        return str(value)
    follows = action is not None and action.mode is Mode.FOLLOW and node.type is not Type.BOOL
    place = place_of(node.to_slot(value), action) if follows and action is not None else node.to_unit(value)
    return low + min(max(place, 0.0), 1.0) * (high - low)


def _addresses(compiled: Compiled) -> dict[str, list[Heard]]:
    found: dict[str, list[Heard]] = {}
    for control in dict.fromkeys((*compiled.rules, *compiled.layer_of)):
        surface = compiled.profile.surface[control[0]]
        form = surface.osc_controls[control[1] - 1]
        found.setdefault(form.address, []).append(Heard(control, surface, form))
    return found


def _read(heard: Heard, args: tuple[Any, ...], address: str) -> tuple[Touch, float | None]:
    """The touch, and the number that the program now shows (None where it shows none)."""
    surface, place = heard.surface, heard.form.place
    if surface.trigger:
        return Touch(heard.control, 1.0, FULL_14, 0, NO_MESSAGE), None
    if place >= len(args):
        raise BadValue(f"{address} takes a number as argument {place + 1}, as its profile says; {len(args)} came")
    given = args[place]
    if isinstance(given, str):
        if not re.fullmatch(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?\s*", given):
            raise BadValue(f"{address} takes a number as argument {place + 1}, as its profile says, not {given[:40]!r}")
        given = float(given)
    number = float(given)
    if surface.relative:
        return Touch(heard.control, 1.0, FULL_14, round(min(max(number, -1000), 1000)), NO_MESSAGE), None
    low, high = surface.range or (0.0, 1.0)
    return Touch(heard.control, min(max((number - low) / (high - low), 0.0), 1.0), FULL_14, 0, NO_MESSAGE), number


def _is_same(before: float | str | None, now: float | str) -> bool:
    """As far as a float of 32 bits tells."""
    if isinstance(before, float) and isinstance(now, float):
        return bool(np.float32(before) == np.float32(now))
    return before == now
