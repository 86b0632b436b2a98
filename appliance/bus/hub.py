# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is not real time: one Unix socket served by control, JSON lines.

A line from a client is a request with an ``id`` or a notice without; a line from the server is an answer (``re``), a change
(``changed``) or a call that the client has offered to serve.

=========  ==========================================================  =======================
``op``     fields                                                      answer
=========  ==========================================================  =======================
hello      name                                                        none
get        id, address                                                 value
set        id, address, value                                          value as taken
do         id, address, args                                           result
ls         id, pattern                                                 list of descriptions
watch      pattern                                                     ``changed`` lines
unwatch    pattern                                                     none
serve      prefix                                                      ``call`` lines
publish    address, value                                              none
monitor    on                                                          ``monitored`` lines
=========  ==========================================================  =======================
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from appliance.bus.pattern import compile_pattern
from appliance.errors import ApplianceError, Unavailable

log = logging.getLogger(__name__)

LINE_LIMIT = 16 * 1024 * 1024
RECONNECT_S = 0.05
CALL_TIMEOUT_S = 30.0
MONITORED = 20_000
"""Messages of devices that wait for a client."""

Handler = Callable[[str, list[Any]], Awaitable[Any]]
Watcher = Callable[[str, Any], None]


def encode(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False, default=str).encode() + b"\n"


def failure(reply_to: Any, error: Exception) -> dict[str, Any]:
    """The answer that carries an error to the other side."""
    if isinstance(error, ApplianceError):
        return {"re": reply_to, "error": error.message, "status": error.status}
    log.error("unexpected error", exc_info=error)
    return {"re": reply_to, "error": f"internal error: {type(error).__name__}: {error}", "status": 500}


class Backend(Protocol):
    """What the server asks of control."""

    async def get(self, address: str) -> Any: ...
    async def set(self, address: str, value: Any) -> Any: ...
    async def do(self, address: str, args: list[Any]) -> Any: ...
    def ls(self, pattern: str) -> list[dict[str, Any]]: ...
    def current(self, pattern: str, *, private: bool = False) -> list[tuple[str, Any]]:
        """Readable addresses that match, with their values: what a new watcher hears first. The socket is this machine's."""
        ...

    def published(self, address: str, value: Any) -> None: ...
    def served(self, prefix: str, present: bool) -> None: ...

    def listen(self, told: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        """Tell of every message of every device, in order; what is returned ends it."""
        ...


class Peer:
    """One connected client, seen from the server. Changes are coalesced by address when it reads slowly."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.name = "?"
        self.patterns: dict[str, Any] = {}
        self.prefixes: set[str] = set()
        self.calls: dict[int, asyncio.Future[Any]] = {}
        self.leave: Callable[[], None] | None = None
        self.messages = 0
        self._writer = writer
        self._lines: list[bytes] = []
        self._changes: dict[str, Any] = {}
        self._wake = asyncio.Event()

    def send(self, message: dict[str, Any]) -> None:
        self._lines.append(encode(message))
        self._wake.set()

    def monitored(self, line: dict[str, Any]) -> None:
        """None may take another's place; one that reads so slowly loses some, and sees that by their numbers."""
        self.messages += 1
        if len(self._lines) < MONITORED:
            self.send({"op": "monitored", "number": self.messages, "value": line})

    def changed(self, address: str, value: Any) -> None:
        self._changes[address] = value
        self._wake.set()

    def wants(self, address: str) -> bool:
        return any(pattern.fullmatch(address) for pattern in self.patterns.values())

    async def pump(self) -> None:
        """Write what is waiting, for as long as the connection lives."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            lines, self._lines = self._lines, []
            changes, self._changes = self._changes, {}
            for address, value in changes.items():
                lines.append(encode({"op": "changed", "address": address, "value": value}))
            self._writer.write(b"".join(lines))
            await self._writer.drain()


class HubServer:
    """The serving end, in control."""

    def __init__(self, path: Path, backend: Backend) -> None:
        self._path = path
        self._backend = backend
        self._peers: set[Peer] = set()
        self._server: asyncio.Server | None = None
        self._ids = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._client, self._path, limit=LINE_LIMIT)

    async def stop(self) -> None:
        if self._server:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # the supervisor keeps a file there
                self._path.parent.rmdir()

    def announce(self, address: str, value: Any) -> None:
        """Tell every watcher of the address."""
        for peer in self._peers:
            if peer.wants(address):
                peer.changed(address, value)

    def wants(self, address: str) -> bool:
        """Whether anybody watches the address."""
        return any(peer.wants(address) for peer in self._peers)

    def serves(self, address: str) -> bool:
        return self._server_of(address) is not None

    async def call(self, address: str, args: list[Any], timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """Ask the process that serves this address. Raises :class:`Unavailable` when none does or it does not answer."""
        peer = self._server_of(address)
        if peer is None:
            raise Unavailable(f"{address}: the process that does this is not running right now; try again in a moment")
        number = next(self._ids)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        peer.calls[number] = future
        peer.send({"op": "call", "id": number, "address": address, "args": args})
        try:
            return await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            raise Unavailable(f"{address}: {peer.name} has not answered within {timeout_s:g} s") from None
        finally:
            peer.calls.pop(number, None)

    def _server_of(self, address: str) -> Peer | None:
        best: tuple[int, Peer] | None = None
        for peer in self._peers:
            for prefix in peer.prefixes:
                if (address == prefix or address.startswith(prefix + "/")) and (best is None or len(prefix) > best[0]):
                    best = (len(prefix), peer)
        return best[1] if best else None

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(writer)
        self._peers.add(peer)
        pump = asyncio.create_task(peer.pump())
        task = asyncio.current_task()
        if task:
            self._tasks.add(task)
        try:
            while line := await reader.readline():
                self._line(peer, line)
        except (ConnectionError, ValueError, asyncio.CancelledError) as error:
            if isinstance(error, ValueError):
                log.warning("hub: %s sent a line over %d bytes and was disconnected", peer.name, LINE_LIMIT)
        finally:
            self._peers.discard(peer)
            if task:
                self._tasks.discard(task)
            pump.cancel()
            if peer.leave is not None:
                peer.leave()
            for future in peer.calls.values():
                if not future.done():
                    future.set_exception(Unavailable(f"{peer.name} went away before it answered; try again"))
            for prefix in peer.prefixes:
                self._backend.served(prefix, False)
            writer.close()

    def _line(self, peer: Peer, line: bytes) -> None:
        try:
            message = json.loads(line)
            if not isinstance(message, dict):
                raise ValueError("not an object")
        except ValueError as error:
            peer.send({"re": None, "error": f"not a JSON object: {error}", "status": 400})
            return
        if "re" in message:
            self._answer(peer, message)
            return
        match message.get("op"):
            case "hello":
                peer.name = str(message.get("name", "?"))
            case "watch":
                pattern = str(message.get("pattern", ""))
                peer.patterns[pattern] = compile_pattern(pattern, deep=True)
                for address, value in self._backend.current(pattern, private=True):
                    peer.changed(address, value)
            case "monitor":
                if peer.leave is not None:
                    peer.leave()
                peer.leave = self._backend.listen(peer.monitored) if message.get("on", True) else None
            case "unwatch":
                peer.patterns.pop(str(message.get("pattern", "")), None)
            case "serve":
                prefix = str(message.get("prefix", ""))
                peer.prefixes.add(prefix)
                self._backend.served(prefix, True)
            case "publish":
                self._backend.published(str(message.get("address", "")), message.get("value"))
            case _:
                task = asyncio.create_task(self._request(peer, message))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _answer(self, peer: Peer, message: dict[str, Any]) -> None:
        future = peer.calls.get(message["re"])
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(ApplianceError(str(message["error"]), status=int(message.get("status", 500))))
        else:
            future.set_result(message.get("value"))

    async def _request(self, peer: Peer, message: dict[str, Any]) -> None:
        number = message.get("id")
        try:
            value = await self._obey(message)
        except Exception as error:  # noqa: BLE001 - the one place where errors become answers
            peer.send(failure(number, error))
        else:
            peer.send({"re": number, "value": value})

    async def _obey(self, message: dict[str, Any]) -> Any:
        address = message.get("address")
        match message.get("op"):
            case "get" if isinstance(address, str):
                return await self._backend.get(address)
            case "set" if isinstance(address, str):
                return await self._backend.set(address, message.get("value"))
            case "do" if isinstance(address, str):
                args = message.get("args") or []
                return await self._backend.do(address, args if isinstance(args, list) else [args])
            case "ls":
                return self._backend.ls(str(message.get("pattern") or "/*"))
            case _:
                pass
        raise ApplianceError(f"hub: {message.get('op')!r} is no request, or it lacks an address", status=400)


class HubClient:
    """The client's end, for every process and the command line. Reconnects by itself until :meth:`stop`."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._watchers: list[tuple[str, Any, Watcher]] = []
        self._handlers: dict[str, Handler] = {}
        self._monitor: Callable[[int, dict[str, Any]], None] | None = None
        self._published: dict[str, Any] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._online = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._calls: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to connect, and to connect again whenever control has restarted."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def connected(self, timeout_s: float | None = None) -> None:
        """Wait for the connection. Raises :class:`Unavailable` after ``timeout_s``."""
        try:
            await asyncio.wait_for(self._online.wait(), timeout_s)
        except TimeoutError:
            raise Unavailable("the box does not answer: control is not running; see `appliance status`") from None

    @property
    def online(self) -> bool:
        return self._online.is_set()

    async def get(self, address: str) -> Any:
        return await self._ask({"op": "get", "address": address})

    async def set(self, address: str, value: Any) -> Any:
        return await self._ask({"op": "set", "address": address, "value": value})

    async def do(self, address: str, *args: Any) -> Any:
        return await self._ask({"op": "do", "address": address, "args": list(args)})

    async def ls(self, pattern: str = "/*") -> list[dict[str, Any]]:
        return await self._ask({"op": "ls", "pattern": pattern})

    def watch(self, pattern: str, callback: Watcher) -> None:
        """``callback(address, value)`` now with the current values, on every change, and after every reconnect."""
        self._watchers.append((pattern, compile_pattern(pattern, deep=True), callback))
        self._send({"op": "watch", "pattern": pattern})

    def monitor(self, callback: Callable[[int, dict[str, Any]], None]) -> None:
        """``callback(number, line)`` for every message of every device, in order, also after a reconnect."""
        self._monitor = callback
        self._send({"op": "monitor"})

    def serve(self, prefix: str, handler: Handler) -> None:
        """Answer calls to addresses under ``prefix``; raise an :class:`ApplianceError` to refuse."""
        self._handlers[prefix] = handler
        self._send({"op": "serve", "prefix": prefix})

    async def publish(self, address: str, value: Any) -> None:
        """Tell a state that this process owns; control keeps it, and hears it again after a reconnect."""
        self._published[address] = value
        self._send({"op": "publish", "address": address, "value": value})

    async def _ask(self, message: dict[str, Any]) -> Any:
        if self._writer is None:
            raise Unavailable("the box does not answer: control is not running right now; try again in a moment")
        number = next(self._ids)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self._send({**message, "id": number})
        try:
            return await future
        finally:
            self._waiting.pop(number, None)

    def _send(self, message: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(encode(message))

    async def _run(self) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._path, limit=LINE_LIMIT)
            except OSError:
                await asyncio.sleep(RECONNECT_S)
                continue
            self._writer = writer
            self._introduce()
            self._online.set()
            try:
                while line := await reader.readline():
                    self._line(json.loads(line))
            except (ConnectionError, ValueError) as error:
                log.warning("hub: connection lost (%s); connecting again", error)
            finally:
                self._writer = None
                self._online.clear()
                writer.close()
                for future in self._waiting.values():
                    if not future.done():
                        future.set_exception(Unavailable("control went away before it answered; try again in a moment"))

    def _introduce(self) -> None:
        self._send({"op": "hello", "name": self._name})
        for prefix in self._handlers:
            self._send({"op": "serve", "prefix": prefix})
        for address, value in self._published.items():
            self._send({"op": "publish", "address": address, "value": value})
        for pattern in dict.fromkeys(pattern for pattern, _, _ in self._watchers):
            self._send({"op": "watch", "pattern": pattern})
        if self._monitor is not None:
            self._send({"op": "monitor"})

    def _line(self, message: dict[str, Any]) -> None:
        if message.get("op") == "changed":
            for _, compiled, callback in self._watchers:
                if compiled.fullmatch(message["address"]):
                    callback(message["address"], message["value"])
        elif message.get("op") == "monitored" and self._monitor is not None:
            self._monitor(int(message["number"]), message["value"])
        elif message.get("op") == "call":
            task = asyncio.create_task(self._serve(message))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
        elif (future := self._waiting.get(message.get("re", -1))) and not future.done():
            if "error" in message:
                future.set_exception(ApplianceError(message["error"], status=message.get("status", 500)))
            else:
                future.set_result(message.get("value"))

    async def _serve(self, message: dict[str, Any]) -> None:
        address = message["address"]
        fitting = [p for p in self._handlers if address == p or address.startswith(p + "/")]
        try:
            value = await self._handlers[max(fitting, key=len)](address, message.get("args") or [])
        except Exception as error:  # noqa: BLE001 - the one place where errors become answers
            self._send(failure(message["id"], error))
        else:
            self._send({"re": message["id"], "value": value})
