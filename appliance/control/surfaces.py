# SPDX-License-Identifier: GPL-3.0-or-later
"""All surfaces of the box at the desk: OSC, HTTP, OSCQuery, MIDI devices and their lamps; and that the network is told of them.
One that cannot start says so and is tried again; the others go on.

Where HTTP and OSC can be reached stands in ``<data>/run/endpoints.json`` as soon as they listen. A box that chose its ports
itself (port 0) keeps them when control is started again: tablets must find it where it was.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from appliance.config import Endpoint
from appliance.control.access import hosts
from appliance.control.access.access import Access
from appliance.control.access.doors import Doors
from appliance.control.desk import Desk
from appliance.control.http.server import HttpServer
from appliance.control.midi.devices import Devices
from appliance.control.osc.server import OscServer
from appliance.control.oscquery.server import OscQueryServer
from appliance.control.presence import Presence, Service, box_name
from appliance.errors import ApplianceError

log = logging.getLogger(__name__)

RETRY_S = 2.0

Stop = Callable[[], Awaitable[None]]


class Server(Protocol):
    async def start(self) -> Endpoint: ...
    async def stop(self) -> None: ...


async def start(desk: Desk) -> Stop:
    """Start everything; what is returned stops it. Never raises for a surface that cannot start."""
    surfaces = _Surfaces(desk)
    await surfaces.start()
    return surfaces.stop


class _Surfaces:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._servers: list[Server] = []
        self._endpoints: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._access = Access(desk)
        self._osc = OscServer(desk, gate=Doors(desk.box.config.osc.allow, self._access.osc))
        self._where: dict[str, Endpoint] = {}
        self._presence: Presence | None = None

    async def start(self) -> None:
        self._access.start()
        config = self._desk.box.config
        earlier = self._earlier()
        self._path.unlink(missing_ok=True)
        for name, make, endpoint in (("http", self._http, config.http), ("osc", self._osc_at, config.osc)):
            if endpoint.port == 0 and name in earlier:
                again = endpoint.model_copy(update={"port": earlier[name]})
                if await self._listen(name, lambda make=make, again=again: make(again), silent=True):
                    continue
            if not await self._listen(name, lambda make=make, endpoint=endpoint: make(endpoint)):
                self._keep(self._listen_later(name, lambda make=make, endpoint=endpoint: make(endpoint)))
        self._keep(self._play_devices())
        await self._start_oscquery(earlier.get("oscquery", 0))
        self._keep(self._tell_network())

    def _osc_at(self, endpoint: Endpoint) -> Server:
        self._osc.endpoint = endpoint
        return self._osc

    async def _start_oscquery(self, earlier: int) -> None:
        """On its port; ``auto`` takes the one it had, the one after HTTP's, or any that is free."""
        config = self._desk.box.config
        wanted = config.oscquery.port
        if wanted == 0:
            return

        def make(port: int) -> Server:
            where = Endpoint(host=config.http.host, port=port)
            return OscQueryServer(self._desk, where, self._osc, lambda: self._where.get("osc"), box_name(self._desk))

        if wanted == "auto":
            beside = config.http.port + 1 if 0 < config.http.port < 65535 else 0
            for port in dict.fromkeys((earlier or beside, beside)):
                if port and await self._listen("oscquery", lambda port=port: make(port), silent=True):
                    return
            wanted = 0
        if not await self._listen("oscquery", lambda: make(wanted)):
            self._keep(self._listen_later("oscquery", lambda: make(wanted)))

    async def _tell_network(self) -> None:
        """By zeroconf, of what listens now."""
        kinds = [("osc", "_osc._udp", ()), ("http", "_http._tcp", (("path", "/"),)), ("oscquery", "_oscjson._tcp", ())]
        if self._desk.box.config.osc.tcp:
            kinds.insert(1, ("osc", "_osc._tcp", ()))
        earlier = self._presence
        self._presence = Presence(
            self._desk, [Service(kind, self._where[name], more) for name, kind, more in kinds if name in self._where])
        if earlier is not None:
            await earlier.stop()
        await self._presence.start()

    def _http(self, endpoint: Endpoint) -> Server:
        return HttpServer(self._desk, endpoint, self._access)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        telling = [self._presence.stop()] if self._presence else []
        await asyncio.gather(*(server.stop() for server in {*self._servers, self._osc}), *telling, return_exceptions=True)
        await self._access.stop()

    async def _play_devices(self) -> None:
        """MIDI. A fault in it is told and does not end it."""
        while True:
            try:
                await Devices(self._desk).run()
            except Exception:
                log.exception("MIDI devices: internal error")
                self._desk.say("MIDI devices stopped for a fault in the box (it is in the log); they start again")
            await asyncio.sleep(RETRY_S)

    def _earlier(self) -> dict[str, int]:
        """The ports of an earlier life of this process in the same run of the box."""
        try:
            told = json.loads(self._path.read_text(encoding="utf-8"))
            if told["supervisor"] != self._supervisor:
                return {}
            return {name: int(told[name].rpartition(":")[2]) for name in ("http", "osc", "oscquery") if name in told}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}  # the first start, or a file that somebody has touched

    @property
    def _supervisor(self) -> int:
        return int(self._desk.box.process("supervisor")["pid"])

    @property
    def _path(self) -> Any:
        return self._desk.box.run / "endpoints.json"

    async def _listen(self, name: str, make: Callable[[], Server], *, silent: bool = False) -> bool:
        server = make()
        try:
            where = await server.start()
        except ApplianceError as error:
            if not silent:
                self._desk.say(error.message)
            return False
        self._servers.append(server)
        self._where[name] = where
        local = where.model_copy(update={"host": hosts.local_form(where.host)})
        self._endpoints[name] = str(local) if name == "osc" else f"http://{local}"
        if name == "http" and not hosts.is_loopback(where.host):
            self._endpoints["pair"] = self._outside(where)
            self._desk.say(f"the box is open to the network; devices are let in at {self._endpoints['pair']}", logging.INFO)
        self._tell()
        log.info("%s listens on %s", name, where)
        return True

    async def _listen_later(self, name: str, make: Callable[[], Server]) -> None:
        """The port may become free: an older box that is still ending, a program that somebody closes."""
        while True:
            await asyncio.sleep(RETRY_S)
            if await self._listen(name, make, silent=True):
                self._desk.say(f"{name} listens now on {self._endpoints[name]}", logging.INFO)
                self._keep(self._tell_network())
                return

    @staticmethod
    def _outside(where: Endpoint) -> str:
        """The page for other machines."""
        host = next(iter(hosts.outward()), where.host) if hosts.is_everywhere(where.host) else where.host
        return f"http://{where.model_copy(update={'host': host})}/pair"

    def _tell(self) -> None:
        temporary = self._path.with_suffix(".new")
        try:
            temporary.write_text(json.dumps({**self._endpoints, "supervisor": self._supervisor}), encoding="utf-8")
            temporary.replace(self._path)
        except OSError as error:
            self._desk.say(f"{self._path} cannot be written ({error.strerror}): who asks it will not find the box")

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(_report)
        self._tasks.append(task)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a surface has failed", exc_info=error)
