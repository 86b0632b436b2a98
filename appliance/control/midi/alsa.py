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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.control.desk import Desk
from appliance.control.mapping.compile import Compiled
from appliance.control.mapping.library import ProfileLibrary
from appliance.control.mapping.match import fits
from appliance.control.midi.leds import Lamps
from appliance.control.midi.reading import effect, hands_over, target
from appliance.control.midi.router import Router
from appliance.control.midi.view import View
from appliance.errors import ApplianceError

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
        self._make_lamps = later(self._light)
        self._is_jacks = is_jacks
        self._api = api
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
        if device.sink is not None:
            self._make_lamps(device)

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

    def _light(self, device: AlsaDevice) -> None:
        """On the loop: lamps live there."""
        device.lamps = Lamps(device.compiled, self._view, lambda data: _send(device, data))
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
        entry = device.compiled.entries.get((status, data1))
        if hands_over(entry):
            self._router.take(device.compiled, status, data1, data2, device.lamps.flash if device.lamps else None)
        if entry is None:
            return
        box = self._desk.box
        bank, vector = box.values.bank, box.values.vector
        place = target(entry, bank)
        result = effect(entry, status, data2, bank=bank, current=float(vector[place]) if entry.code == 0 else 0.0)
        if result is None:
            return
        if result.code < 0:
            vector[result.index] = result.amount
            return
        try:
            box.commands.send(result.code, result.index, result.amount)
        except ApplianceError as error:
            self._desk.say(error.message)

    def _close(self, device: AlsaDevice) -> None:
        for port in (device.source, device.sink):
            if port is not None:
                port.close_port()
                port.delete()
        device.sink = None

    def _close_all(self) -> None:
        while self._devices:
            self._close(self._devices.popitem()[1])


def _send(device: AlsaDevice, data: bytes) -> bool:
    sink = device.sink
    if sink is None:
        return False
    sink.send_message(data)
    return True
