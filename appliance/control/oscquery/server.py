# SPDX-License-Identifier: GPL-3.0-or-later
"""OSCQuery over HTTP and WebSocket, on a port of its own.

``GET /mixer/crossfader`` answers with the node, ``GET /mixer/crossfader?VALUE`` with that attribute, ``GET /?HOST_INFO`` says
where OSC and the WebSocket are. 404: no such address; 204: the node has no such attribute; 400: nobody has. On the WebSocket
``{"COMMAND": "LISTEN", "DATA": "/mixer/crossfader"}`` asks for the value and its changes, which come as OSC packets; such are
taken there too.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aiohttp import WSMsgType, web

from appliance.config import Endpoint
from appliance.control.desk import Desk
from appliance.control.http import guard
from appliance.control.osc.peer import Peer
from appliance.control.osc.server import OscServer
from appliance.control.oscquery.tree import ATTRIBUTES, May, Tree
from appliance.errors import ApplianceError, BadValue, NotAllowed, Unavailable, UnknownAddress

log = logging.getLogger(__name__)

AT_ONCE = 50
"""Nodes written before the loop gets its turn."""
STOP_S = 0.3
HEARTBEAT_S = 20.0
MESSAGE_BYTES = 1024 * 1024
MAX_CLIENTS = 32
MAX_WAITING = 512
"""Packets for one client; feedback then waits, and only the newest value of an address does."""
SEND_S = 10.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class OscQueryServer:
    """``osc`` takes what clients send, and feeds those that listen; ``osc_at`` tells where it listens by UDP."""

    def __init__(
        self, desk: Desk, endpoint: Endpoint, osc: OscServer, osc_at: Callable[[], Endpoint | None], name: str,
    ) -> None:
        self._desk = desk
        self._endpoint = endpoint
        self._osc = osc
        self._osc_at = osc_at
        self._name = name
        self._tree = Tree(desk)
        self._runner: web.AppRunner | None = None
        self._clients: dict[Peer, _Client] = {}
        self._end: Callable[[], None] = lambda: None

    async def start(self) -> Endpoint:
        """Listen; returns where. Raises :class:`Unavailable` when the address cannot be had."""
        application = web.Application(middlewares=[_errors])
        application.router.add_route("GET", "/{path:.*}", self._get)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_S, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._endpoint.host, self._endpoint.port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            why = "another program uses it" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
            what = f"OSCQuery cannot listen on {self._endpoint}: {why}; free the port or choose another (oscquery: port)"
            raise Unavailable(what) from None
        self._osc.add("websocket", self)
        self._osc.run()
        self._end = self._desk.subscribe(self._changed)
        host, port = self._runner.addresses[0][:2]
        return Endpoint(host=host, port=port)

    async def stop(self) -> None:
        self._end()
        for client in tuple(self._clients.values()):
            client.task.cancel()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    # -- HTTP

    async def _get(self, request: web.Request) -> web.StreamResponse:
        host = request.remote or ""
        if not self._osc.gate.may(host, "/", False):
            raise NotAllowed(f"{host} is not known to this box: pair it at /pair", status=403)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        path = "/" + request.match_info["path"].strip("/")
        query = [name for name in request.query if name]
        if "HOST_INFO" in query:
            return _json(_dumps(self._host_info(request)))
        if not self._osc.gate.may(request.remote or "", "/", False):
            raise NotAllowed(f"{request.remote} is not known to this box", status=403)
        if not self._tree.has(path):
            raise UnknownAddress(f"{path!r} is no address of this box{self._desk.box.values.namespace.hint(path)}")
        may = self._may(request)
        if not query:
            return await self._answer(self._tree.text(path, may))
        name = query[0]
        if len(query) > 1 or name not in ATTRIBUTES:
            known = ", ".join(ATTRIBUTES)
            raise BadValue(f"{request.query_string[:80]!r}: ask for one attribute of {known}, or HOST_INFO", status=400)
        if name == "CONTENTS" and self._tree.node(path) is None:
            return await self._answer(self._tree.contents(path, may))
        value = self._tree.attribute(path, name, may)
        if value is None:
            return web.Response(status=204)
        return _json(_dumps({name: value}))

    def _may(self, request: web.Request) -> May:
        host = request.remote or ""
        return lambda address, writing: self._osc.gate.may(host, address, writing)

    @staticmethod
    async def _answer(pieces: Iterator[str]) -> web.Response:
        """A tree of all takes a tenth of a second to write: the loop gets its turn between."""
        parts: list[str] = []
        for count, piece in enumerate(pieces, 1):
            parts.append(piece)
            if count % AT_ONCE == 0:
                await asyncio.sleep(0)
        return _json("".join(parts))

    def _host_info(self, request: web.Request) -> dict[str, Any]:
        info: dict[str, Any] = {
            "NAME": self._name,
            "EXTENSIONS": dict.fromkeys((*ATTRIBUTES[3:], "LISTEN", "PATH_CHANGED"), True),
            "OSC_TRANSPORT": "UDP",
        }
        place = request.transport.get_extra_info("sockname") if request.transport is not None else None
        if place:
            info |= {"WS_IP": place[0], "WS_PORT": place[1]}
        if (osc := self._osc_at()) is not None:
            info |= {"OSC_IP": place[0] if place else osc.host, "OSC_PORT": osc.port}
        return info

    # -- WebSocket

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        if len(self._clients) >= MAX_CLIENTS:
            raise Unavailable(f"{MAX_CLIENTS} OSCQuery clients are connected already; close one")
        host = request.remote or ""
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MESSAGE_BYTES)
        await socket.prepare(request)
        place = request.transport.get_extra_info("peername") if request.transport is not None else None
        peer = Peer(host, place[1] if place else next(_NUMBERS), "websocket")
        client = self._clients[peer] = _Client(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.BINARY:
                    self._osc.receive(message.data, peer)
                elif message.type is WSMsgType.TEXT:
                    self._command(message.data, peer)
        finally:
            client.task.cancel()
            del self._clients[peer]
            self._osc.feedback.gone(peer)
        return socket

    def _command(self, text: str, peer: Peer) -> None:
        try:
            message = json.loads(text)
            command, path = str(message["COMMAND"]).upper(), str(message.get("DATA", ""))
            if command == "LISTEN":
                found = self._desk.find(path)
                found.require_readable()
                self._osc.feedback.subscribe(path.rstrip("/"), peer, peer, alone=True)
            elif command == "IGNORE":
                self._osc.feedback.unsubscribe(path.rstrip("/"), peer)
            else:
                raise BadValue(f"OSCQuery: {command[:40]} is no command; LISTEN and IGNORE are")
        except ApplianceError as error:
            log.info("OSCQuery from %s: %s", peer, error.message)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            log.info("OSCQuery from %s: not understood: %.80r", peer, text)

    def send(self, packet: bytes, peer: Peer) -> bool:
        """As a transport of :class:`OscServer`."""
        client = self._clients.get(peer)
        return client is None or client.send(packet)

    def close(self, peer: Peer) -> None:
        if client := self._clients.get(peer):
            client.task.cancel()

    def _changed(self, address: str, value: Any) -> None:
        """Another bank was chosen: what stands under ``/pad`` is something else now."""
        if address == "/pads/bank":
            self.path_changed("/pad")

    def path_changed(self, path: str) -> None:
        """Clients are to ask anew for what stands there."""
        text = _dumps({"COMMAND": "PATH_CHANGED", "DATA": path})
        for client in self._clients.values():
            client.send(text)


class _Client:
    """A WebSocket with what waits to be written to it."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._waiting: asyncio.Queue[bytes | str] = asyncio.Queue(MAX_WAITING)
        self.task = asyncio.create_task(self._pump())

    def send(self, data: bytes | str) -> bool:
        """False: it reads slowly, and no more is taken for now."""
        try:
            self._waiting.put_nowait(data)
        except asyncio.QueueFull:
            return False
        return True

    async def _pump(self) -> None:
        while True:
            data = await self._waiting.get()
            try:
                send: Any = self._socket.send_str if isinstance(data, str) else self._socket.send_bytes
                await asyncio.wait_for(send(data), SEND_S)
            except (TimeoutError, ConnectionError):
                await self._socket.close(message=b"reads too slowly")
                return


_NUMBERS = itertools.count(1)


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


def _json(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="application/json", headers={"Cache-Control": "no-store"})


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The one place where errors become answers; also the door."""
    try:
        guard.check(request)
        return await handler(request)
    except ApplianceError as error:
        return _json(_dumps({"error": error.message}), error.status)
    except web.HTTPException as error:
        return _json(_dumps({"error": error.reason}), error.status)
    except asyncio.CancelledError:
        raise
    except Exception as error:
        log.exception("OSCQuery %s", request.path)
        return _json(_dumps({"error": f"internal error: {type(error).__name__}: {error}"}), 500)
