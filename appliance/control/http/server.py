# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP: every address under ``/api/v1``, health, the OpenAPI document, the WebSocket; for strangers, ``/pair`` alone.

GET reads a value or lists what stands below, PUT sets (``{"value": …}`` or a bare value), POST does (a list of arguments, one
object, or nothing). Refusals are ``{"error": "what, where, what to do"}`` with the status that fits.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import errno
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http import HttpProcessingError

from appliance.bus.pattern import is_pattern
from appliance.config import Endpoint
from appliance.control.access import hosts
from appliance.control.access.access import Access
from appliance.control.access.limits import TooMany
from appliance.control.access.visitor import Visitor
from appliance.control.desk import Desk
from appliance.control.http import guard, layouts, openapi, socket
from appliance.control.http.body import parse_json
from appliance.control.http.health import health
from appliance.control.http.listing import describe_all
from appliance.control.http.page import page
from appliance.control.http.pair import PairPages
from appliance.errors import ApplianceError, Unavailable, UnknownAddress

log = logging.getLogger(__name__)

API = "/api/v1"
BODY_BYTES = 1024 * 1024
STOP_S = 0.3

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _is_news(record: logging.LogRecord) -> bool:
    """That a stranger's request is no HTTP is none: the stranger is told, the journal need not be."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


class HttpServer:
    """One listening address at the desk. Without ``access`` nobody is paired, and only this machine may come in."""

    def __init__(self, desk: Desk, endpoint: Endpoint, access: Access | None = None) -> None:
        self._desk = desk
        self._access = access or Access(desk)
        self._pair = PairPages(self._access, visitor_of)
        self._names = hosts.names() | {name.lower() for name in desk.box.config.access.names}
        self._endpoint = endpoint
        self._runner: web.AppRunner | None = None

    async def start(self) -> Endpoint:
        """Listen; returns where. Raises :class:`Unavailable` when the address cannot be had."""
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=STOP_S, handle_signals=False)
        logging.getLogger("aiohttp.server").addFilter(_is_news)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._endpoint.host, self._endpoint.port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            why = "another program uses it" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
            what = f"HTTP cannot listen on {self._endpoint}: {why}; free the port or choose another (http: port)"
            raise Unavailable(what) from None
        host, port = self._runner.addresses[0][:2]
        return Endpoint(host=host, port=port)

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._door], client_max_size=BODY_BYTES)
        application.on_shutdown.append(self._close_sockets)
        application[_SOCKETS] = set()
        pairing = application.router.add_routes(self._pair.routes())
        self._open = {route.handler for route in pairing}
        application.router.add_get("/", self._page)
        application.router.add_get("/healthz", self._health)
        application.router.add_get("/layouts/{kind}", layouts.serve)
        application.router.add_get(f"{API}/openapi.json", self._openapi)
        application.router.add_get(f"{API}/ws", self._socket)
        for method, handler in (("GET", self._get), ("PUT", self._put), ("POST", self._post)):
            application.router.add_route(method, API + "{address:(/.*)?}", handler)
        return application

    # -- the door

    @web.middleware
    async def _door(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Who may come in; and the one place where errors become answers."""
        try:
            answer = await self._admit(request, handler)
        except ApplianceError as error:
            answer = _json({"error": error.message}, error.status)
            if error.status == web.HTTPUnauthorized.status_code:
                answer.headers["WWW-Authenticate"] = 'Bearer realm="performance box"'
            if isinstance(error, TooMany):
                answer.headers["Retry-After"] = str(error.retry_s)
        except web.HTTPRequestEntityTooLarge:
            answer = _json({"error": f"the request is larger than {BODY_BYTES} bytes; send less at once"}, 413)
        except web.HTTPException as error:
            answer = _json({"error": _words(error, request)}, error.status)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("HTTP %s %s", request.method, request.path)
            answer = _json({"error": f"internal error: {type(error).__name__}: {error}"}, 500)
        if not answer.prepared:
            answer.headers.update(guard.HEADERS)
        return answer

    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        guard.check(request, self._names)
        host, forwarded = request.remote or "", guard.is_forwarded(request)
        pairing, entry = handler in self._open, request.method == "GET" and request.path == "/"
        try:
            visitor = self._access.visitor(host, guard.token_of(request), forwarded=forwarded)
        except ApplianceError:
            if not pairing and not entry:
                raise
            visitor = Visitor(hosts.canonical(host))  # its pairing has ended: it may ask for another
        if not visitor.known:
            self._access.strangers.require(visitor.host, "too many requests of a device that is not paired")
        request[_VISITOR] = visitor
        if not pairing:
            if not visitor.known and entry:
                return web.Response(status=303, headers={"Location": "/pair"})
            visitor.require_known()
        return await handler(request)

    # -- pages

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=page(), content_type="text/html")

    async def _health(self, request: web.Request) -> web.Response:
        well, facts = health(self._desk.box)
        return _json(facts, status=200 if well else 503)

    async def _openapi(self, request: web.Request) -> web.Response:
        return _json(openapi.document())

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        tasks = request.app[_SOCKETS]
        tasks.add(task)
        try:
            return await socket.serve(self._desk, request, visitor_of(request), self._access)
        finally:
            tasks.discard(task)

    @staticmethod
    async def _close_sockets(application: web.Application) -> None:
        for task in tuple(application[_SOCKETS]):
            task.cancel()

    # -- addresses

    async def _get(self, request: web.Request) -> web.Response:
        address = request.match_info["address"] or "/"
        if address == "/visuals/snapshot":
            return await self._snapshot(request)
        if is_pattern(address) or address.endswith("/") or not self._is_node(address):
            return await self._list(address, visitor_of(request))
        self._require(request, address, writing=False)
        return _json({"address": address, "value": await self._desk.get(address)})

    def _require(self, request: web.Request, address: str, *, writing: bool) -> None:
        """Raises UnknownAddress, and 403 for what the visitor's scope does not cover."""
        visitor_of(request).require(self._desk.find(address).node, address, writing=writing)

    def _is_node(self, address: str) -> bool:
        try:
            self._desk.find(address)
        except UnknownAddress:
            return False
        return True

    async def _list(self, address: str, visitor: Visitor) -> web.Response:
        listed = await describe_all(self._desk, address if is_pattern(address) else address.rstrip("/"), visitor)
        if not listed:
            self._desk.find(address.rstrip("/"))  # raises, and says what was meant
            raise UnknownAddress(f"{address!r} matches no address of this box")
        return _json({"address": address, "nodes": listed})

    async def _put(self, request: web.Request) -> web.Response:
        address = request.match_info["address"]
        self._require(request, address, writing=True)
        body = await request.read()
        if not body:
            raise ApplianceError(f'{address}: PUT needs the value as JSON: {{"value": …}} or the value alone', status=400)
        value = parse_json(body)
        if isinstance(value, dict):
            if set(value) != {"value"}:
                raise ApplianceError(f'{address}: PUT takes {{"value": …}} or the value alone', status=400)
            value = value["value"]
        return _json({"address": address, "value": await self._desk.set(address, value)})

    async def _post(self, request: web.Request) -> web.Response:
        address = request.match_info["address"]
        self._require(request, address, writing=True)
        body = await request.read()
        args: Any = parse_json(body) if body.strip() else []
        result = await self._desk.do(address, args if isinstance(args, list) else [args])
        return _json({"address": address, "result": result})

    async def _snapshot(self, request: web.Request) -> web.Response:
        """The picture as it is now, as a PNG file."""
        self._require(request, "/visuals/snapshot", writing=True)
        if request.query.get("format", "png") != "png":
            raise ApplianceError(f"/visuals/snapshot comes as png, not as {request.query['format']}", status=400)
        result = await self._desk.do("/visuals/snapshot", [])
        encoded: Any = result.get("png") if isinstance(result, dict) else result
        try:
            picture = base64.b64decode(encoded, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise Unavailable("/visuals/snapshot: visuals sent no picture; try again in a moment") from None
        return web.Response(body=picture, content_type="image/png", headers={"Cache-Control": "no-store"})


_VISITOR = web.RequestKey("visitor", Visitor)
_SOCKETS: web.AppKey[set[Any]] = web.AppKey("sockets", set)


def visitor_of(request: web.Request) -> Visitor:
    """Who was found to ask, at the door."""
    return request[_VISITOR]


def _json(value: Any, status: int = 200) -> web.Response:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
    return web.Response(text=text, status=status, content_type="application/json", headers={"Cache-Control": "no-store"})


def _words(error: web.HTTPException, request: web.Request) -> str:
    if error.status == 404:
        return f"{request.path} is not here; addresses stand under {API}/, such as {API}/clock/bpm"
    if error.status == 405:
        return f"{request.method} is not for {request.path}; GET reads, PUT sets, POST does"
    return error.reason
