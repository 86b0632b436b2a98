# SPDX-License-Identifier: GPL-3.0-or-later
"""The MIDI ports of the JACK server: watched and connected from a thread of its own, with never a process callback.

A client that only wants to know ports takes no part in the audio cycle. The thread looks whether the server has told of ports
(``jacknews.py``) often enough for nobody to notice, and at the ports themselves when it has, or twice a second. When the server
dies the thread says so and waits for the next one.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

CLIENT_NAME = "appliance-ports"
LOOK_S = 0.5
NEWS_S = 0.05
STOP_S = 0.5
RETRY_S = 1.0
SAY_AFTER_TRIES = 8
LOST_AFTER_ERRORS = 3
NOTICE_S = 2.0

ENGINE_INPUT = re.compile(r"appliance-[ab](?:-\d+)?:midi_in(?:_(\d))?")

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class MidiPort:
    """A MIDI port of the server. ``source``: it sends. ``births`` counts how often a port of this name has appeared;
    ``feeds`` are the engines' ports that a source is connected to."""

    name: str
    aliases: tuple[str, ...]
    source: bool
    births: int = 0
    feeds: tuple[str, ...] = ()

    @property
    def client(self) -> str:
        return self.name.partition(":")[0]

    @property
    def short(self) -> str:
        return self.name.partition(":")[2]

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


class JackPorts(threading.Thread):
    """``ports_changed(ports)`` and ``connected(pair)`` are called on this thread: hand them on to the loop.

    ``want`` says which connections should be. Each is made once for every appearance of its ports: what a person has taken
    apart by hand stays apart, and a port that somebody has connected to us by hand is not connected a second time.
    """

    def __init__(
        self, server: str, ports_changed: Callable[[list[MidiPort]], None], connected: Callable[[Pair], None],
        say: Callable[[str], None],
    ) -> None:
        super().__init__(name="jack-ports", daemon=True)
        self._server = server
        self._ports_changed = ports_changed
        self._connected = connected
        self._say = say
        self._client: Any = None
        self._news: Any = None
        self._lost = False
        self._wake = threading.Event()
        self._ending = False
        self._births: dict[str, int] = {}
        self._there: set[str] = set()
        self._unannounced: dict[str, float] = {}
        self._known: list[MidiPort] = []
        self._wanted: tuple[Pair, ...] = ()
        self._tried: dict[Pair, tuple[int, int]] = {}
        self._made: dict[Pair, tuple[int, int]] = {}

    def want(self, pairs: tuple[Pair, ...]) -> None:
        self._wanted = pairs
        self._wake.set()

    def stop(self) -> None:
        self._ending = True
        self._wake.set()
        self.join(STOP_S)

    def run(self) -> None:
        try:
            import jack
        except (ImportError, OSError):
            self._say("JACK is not installed: MIDI devices are heard through ALSA only; install jackd2 or pipewire-jack")
            return
        try:
            self._live(jack)
        finally:
            self._close()

    def _live(self, jack: Any) -> None:
        tries = errors = 0
        while not self._ending:
            if self._client is None and not self._open(jack):
                tries += 1
                if tries == SAY_AFTER_TRIES:
                    self._say(f"no JACK server {self._server!r} answers: its MIDI devices are heard as soon as it runs")
                self._rest(RETRY_S)
                continue
            tries = 0
            try:
                self._look()
                self._connect(jack)
                errors = 0
            except jack.JackError as error:  # once: a port that went while it was looked at, as when a client dies
                log.debug("JACK: %s", error)
                errors += 1
                self._lost = self._lost or errors >= LOST_AFTER_ERRORS
            if self._lost or self._news.gone:
                log.info("the JACK server %r has gone; waiting for the next", self._server)
                self._close()
                self._known = []
                self._there = set()
                self._tried.clear()
                self._made.clear()
                self._ports_changed([])
                self._rest(RETRY_S / 4)
                continue
            self._await_news()

    def _rest(self, seconds: float) -> bool:
        """True when it was woken."""
        woken = self._wake.wait(seconds)
        self._wake.clear()
        return woken

    def _await_news(self) -> None:
        due = time.monotonic() + LOOK_S
        while time.monotonic() < due and not (self._news.waiting or self._news.gone) and not self._rest(NEWS_S):
            pass

    def _open(self, jack: Any) -> bool:
        # its kernels take a fifth of a second to come, for which nobody waits on this thread
        from appliance.bus.jacknews import JackNews, silence

        silence()
        try:
            client = jack.Client(CLIENT_NAME, no_start_server=True, servername=self._server)
        except jack.JackError:
            return False
        self._lost = False
        try:
            self._news = JackNews(client, links=False, xruns=False)
            client.activate()
        except jack.JackError as error:
            log.debug("JACK: %s", error)
            client.close(ignore_errors=True)
            return False
        self._client = client
        return True

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):  # a client of a dead server cannot always be closed in order
                client.deactivate(ignore_errors=True)
            with contextlib.suppress(Exception):
                client.close(ignore_errors=True)

    def _look(self) -> None:
        told = Counter(name for (name,) in self._news.take())
        ports: list[MidiPort] = []
        found = self._client.get_ports(is_midi=True)
        self._count_births({port.name for port in found}, told)
        feeds = self._feeds([port for port in found if ENGINE_INPUT.fullmatch(port.name)])
        for port in found:
            try:
                name = port.name
                ports.append(MidiPort(name, tuple(port.aliases), port.is_output, self._births.get(name, 0),
                                      feeds.get(name, ())))
            except Exception as error:  # noqa: BLE001 - it vanished while we looked: we look again
                log.debug("JACK: a port vanished: %s", error)
        if ports != self._known:
            self._known = ports
            self._ports_changed(ports)

    def _count_births(self, names: set[str], told: Counter[str]) -> None:
        """A port that is there again after a look without it, or of whose appearance the server tells while we know it, is
        another one. The notice of a port that we have seen first may come a little later."""
        now = time.monotonic()
        for name in self._there - names:
            self._unannounced.pop(name, None)
        for name in names:
            again = told[name]
            if name not in self._there:
                self._births[name] = self._births.get(name, 0) + 1
                if not again:
                    self._unannounced[name] = now
            elif again:
                again -= now - self._unannounced.pop(name, -NOTICE_S) < NOTICE_S
                self._births[name] += again
        self._there = names

    def _feeds(self, inputs: list[Any]) -> dict[str, tuple[str, ...]]:
        """By source: the engines' ports that it is connected to, by us, by an earlier life of this process, or by hand."""
        feeds: dict[str, tuple[str, ...]] = {}
        for port in inputs:
            for source in self._client.get_all_connections(port):
                feeds[source.name] = (*feeds.get(source.name, ()), port.name)
        return feeds

    def _connect(self, jack: Any) -> None:
        births = {port.name: port.births for port in self._known}
        wanted = self._wanted
        for pair in [pair for pair in self._made if pair not in wanted]:
            self._part(jack, pair, births)
        for pair in wanted:
            source, target = pair
            if source not in births or target not in births:
                self._tried.pop(pair, None)
                continue
            appearance = (births[source], births[target])
            if self._tried.get(pair) != appearance:
                self._tried[pair] = appearance
                self._join(jack, pair, appearance)

    def _join(self, jack: Any, pair: Pair, appearance: tuple[int, int]) -> None:
        source, target = pair
        there = {port.name for port in self._client.get_all_connections(source)}
        if target not in there:
            engine = target.partition(":")[0]
            if any(name.startswith(f"{engine}:midi_in") for name in there):
                log.info("MIDI: %s is connected by hand already; left as it is", source)
                return
            began = time.monotonic()
            try:
                self._client.connect(source, target)
            except jack.JackError as error:
                log.debug("JACK: %s → %s: %s", source, target, error)
                self._tried.pop(pair)
                self._wake.set()
                time.sleep(0.02)  # the port is being made or unmade at this moment
                return
            log.info("MIDI: %s → %s (%.0f ms)", source, target, (time.monotonic() - began) * 1000)
        self._made[pair] = appearance
        self._connected(pair)

    def _part(self, jack: Any, pair: Pair, births: dict[str, int]) -> None:
        """Take apart what we have connected and nobody wants any more."""
        source, target = pair
        if self._made.pop(pair) != (births.get(source), births.get(target)):
            return
        self._tried.pop(pair, None)
        if target in {port.name for port in self._client.get_all_connections(source)}:
            try:
                self._client.disconnect(source, target)
            except jack.JackError as error:
                log.debug("JACK: %s → %s: %s", source, target, error)

