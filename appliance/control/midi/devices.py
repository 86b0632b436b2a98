# SPDX-License-Identifier: GPL-3.0-or-later
"""MIDI devices: who is there, which profile each one gets, which port of the engine it plays on, and what its lamps show.

A port that a profile claims gets one of the engine's ports 2…4 for itself, so that two devices may use the same notes; all
others share port 1 with the generic profile. A device that comes back gets the port that it had.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.bus import layout
from appliance.bus.events import Event, Kind
from appliance.bus.midi_out import MidiOut
from appliance.control.desk import Desk
from appliance.control.hid.devices import KeyDevices
from appliance.control.learn.teacher import Learn
from appliance.control.learn.where import Sources
from appliance.control.mapping.compile import Compiled
from appliance.control.mapping.controls import ALL_OFF, Message
from appliance.control.mapping.library import ProfileLibrary, shipped_folder
from appliance.control.mapping.match import fits
from appliance.control.mapping.profile import Device as DeviceFacts
from appliance.control.mapping.profile import DeviceKind
from appliance.control.mapping.table import PortTable
from appliance.control.midi.addresses import DeviceAddresses, Played
from appliance.control.midi.alsa import AlsaPorts
from appliance.control.midi.hand import Hand
from appliance.control.midi.jackports import ENGINE_INPUT, JackPorts, MidiPort, Pair
from appliance.control.midi.leds import TICK_S, Lamps
from appliance.control.midi.places import BRIDGES, Place, Places, make_of, numbers_in
from appliance.control.midi.reading import obey
from appliance.control.midi.router import Router
from appliance.control.midi.view import View
from appliance.control.midi.watch import Watch
from appliance.control.osc.devices import OscDevices
from appliance.namespace import Address

log = logging.getLogger(__name__)

SCAN_S = 0.5
IDLE_S = 0.5
ENGINE = re.compile(r"appliance-[ab](-\d+)?$")
OURS = "appliance-"
LOOPBACK = re.compile(r"midi[ _-]?through|loopback", re.IGNORECASE)
"""ALSA's and PipeWire's own loops: what goes in comes out again, so lamps would play pads."""


@dataclass(eq=False, slots=True)
class Device:
    """A port that a profile claims. ``slot`` 1…3 is its port of the engine, counted from 0."""

    name: str
    compiled: Compiled
    slot: int
    sink: str | None
    hand: Hand
    place: Place
    births: int
    lamps: Lamps | None = None


class Devices:
    """Everything about MIDI in control. ``run`` until it is cancelled."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        config = desk.box.config
        own = () if desk.safe else (desk.box.data / "mappings", *config.mappings.folders)
        self._library = ProfileLibrary((shipped_folder(), *own))
        self._table = PortTable(desk.box)
        self._out = MidiOut(desk.box.segment)
        self._router = Router(desk)
        self._programs = OscDevices(desk, self._router)
        self._keys = KeyDevices(desk, self._router)
        self._view = View(desk)
        self.watch = Watch(desk, Sources(self.path_of), self._table.tell_all)
        self._addresses = DeviceAddresses(desk, self._played)
        self._learn = Learn(desk, self)
        self._devices: dict[str, Device] = {}
        self._generic: Hand | None = None
        self._places = Places()
        self._generic_ports: dict[str, int] = {}
        self._ports: list[MidiPort] = []
        self._said: set[str] = set()
        self._jack: JackPorts | None = None
        self._alsa: AlsaPorts | None = None
        self._lit = asyncio.Event()
        self._scanning = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._desk.register("/system/profiles/reload", self._reload)
        self._desk.monitored_by(self.watch.listen)
        self._learn.start()
        try:
            await self._scan()
            self._desk.on_event(self._on_event)
            self._desk.osc_programs = self._programs.take
            self._start_threads()
            await asyncio.gather(self._watch_files(), self._light(), self._keys.run())
        finally:
            self._desk.monitored_by(None)
            self._learn.end()
            self._loop = None
            await self._stop()

    def _start_threads(self) -> None:
        config = self._desk.box.config
        if config.audio.backend == "jack":
            self._jack = JackPorts(config.audio.server, self._later(self._ports_changed), self._later(self._connected),
                                   self._later(self._desk.say))
            self._jack.start()
        if config.mappings.alsa:
            self._alsa = AlsaPorts(self._desk, self._library, self._router, self._view, self._later, self._is_jacks)
            self._alsa.watch = self.watch
            self._alsa.start()

    async def _stop(self) -> None:
        for device in self._devices.values():
            if device.lamps:
                device.lamps.leave()
        threads = [thread for thread in (self._jack, self._alsa) if thread is not None]
        await asyncio.gather(*(asyncio.to_thread(thread.stop) for thread in threads))
        self._desk.osc_programs = None
        self._programs.close()
        self._keys.close()
        self._router.stop()
        self._view.close()

    def _later(self, work: Callable[..., Any]) -> Callable[..., None]:
        """``work`` called from another thread, done on the loop."""

        def call(*args: Any) -> None:
            loop = self._loop
            if loop is not None and not loop.is_closed():
                loop.call_soon_threadsafe(work, *args)

        return call

    # -- profiles

    async def _watch_files(self) -> None:
        while True:
            await asyncio.sleep(SCAN_S)
            await self._scan()
            self._addresses.tell()

    async def _scan(self) -> int:
        """Read what has changed on a thread; put it in force. How many profiles there are."""
        async with self._scanning:
            changed, said = await asyncio.to_thread(self._library.scan)
        for line in said:
            self._desk.say(line)
        if changed:
            fallback = self._library.fallback()
            self._table.put(0, fallback)
            if fallback and self._table.plane(0) >= len(fallback.planes):
                self._table.forget(0)
            self._generic = Hand(fallback, self._router, plane=self._table.plane(0)) if fallback else None
            self._programs.use(self._library.of_kind(DeviceKind.OSC))
            self._keys.use(self._library.of_kind(DeviceKind.KEYS))
            self._assign()
            if self._alsa is not None:
                self._alsa.profiles_changed()
        return len(self._library.in_force())

    rescan = _scan

    async def _reload(self, address: Address, args: list[Any]) -> Any:
        self._library.forget()
        return {"profiles": await self._scan()}

    # -- ports

    def _ports_changed(self, ports: list[MidiPort]) -> None:
        self._ports = ports
        self._assign()

    def _is_jacks(self, name: str) -> bool:
        """Whether JACK owns the device with this ALSA name: one owner a device."""
        wanted = re.sub(r"[\W_]+", "", re.sub(r"\d+:\d+$", "", name).split(":")[-1]).lower()
        return any(wanted and wanted in re.sub(r"[\W_]+", "", other).lower()
                   for port in self._ports if not port.client.startswith(OURS) for other in port.names)

    def _assign(self) -> None:
        """Give every port its profile and place, and say which connections should be."""
        usable = [p for p in self._ports if not p.client.startswith(OURS) and not any(LOOPBACK.search(n) for n in p.names)]
        sources, sinks = [p for p in usable if p.source], [p for p in usable if not p.source]
        engines = sorted({p.client for p in self._ports if ENGINE.fullmatch(p.client)})
        before, self._devices = self._devices, {}
        births = {port.name: port.births for port in sources}
        for name in [name for name, device in before.items() if births.get(name) != device.births]:
            self._let_go(before.pop(name))  # it has gone, or has gone and come back since the last look
        seated = self._seat({port.name: port for port in sources})
        lamps = pair([(port, compiled.profile.device) for port, compiled, _ in seated], sinks)
        for port, compiled, place in seated:
            self._place(before.get(port.name), port, compiled, place, lamps.get(port.name))
        generic = [port.name for port in sources if port.name not in self._devices]
        self._watch_generic({name: births[name] for name in generic})
        pairs = [(name, f"{engine}:midi_in") for engine in engines for name in generic if self._library.fallback()]
        for device in self._devices.values():
            for engine in engines:
                pairs.append((device.name, f"{engine}:midi_in_{device.slot + 1}"))
                if device.sink:
                    pairs.append((f"{engine}:midi_out_{device.slot + 1}", device.sink))
        if self._jack is not None:
            self._jack.want(tuple(pairs))
        self._publish(generic)
        self._addresses.tell()

    def _seat(self, sources: dict[str, MidiPort]) -> list[tuple[MidiPort, Compiled, Place]]:
        """Those that a profile claims and for which there is a port of the engine. Who had one keeps it; who comes back gets it
        again."""
        chosen = {name: compiled for name, port in sources.items()
                  if (compiled := self._library.choose(port.names)) and not compiled.profile.device.fallback}
        places = self._places.find([(name, sources[name].names) for name in chosen])
        for name, place in places.items():
            if not place.slot:
                place.slot = _slot_of(sources[name])  # an earlier life of this process has connected it there
        seated: list[tuple[MidiPort, Compiled, Place]] = []
        used: set[int] = set()
        for name in sorted(places, key=lambda name: (not places[name].slot, places[name].make, places[name].number)):
            if slot := self._places.seat(places[name], layout.MIDI_PORTS - 1, used):
                used.add(slot)
                seated.append((sources[name], chosen[name], places[name]))
            else:
                self._say_once(f"MIDI: {name} plays as a generic device: all {layout.MIDI_PORTS - 1} places for devices with a "
                               f"profile are taken; unplug one")
        return seated

    def _let_go(self, device: Device) -> None:
        """It went in the middle of something: what it held is released, as if it had come up; layers that are held end, those
        that are chosen come back with it."""
        plane = device.compiled.planes[min(device.hand.plane, len(device.compiled.planes) - 1)]
        held = [message for message in device.compiled.held_controllers if self._table.is_down(device.slot, message)]
        device.hand.leave()
        device.place.latched = device.hand.latched
        for message in held:
            obey(self._desk, plane.get(message), message[0], 0)
        self._release_keys(device.slot, device.compiled)
        self._table.forget(device.slot, device.hand.plane)

    def _release_keys(self, slot: int, compiled: Compiled, channel: int | None = None) -> None:
        for plane, bank, status, number in self._table.let_go(slot, channel):
            obey(self._desk, compiled.planes[plane].get((status, number)), status, 0, bank=bank or None)

    def _watch_generic(self, ports: dict[str, int]) -> None:
        """When a device without a profile goes, all that such devices hold is let go of: which of them held it is not known."""
        gone = [name for name, births in self._generic_ports.items() if ports.get(name) != births]
        self._generic_ports = ports
        fallback = self._library.fallback()
        if gone and fallback is not None and self._generic is not None:
            self._generic.leave()
            self._release_keys(0, fallback)

    def _place(self, before: Device | None, port: MidiPort, compiled: Compiled, place: Place, sink: str | None) -> None:
        slot = place.slot
        if before is not None and before.compiled is compiled and before.slot == slot:
            before.sink = sink  # once it is connected, it is told everything
            self._devices[port.name] = before
            return
        plane, latched = self._table.plane(slot), None
        if (before is None and self._table.is_known(slot)) or plane >= len(compiled.planes):
            latched = place.latched
            plane = Hand(compiled, self._router, latched=latched).plane
            self._table.forget(slot, plane)
        self._table.put(slot, compiled)

        def send(data: bytes) -> bool:
            return self._out.send(slot, data)

        hand = Hand(compiled, self._router, lambda message: self._flash(port.name, message), send, plane, latched)
        if before is not None:
            hand.adopt(before.hand)
        device = self._devices[port.name] = Device(port.name, compiled, slot, sink, hand, place, port.births)
        if compiled.lights or compiled.profile.init:
            device.lamps = Lamps(compiled, self._view, send, hand.layers, lambda message: self._table.is_down(slot, message),
                                 hand.held, hand.asks)
            device.lamps.resync()
            self._lit.set()
        log.info("MIDI: %s is %s on midi_in_%d", port.name, compiled.profile.name, slot + 1)

    def _connected(self, pair: Pair) -> None:
        """A connection stands. The way to a device's lamps: now they can hear us."""
        for device in self._devices.values():
            if device.lamps is not None and pair[1] == device.sink:
                device.lamps.resync()

    def _publish(self, generic: list[str]) -> None:
        in_force = []
        for path, held in self._library.in_force():
            ports: list[dict[str, Any]] = []
            if (compiled := held.compiled) is not None:
                ports += [{"port": d.name, "engine": f"midi_in_{d.slot + 1}", "lamps": d.sink, "number": d.place.number}
                          for d in self._devices.values() if d.compiled is compiled]
                if compiled is self._library.fallback():
                    ports += [{"port": name, "engine": "midi_in", "lamps": None} for name in generic]
                ports += [{"port": place, "engine": None, "lamps": None}
                          for place in (*self._programs.present(compiled), *self._keys.present(compiled))]
            in_force.append({"profile": held.name, "file": str(path), "devices": ports})
        self._desk.publish("/system/profiles", in_force)

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._desk.say(line)

    # -- messages and lamps

    def _on_event(self, event: Event) -> None:
        if self._loop is None:
            return  # we have ended; the desk's listeners stay
        if event.kind == Kind.MIDI:
            self._take(event)
            return
        if self.watch.open:
            self.watch.event(event)
        if event.kind == Kind.REFUSED:
            for lamps in self._all_lamps():
                lamps.on_event(event)

    def _take(self, event: Event) -> None:
        data = int(event.a), int(event.b), int(event.c)
        hands = [(device.name, device.hand) for device in self._devices.values() if device.slot == event.index]
        if event.index == 0 and self._generic is not None:
            hands.append((" | ".join(self._generic_ports), self._generic))
        for name, hand in hands:
            before = dict(hand.layers)
            if self.watch.open:
                with self.watch.message(name, hand, data, event.frame / self._desk.box.rate, event.frame):
                    hand.take(*data)
            else:
                hand.take(*data)
            self._notes_off(event.index, hand, data[0], data[1])
            if hand.layers != before:
                self._addresses.tell()

    # -- what others ask of devices

    def _played(self) -> dict[int, Played]:
        """By number: the engine's places first, then those of ALSA."""
        found: dict[int, Played] = {}
        for device in self._devices.values():
            found[device.slot] = Played(device.name, device.hand, lambda one=device: self._put_plane(one),
                                        lambda status, number, slot=device.slot: self._table.last(slot, status, number))
        for number, device in enumerate(self._alsa.devices if self._alsa is not None else (), layout.MIDI_PORTS):
            if device.hand is not None and not device.compiled.profile.device.fallback:
                found[number] = Played(device.name, device.hand, lambda: None,
                                       lambda status, number, one=device: one.last.get((status, number), -1))
        return found

    def _put_plane(self, device: Device) -> None:
        self._table.put_plane(device.slot, device.hand.plane)

    def path_of(self, compiled: Compiled) -> Path | None:
        """The file of a profile in force."""
        return next((path for path, held in self._library.in_force() if held.compiled is compiled), None)

    def names_of(self, device: str) -> tuple[str, ...]:
        """The name of a port and its other names."""
        return next((port.names for port in self._ports if port.name == device and port.source), (device,))

    def profile_of(self, device: str) -> Compiled | None:
        alsa = self._alsa.devices if self._alsa is not None else []
        found = [one.compiled for one in (*self._devices.values(), *alsa) if one.name == device]
        return found[0] if found else self._library.fallback()

    def layers_of(self, device: str) -> dict[str, int]:
        return next((dict(one.hand.layers) for one in self._played().values() if one.name == device), {})

    def _notes_off(self, slot: int, hand: Hand, status: int, number: int) -> None:
        """Only what the profile does not bind itself means that no key is down."""
        if status & 0xF0 == 0xB0 and number in ALL_OFF and (status, number) not in hand.compiled.bound:
            hand.notes_off(status & 15)
            self._release_keys(slot, hand.compiled, status & 15)

    def _flash(self, name: str, message: Message) -> None:
        device = self._devices.get(name)
        if device is not None and device.lamps is not None:
            device.lamps.flash(message)

    def _all_lamps(self) -> list[Lamps]:
        lamps = [device.lamps for device in self._devices.values() if device.lamps is not None]
        return lamps + (self._alsa.lamps if self._alsa is not None else [])

    async def _light(self) -> None:
        """Fifty times a second while there are lamps; a device that comes need not wait for the next look."""
        while True:
            self._lit.clear()
            lamps = self._all_lamps()
            if lamps:
                self._view.refresh()
                for one in lamps:
                    one.tick()
                await asyncio.sleep(TICK_S)
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._lit.wait(), IDLE_S)


def _slot_of(port: MidiPort) -> int:
    """The engine's port for devices that a source is connected to, from 1; 0 when there is none."""
    places = [found[1] for name in port.feeds if (found := ENGINE_INPUT.fullmatch(name)) and found[1]]
    return int(places[0]) - 1 if places else 0


def pair(devices: list[tuple[MidiPort, DeviceFacts]], sinks: list[MidiPort]) -> dict[str, str]:
    """The port that each device's lamps hear. The pairs that are most alike come first, over all devices: of two of the same
    make, neither takes the other's. Nobody listens to lamps of another client, where clients are devices and it has its own."""
    found: list[tuple[tuple[bool, bool, float], str, str]] = []
    for port, device in devices:
        for sink in sinks:
            if fits(device, sink.names, output=True):
                likeness = (sink.client == port.client, numbers_in(sink.names) == numbers_in(port.names),
                            difflib.SequenceMatcher(None, sink.name, port.name).ratio())
                found.append((likeness, port.name, sink.name))
    owners = {port.client for port, _ in devices} - set(BRIDGES)
    pairs: dict[str, str] = {}
    for (own, same, _), source, sink in sorted(found, reverse=True):
        stranger = not own and sink.partition(":")[0] in owners
        twin = own and not same and source.partition(":")[0].lower() in BRIDGES
        if source not in pairs and sink not in pairs.values() and not stranger and not (twin and _has_twin(source, devices)):
            pairs[source] = sink
    return pairs


def _has_twin(name: str, devices: list[tuple[MidiPort, DeviceFacts]]) -> bool:
    """Whether another device of the same make is here."""
    makes = {port.name: make_of(port.names) for port, _ in devices}
    return sum(make == makes[name] for make in makes.values()) > 1
