# SPDX-License-Identifier: GPL-3.0-or-later
"""The JACK connections of an engine's ports: made at the start, remembered, restored, and mirrored by the standby.

The playing engine's connections are the truth. Whatever a person connects or takes apart there, the standby does likewise with
its own ports, so a take-over changes nothing in the graph. When the audio server or a port comes back, what was connected to it
is connected again. The numbered MIDI ports are for devices with a profile, and which of them plays where is control's to say:
what was connected there and went is not connected again. Runs on the engine's main thread; the audio thread takes no part.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jack

from appliance.bus.jacknews import JackNews

log = logging.getLogger(__name__)

Link = tuple[str, str]
"""``(own port without its client, the other port's full name)``."""

DEVICE_PORT = re.compile(r"midi_(in|out)_\d+")
LOOK_S = 5.0
"""The server tells of every change; a look that nobody asked for is for what it may have forgotten, and takes milliseconds."""
TAKEN_APART_S = 0.4
"""The standby follows a disconnection when it has stood for so long: a dying engine's connections vanish too."""


class Links:
    """``client`` is the engine's own, ``peer`` the other engine's client name, ``defaults`` what to connect when nothing is
    remembered in the file ``memory`` by a box of the same ``stamp``."""

    def __init__(
        self, client: jack.Client, news: JackNews, peer: str, defaults: Callable[[], list[Link]], memory: Path, stamp: int,
    ) -> None:
        self._client = client
        self._news = news
        self._peer = peer
        self._defaults = defaults
        self._memory = memory
        self._stamp = stamp
        self._ports: dict[str, Any] = {
            port.shortname: port
            for ports in (client.outports, client.inports, client.midi_inports, client.midi_outports) for port in ports
        }
        self._wanted: set[Link] = set()
        self._seen: set[Link] = set()
        self._surplus: dict[Link, float] = {}
        self._played = False
        self._again = True
        self._looked = 0
        self._next = 0.0

    def _listen(self) -> None:
        """What has come and gone again between two looks was there all the same: a new port is to be connected, and a
        connection that was made and taken apart stays apart."""
        for names in self._news.take():
            if len(names) == 1:
                self._seen = {link for link in self._seen if link[1] != names[0]}
                self._wanted = {link for link in self._wanted if link[1] != names[0] or not DEVICE_PORT.fullmatch(link[0])}
                continue
            for own, other in (names, names[::-1]):
                client, _, short = own.partition(":")
                if client == self._client.name and short in self._ports:
                    self._seen.add((short, other))

    def tend(self, *, playing: bool) -> bool:
        """Look at the graph when it has changed, and now and then anyway; True when it did."""
        now, count = time.monotonic(), self._news.count
        if playing == self._played and not self._again and count == self._looked and now < self._next:
            return False
        self._again, self._looked = False, count
        self._next = now + LOOK_S
        try:
            if playing:
                self._keep()
            else:
                self._mirror(now)
        except jack.JackError as error:  # the server is going; the engine notices by itself
            log.debug("connections: %s", error)
        self._played = playing
        return True

    # -- playing: what is connected is wanted, and what is wanted gets connected when its port is there

    def _keep(self) -> None:
        self._listen()
        here = self._links_of(self._client.name)
        before = set(self._wanted)
        if not self._played:
            self._wanted |= self._recall() or (set() if self._wanted else set(self._defaults()))
        there = {port.name for port in self._client.get_ports()}
        for link in sorted(self._wanted - here):
            if link[1] not in there:
                self._seen.discard(link)
                if DEVICE_PORT.fullmatch(link[0]):
                    self._wanted.discard(link)
            elif link in self._seen:
                self._wanted.discard(link)  # both ports are there and somebody took it apart
            else:
                self._connect(link)
                here.add(link)
        self._wanted |= here
        self._seen |= here
        if self._wanted != before:
            self._store()

    # -- standing by: as the playing engine has it

    def _mirror(self, now: float) -> None:
        model = self._links_of(self._peer)
        if not self._has_ports(self._peer):
            return
        here = self._links_of(self._client.name)
        for link in sorted(model - here):
            self._connect(link)
        surplus = here - model
        self._surplus = {link: self._surplus.get(link, now) for link in surplus}
        for link, since in list(self._surplus.items()):
            if now - since > TAKEN_APART_S:
                self._disconnect(link)
                del self._surplus[link]
        self._again = bool(self._surplus)
        self._wanted = set(model)
        self._seen = set(model)
        self._news.take()

    # -- the graph

    def peer_ports(self, names: tuple[str, ...]) -> list[int]:
        """Addresses of the other engine's ports in this process, 0 where it has none."""
        ffi = jack._ffi  # type: ignore[attr-defined]
        found: list[int] = []
        for name in names:
            try:
                port: Any = self._client.get_port_by_name(f"{self._peer}:{name}")
                found.append(int(ffi.cast("intptr_t", port._ptr)))
            except jack.JackError:
                found.append(0)
        return found

    def _has_ports(self, client: str) -> bool:
        return bool(self._client.get_ports(f"^{client}:master_1$"))

    def _links_of(self, client: str) -> set[Link]:
        links: set[Link] = set()
        for short in self._ports:
            try:
                port: Any = self._client.get_port_by_name(f"{client}:{short}")
            except jack.JackError:
                continue
            links |= {(short, other.name) for other in self._client.get_all_connections(port)}
        return links

    def _pair(self, link: Link) -> tuple[str, str]:
        short, other = link
        own = f"{self._client.name}:{short}"
        return (own, other) if self._ports[short].is_output else (other, own)

    def _connect(self, link: Link) -> None:
        try:
            self._client.connect(*self._pair(link))
        except jack.JackError as error:
            log.info("%s could not be connected to %s (%s)", *self._pair(link), error)

    def _disconnect(self, link: Link) -> None:
        try:
            self._client.disconnect(*self._pair(link))
        except jack.JackError as error:
            log.debug("%s: %s", self._pair(link), error)

    # -- memory

    def _recall(self) -> set[Link]:
        try:
            kept = json.loads(self._memory.read_text(encoding="utf-8"))
            if kept["box"] == self._stamp:
                return {(str(own), str(other)) for own, other in kept["links"] if own in self._ports}
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return set()

    def _store(self) -> None:
        temporary = self._memory.with_suffix(".part")
        try:
            temporary.write_text(json.dumps({"box": self._stamp, "links": sorted(self._wanted)}), encoding="utf-8")
            temporary.replace(self._memory)
        except OSError as error:
            log.debug("connections cannot be remembered: %s", error)
