# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices that JACK does not own: python-rtmidi, polled on a thread of its own.

Polled, because rtmidi's callback would run Python in a thread that must not wait. The messages are read with the same table as
the engine's (:mod:`appliance.control.midi.reading`) and reach it as commands and values, a few milliseconds later than a
device of JACK's would.
"""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.control.desk import Desk
from appliance.control.mapping.compile import Compiled
from appliance.control.mapping.controls import ALL_OFF, Message
from appliance.control.mapping.library import ProfileLibrary
from appliance.control.mapping.match import fits
from appliance.control.midi.hand import Hand
from appliance.control.midi.leds import Lamps
from appliance.control.midi.places import make_of, path_of
from appliance.control.midi.reading import obey
from appliance.control.midi.router import Router
from appliance.control.midi.view import View
from appliance.control.midi.watch import Watch

log = logging.getLogger(__name__)

SEQUENCER = Path("/dev/snd/seq")
POLL_S = 0.001
LOOK_S = 0.5
STOP_S = 0.5
CLIENT_NAME = "appliance-alsa"

Later = Callable[[Callable[..., Any]], Callable[..., None]]


@dataclass(eq=False, slots=True)
class AlsaDevice:
    name: str
    compiled: Compiled
    source: Any
    sink: Any = None
    lamps: Lamps | None = None
    hand: Hand | None = None
    last: dict[tuple[int, int], int] = field(default_factory=dict)
    """What each controller has sent last, for soft take-over."""
    down: dict[Message, int] = field(default_factory=dict)
    """Keys and buttons that are held, and the bank in which each was pressed."""


class AlsaPorts(threading.Thread):
    """``is_jacks(name)`` tells which devices JACK owns; ``later`` brings work to the loop. ``api`` is rtmidi's."""

    def __init__(
        self, desk: Desk, library: ProfileLibrary, router: Router, view: View, later: Later, is_jacks: Callable[[str], bool],
        *, api: int | None = None,
    ) -> None:
        super().__init__(name="alsa-midi", daemon=True)
        self._desk = desk
        self._library = library
        self._router = router
        self._view = view
        self._say = later(desk.say)
        self._heard = later(self._take)
        self._begin = later(self._begin_with)
        self._left = later(self._leave)
        self._latched: dict[tuple[str, str], dict[str, int]] = {}
        self._is_jacks = is_jacks
        self._api = api
        self.watch: Watch | None = None
        self._rtmidi: Any = None
        self._watcher: Any = None
        self._devices: dict[str, AlsaDevice] = {}
        self._said = False
        self._renew = False
        self._ending = threading.Event()

    @property
    def lamps(self) -> list[Lamps]:
        return [device.lamps for device in tuple(self._devices.values()) if device.lamps is not None]

    @property
    def devices(self) -> list[AlsaDevice]:
        return [device for device in tuple(self._devices.values()) if device.hand is not None]

    @property
    def names(self) -> list[str]:
        """Ports that are open."""
        return list(self._devices)

    def profiles_changed(self) -> None:
        self._renew = True

    def stop(self) -> None:
        self._ending.set()
        self.join(STOP_S)

    def run(self) -> None:
        try:
            rtmidi: Any = importlib.import_module("rtmidi")
        except ImportError:
            self._say("python-rtmidi is not installed: MIDI devices are heard through JACK only")
            return
        self._rtmidi = rtmidi
        if self._api is None:
            self._api = rtmidi.API_LINUX_ALSA
        look_at = 0.0
        while not self._ending.is_set():
            now = time.monotonic()
            if now >= look_at:
                look_at = now + LOOK_S
                self._look()
            self._poll()
            self._ending.wait(POLL_S if self._devices else LOOK_S / 2)
        self._close_all()
        if self._watcher is not None:
            self._watcher.delete()

    def _look(self) -> None:
        """Open what has come, close what has gone."""
        watcher = self._open_watcher()
        if watcher is None:
            return
        if self._renew:
            self._renew = False
            self._close_all()
        present = [name for name in watcher.get_ports() if self._usable(name)]
        for name in [name for name in self._devices if name not in present]:
            self._close(self._devices.pop(name))
        for name in present:
            if name not in self._devices:
                self._open(name)

    def _open_watcher(self) -> Any:
        if self._watcher is not None:
            return self._watcher
        if self._api == self._rtmidi.API_LINUX_ALSA and not SEQUENCER.exists():
            self._say_once(f"{SEQUENCER} is not there: MIDI devices are heard through JACK only (modprobe snd-seq brings it)")
            return None
        try:
            self._watcher = self._rtmidi.MidiIn(self._api, CLIENT_NAME)
        except Exception as error:  # noqa: BLE001 - rtmidi raises SystemError where ALSA's sequencer refuses
            self._say_once(f"ALSA's MIDI sequencer does not open ({error}): MIDI devices are heard through JACK only")
            return None
        return self._watcher

    def _say_once(self, line: str) -> None:
        if not self._said:
            self._said = True
            self._say(line)

    def _usable(self, name: str) -> bool:
        lower = name.lower()
        ours = "appliance-" in lower or "rtmidi" in lower or "midi through" in lower
        return not ours and not self._is_jacks(name)

    def _open(self, name: str) -> None:
        compiled = self._library.choose((name,))
        if compiled is None:
            return
        try:
            source = self._rtmidi.MidiIn(self._api, CLIENT_NAME)
            source.ignore_types(sysex=True, timing=True, active_sense=True)
            source.open_port(self._watcher.get_ports().index(name), "in")
        except Exception as error:  # noqa: BLE001 - it went while we opened it, or another program holds it
            log.warning("MIDI: %s cannot be opened (%s); another program may hold it", name, error)
            return
        device = AlsaDevice(name, compiled, source, self._open_sink(name, compiled))
        self._devices[name] = device
        log.info("MIDI: %s is %s, by ALSA", name, compiled.profile.name)
        self._begin(device)

    def _open_sink(self, name: str, compiled: Compiled) -> Any:
        if not compiled.lights and not compiled.profile.init:
            return None
        try:
            sink = self._rtmidi.MidiOut(self._api, CLIENT_NAME)
            names = sink.get_ports()
            fitting = [n for n in names if n == name] or [n for n in names if fits(compiled.profile.device, (n,), output=True)]
            if not fitting:
                sink.delete()
                return None
            sink.open_port(names.index(fitting[0]), "out")
            return sink
        except Exception as error:  # noqa: BLE001 - without lamps it can still be played
            log.warning("MIDI: the lamps of %s cannot be reached (%s)", name, error)
            return None

    def _begin_with(self, device: AlsaDevice) -> None:
        """On the loop: hands and lamps live there."""

        def send(data: bytes) -> bool:
            return _send(device, data)

        def flash(message: Message) -> None:
            if device.lamps is not None:
                device.lamps.flash(message)

        device.hand = Hand(device.compiled, self._router, flash, send, latched=self._latched.get(_key(device.name)))
        if device.sink is not None:
            device.lamps = Lamps(device.compiled, self._view, send, device.hand.layers, lambda message: message in device.down,
                                 device.hand.held, device.hand.asks)
            device.lamps.resync()

    def _poll(self) -> None:
        for device in tuple(self._devices.values()):
            while (message := device.source.get_message()) is not None:
                self._heard(device, bytes(message[0]))

    def _take(self, device: AlsaDevice, data: bytes) -> None:
        """On the loop: what the engine would have done, then what control does."""
        if not 2 <= len(data) <= 3 or not 0x80 <= data[0] <= 0xEF:
            return
        status, data1, data2 = data[0], data[1], data[2] if len(data) == 3 else 0
        if device.hand is None:
            return
        message, bank = (status | 0x10 if status < 0xA0 else status, data1), self._router.bank
        if data2 and 0x90 <= status < 0xA0 and device.down.get(message, bank) != bank:
            self._take(device, bytes((status - 0x10, data1, 0)))  # pressed again in another bank: both must come up
        if data2 and status >= 0x90:
            device.down[message] = bank
        else:
            bank = device.down.pop(message, bank)
        watch = self.watch.message(device.name, device.hand, (status, data1, data2), time.monotonic()) if self.watch else None
        with watch or nullcontext():
            entry = device.hand.take(status, data1, data2)
            last = device.last.get((status, data1), -1)
            if status & 0xF0 == 0xB0:
                device.last[status, data1] = data2
            obey(self._desk, entry, status, data2, last, bank)
        if status & 0xF0 == 0xB0 and data1 in ALL_OFF and (status, data1) not in device.compiled.bound:
            self._release(device, status & 15)

    def _release(self, device: AlsaDevice, only: int | None = None) -> None:
        """The keys that are down (of one channel) come up."""
        for status, number in tuple(device.down):
            if status & 0xF0 == 0x90 and only in (None, status & 15):
                self._take(device, bytes((status - 0x10, number, 0)))

    def _leave(self, device: AlsaDevice) -> None:
        """On the loop: what it held is let go, as if it had come up."""
        if device.hand is None:
            return
        self._release(device)
        for status, number in tuple(device.down):
            if (status, number) in device.compiled.held_controllers:
                self._take(device, bytes((status, number, 0)))
        device.hand.leave()
        self._latched[_key(device.name)] = device.hand.latched

    def _close(self, device: AlsaDevice) -> None:
        for port in (device.source, device.sink):
            if port is not None:
                port.close_port()
                port.delete()
        device.sink = None
        if device.hand is not None:
            self._left(device)

    def _close_all(self) -> None:
        while self._devices:
            self._close(self._devices.popitem()[1])


def _key(name: str) -> tuple[str, str]:
    """Which device it is, whatever its number."""
    return make_of((name,)), path_of((name,))


def _send(device: AlsaDevice, data: bytes) -> bool:
    sink = device.sink
    if sink is None:
        return False
    sink.send_message(data)
    return True
