# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys as controls: the devices that a profile names are opened, grabbed and heard while they are there.

Lives on control's loop: a key is read as soon as it comes, and there are never so many that they would hold anything up.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from appliance.control.desk import Desk
from appliance.control.hid.opener import EV_KEY, EV_SYN, INPUT, SYN_DROPPED, SYS, EvdevDevice, Opened, Present, present
from appliance.control.mapping.compile import Compiled
from appliance.control.mapping.controls import FULL, NO_MESSAGE, Control, Touch
from appliance.control.mapping.match import matches
from appliance.control.mapping.profile import Device
from appliance.control.midi.hand import Hand
from appliance.control.midi.router import Router

log = logging.getLogger(__name__)

LOOK_S = 0.5
UP, DOWN = 0, 1

Open = Callable[[Path], Opened]


@dataclass(eq=False, slots=True)
class Keypad:
    """An open device. ``down``: the keys that are held."""

    present: Present
    compiled: Compiled
    opened: Opened
    hand: Hand
    controls: dict[int, Control]
    down: set[int] = field(default_factory=set)


class KeyDevices:
    """``use`` the profiles; ``run`` until it is cancelled; ``close`` lets go of everything."""

    def __init__(
        self, desk: Desk, router: Router, *, opener: Open = EvdevDevice, folder: Path = INPUT, sys: Path = SYS,
    ) -> None:
        self._desk = desk
        self._router = router
        self._open_device = opener
        self._folder = folder
        self._sys = sys
        self._profiles: list[Compiled] = []
        self._keypads: dict[Path, Keypad] = {}
        self._latched: dict[tuple[str, str, str], dict[str, int]] = {}
        self._left_alone: dict[Path, tuple[int, int]] = {}
        self._said: set[str] = set()
        self._missing = False

    def use(self, profiles: Iterable[Compiled]) -> None:
        """These are in force; a device whose profile has changed is opened again with the new one."""
        self._profiles = list(profiles)
        for keypad in tuple(self._keypads.values()):
            if self._choose(keypad.present) is not keypad.compiled:
                self._close(keypad)
        self._left_alone.clear()

    def present(self, compiled: Compiled) -> list[str]:
        return [keypad.present.name for keypad in self._keypads.values() if keypad.compiled is compiled]

    async def run(self) -> None:
        while True:
            if self._profiles and not self._missing:
                self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Open what has come, close what has gone."""
        try:
            there = present(self._folder, self._sys)
        except FileNotFoundError:
            there = []  # no input devices at all: one may come
        except OSError as error:
            self._say("folder", f"{self._folder} cannot be read ({error.strerror}): keypads and foot switches are not heard")
            return
        by_node = {one.node: one for one in there}
        for keypad in tuple(self._keypads.values()):
            now = by_node.get(keypad.present.node)
            if now is None or now.stamp != keypad.present.stamp:
                self._close(keypad)
        for one in there:
            if one.node not in self._keypads and self._left_alone.get(one.node) != one.stamp and (mine := self._choose(one)):
                self._open(one, mine)

    def close(self) -> None:
        for keypad in tuple(self._keypads.values()):
            self._close(keypad)

    def _choose(self, one: Present) -> Compiled | None:
        """The profile that fits best: by its number, then by the longest part of its name."""
        fitting = [(fit, compiled) for compiled in self._profiles if (fit := how_well(compiled.profile.device, one))]
        return max(fitting, key=lambda pair: pair[0])[1] if fitting else None

    def _open(self, one: Present, compiled: Compiled) -> None:
        opened: Opened | None = None
        try:
            opened = self._open_device(one.node)
            if compiled.profile.device.grab:
                opened.grab()
        except ImportError:
            self._missing = True
            self._say("evdev", f"{one.name} is there, but the Python package evdev is not: its keys are not heard; "
                               "pip install 'appliance[keys]'")
            return
        except OSError as error:
            if opened is not None:
                opened.close()
            self._refuse(one, error)
            return
        key = (compiled.profile.name, one.usb, one.path)
        hand = Hand(compiled, self._router, latched=self._latched.get(key))
        keypad = self._keypads[one.node] = Keypad(one, compiled, opened, hand, _controls(compiled))
        asyncio.get_running_loop().add_reader(opened.fd, self._read, keypad)
        log.info("keys: %s (%s) is %s", one.name, one.node, compiled.profile.name)

    def _refuse(self, one: Present, error: OSError) -> None:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return  # it went while we opened it
        if error.errno in (errno.EACCES, errno.EPERM):
            self._say("rights", f"{one.name}: its keys may not be read ({one.node}: {error.strerror}): add the box's user to "
                                "the group input (sudo usermod -aG input USER), start the box again")
            self._left_alone[one.node] = one.stamp
        elif error.errno == errno.EBUSY:
            self._say(one.name, f"{one.name}: another program has taken its keys for itself; close that, or say grab: false "
                                "in the profile")
        else:
            self._say(one.name, f"{one.name}: its keys cannot be read ({one.node}: {error.strerror})")
            self._left_alone[one.node] = one.stamp

    def _close(self, keypad: Keypad) -> None:
        """It has gone, or is let go: what it held is released."""
        if self._keypads.pop(keypad.present.node, None) is None:
            return
        asyncio.get_running_loop().remove_reader(keypad.opened.fd)
        try:
            keypad.opened.close()
        except OSError as error:
            log.debug("keys: %s: %s", keypad.present.node, error)
        keypad.hand.leave()
        self._latched[keypad.compiled.profile.name, keypad.present.usb, keypad.present.path] = keypad.hand.latched
        log.info("keys: %s (%s) has gone", keypad.present.name, keypad.present.node)

    # -- keys

    def _read(self, keypad: Keypad) -> None:
        try:
            events = keypad.opened.read()
        except BlockingIOError:
            return
        except OSError:
            events = []
        if not events:  # the end: it was pulled out
            self._close(keypad)
            return
        for kind, code, value in events:
            if kind == EV_KEY and value in (UP, DOWN):
                self._key(keypad, code, down=value == DOWN)
            elif kind == EV_SYN and code == SYN_DROPPED:
                self._catch_up(keypad)

    def _key(self, keypad: Keypad, code: int, *, down: bool) -> None:
        """A control with several keys is held while one of them is."""
        control = keypad.controls.get(code)
        if control is None or down == (code in keypad.down):
            return
        (keypad.down.add if down else keypad.down.discard)(code)
        others = any(keypad.controls[other] == control for other in keypad.down - {code})
        if not others:
            keypad.hand.touch(Touch(control, 1.0 if down else 0.0, FULL, 0, NO_MESSAGE))

    def _catch_up(self, keypad: Keypad) -> None:
        """The kernel has lost some: what it says is down now counts."""
        try:
            down = keypad.opened.down()
        except OSError:
            return
        for code in keypad.down - down:
            self._key(keypad, code, down=False)

    def _say(self, what: str, line: str) -> None:
        """Once."""
        if what not in self._said:
            self._said.add(what)
            self._desk.say(line)


def how_well(device: Device, one: Present) -> int:
    """How well a device fits; 0: not at all."""
    if matches(device.exclude, (one.name,)):
        return 0
    return 1000 if one.usb in device.usb else matches(device.match, (one.name,))


def _controls(compiled: Compiled) -> dict[int, Control]:
    return {code: control for control in dict.fromkeys((*compiled.rules, *compiled.layer_of))
            for code in (compiled.profile.surface[control[0]].key or [])[control[1] - 1]}
