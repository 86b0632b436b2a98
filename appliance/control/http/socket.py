# SPDX-License-Identifier: GPL-3.0-or-later
"""The WebSocket: the hub's messages (``appliance/bus/hub.py``), one JSON object a message.

A client that reads slowly gets the newest value of each address, not every one; a client that does not read at all is
dropped by its heartbeat.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from aiohttp import WSMsgType, web

from appliance.bus.hub import failure
from appliance.bus.pattern import compile_pattern
from appliance.control.access.access import Access
from appliance.control.access.visitor import Visitor
from appliance.control.desk import Desk
from appliance.control.http import guard
from appliance.control.http.body import parse_json
from appliance.control.http.listing import describe_all
from appliance.errors import ApplianceError, BadValue

HEARTBEAT_S = 20.0
MESSAGE_BYTES = 1024 * 1024
MAX_PATTERNS = 256
MAX_REQUESTS = 256
SEND_S = 10.0


class Client:
    """One connection."""

    def __init__(self, desk: Desk, socket: web.WebSocketResponse, visitor: Visitor) -> None:
        self._desk = desk
        self._visitor = visitor
        self._socket = socket
        self._patterns: dict[str, Any] = {}
        self._wanted: dict[str, bool] = {}
        self._answers: list[dict[str, Any]] = []
        self._changes: dict[str, Any] = {}
        self._wake = asyncio.Event()
        self._requests: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        unsubscribe = self._desk.subscribe(self._changed, self._wants, private=self._visitor.local)
        pump = asyncio.create_task(self._pump())
        try:
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    self._take(message.data)
                elif message.type is WSMsgType.BINARY:
                    self._say({"re": None, "error": "send text, one JSON object a message", "status": 400})
        finally:
            unsubscribe()
            for task in (pump, *self._requests):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pump

    def _take(self, text: str) -> None:
        try:
            message = parse_json(text.encode())
            if not isinstance(message, dict):
                raise ApplianceError("not a JSON object", status=400)
        except ApplianceError as error:
            self._say(failure(None, error))
            return
        match message.get("op"):
            case "hello":
                pass
            case "watch":
                self._watch(str(message.get("pattern", "")))
            case "unwatch":
                self._patterns.pop(str(message.get("pattern", "")), None)
                self._interest_changed()
            case _:
                if len(self._requests) >= MAX_REQUESTS:
                    refusal = ApplianceError("too many requests are waiting for an answer", status=429)
                    self._say(failure(message.get("id"), refusal))
                    return
                task = asyncio.create_task(self._request(message))
                self._requests.add(task)
                task.add_done_callback(self._requests.discard)

    def _watch(self, pattern: str) -> None:
        if len(self._patterns) >= MAX_PATTERNS:
            refusal = ApplianceError(f"{MAX_PATTERNS} patterns are watched already; use a wider one", status=429)
            self._say(failure(None, refusal))
            return
        self._patterns[pattern] = compile_pattern(pattern, deep=True)
        self._interest_changed()
        for address, value in self._desk.current(pattern, private=self._visitor.local):
            self._changed(address, value)

    def _interest_changed(self) -> None:
        self._wanted.clear()
        self._desk.interest_changed()

    def _wants(self, address: str) -> bool:
        wanted = self._wanted.get(address)
        if wanted is None:
            wanted = any(pattern.fullmatch(address) for pattern in self._patterns.values())
            self._wanted[address] = wanted
        return wanted

    def _changed(self, address: str, value: Any) -> None:
        if self._wants(address):
            self._changes[address] = value
            self._wake.set()

    def _say(self, message: dict[str, Any]) -> None:
        self._answers.append(message)
        self._wake.set()

    async def _request(self, message: dict[str, Any]) -> None:
        try:
            value = await self._obey(message)
        except Exception as error:  # noqa: BLE001 - the one place where errors become answers
            self._say(failure(message.get("id"), error))
        else:
            self._say({"re": message.get("id"), "value": value})

    async def _obey(self, message: dict[str, Any]) -> Any:
        address = message.get("address")
        match message.get("op"):
            case "get" if isinstance(address, str):
                self._require(address, writing=False)
                return await self._desk.get(address)
            case "set" if isinstance(address, str):
                self._require(address, writing=True)
                return await self._desk.set(address, message.get("value"))
            case "do" if isinstance(address, str):
                self._require(address, writing=True)
                args = message.get("args") or []
                return await self._desk.do(address, args if isinstance(args, list) else [args])
            case "ls":
                return await describe_all(self._desk, str(message.get("pattern") or "/*"), self._visitor)
            case _:
                pass
        raise BadValue(f"{message.get('op')!r} is no request, or it lacks an address; ops are get, set, do, ls, watch, unwatch",
                       status=400)

    def _require(self, address: str, *, writing: bool) -> None:
        self._visitor.require(self._desk.find(address).node, address, writing=writing)

    async def _pump(self) -> None:
        """Write what is waiting; while the client reads slowly, newer values take the place of older ones."""
        while not self._socket.closed:
            await self._wake.wait()
            self._wake.clear()
            answers, self._answers = self._answers, []
            changes, self._changes = self._changes, {}
            lines = [*answers, *({"op": "changed", "address": a, "value": v} for a, v in changes.items())]
            for line in lines:
                try:
                    text = json.dumps(line, separators=(",", ":"), ensure_ascii=False, default=str)
                    await asyncio.wait_for(self._socket.send_str(text), SEND_S)
                except (TimeoutError, ConnectionError):
                    await self._socket.close(message=b"reads too slowly")
                    return


async def serve(desk: Desk, request: web.Request, visitor: Visitor, access: Access) -> web.WebSocketResponse:
    """Until the client leaves, or its pairing ends."""
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MESSAGE_BYTES, protocols=(guard.PROTOCOL,))
    await socket.prepare(request)
    serving = asyncio.current_task()

    def gone(device_id: str) -> None:
        if visitor.device is not None and visitor.device.id == device_id and serving is not None:
            serving.cancel()

    forget = access.on_gone(gone)
    try:
        if visitor.device is not None and access.store.get(visitor.device.id) is None:
            return socket  # it has ended while hands were shaken
        await Client(desk, socket, visitor).run()
    finally:
        forget()
    return socket
