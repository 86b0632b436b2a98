# SPDX-License-Identifier: GPL-3.0-or-later
"""A box that listens to the network, and another machine on it: nothing before it is paired, its scope after, nothing again
when that has ended."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from appliance.control import surfaces
from appliance.control.desk import Desk
from appliance.control.osc.packet import decode, encode
from tests.foreignhost import Network, network_or_skip

PATIENCE_S = 20.0
NOTHING_S = 0.5
"""What has not come by then does not come."""


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with network_or_skip() as network:
        yield network


class Box:
    """The box, open to the network, as its surfaces start it."""

    def __init__(self, desk: Desk, network: Network) -> None:
        self.desk = desk
        self.network = network
        self._stop: surfaces.Stop | None = None

    async def start(self, confirm: str = "code") -> None:
        everywhere = {"host": "0.0.0.0", "port": 0}
        self.desk.box.config = type(self.desk.box.config).model_validate({
            "audio": {"backend": "clock"}, "http": everywhere, "osc": everywhere, "mappings": {"alsa": False},
            "access": {"confirm": confirm}})
        self._stop = await surfaces.start(self.desk)
        told = json.loads((self.desk.box.run / "endpoints.json").read_text())
        self.http, self.osc = (int(told[name].rpartition(":")[2]) for name in ("http", "osc"))

    async def stop(self) -> None:
        if self._stop is not None:
            await self._stop()
            self._stop = None

    @property
    def code(self) -> str:
        return self.desk.get_now("/access/code")


@pytest_asyncio.fixture
async def box(desk: Desk, network: Network) -> AsyncIterator[Box]:
    opened = Box(desk, network)
    await opened.start()
    yield opened
    await opened.stop()


class Host:
    """A machine of the network: HTTP, WebSocket and OSC from its address. ``token`` goes with every request when it is set."""

    def __init__(self, box: Box, which: int = 0) -> None:
        self.box = box
        self.address = box.network.hosts[which]
        self.token = ""
        self.heard: list[tuple[str, tuple[Any, ...]]] = []
        self._transport: Any = None

    # -- HTTP

    async def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=(self.address, 0)),
                                     timeout=aiohttp.ClientTimeout(PATIENCE_S))

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        async def work() -> tuple[int, Any]:
            async with await self._session() as session, session.request(
                    method, f"http://{self.box.network.box}:{self.box.http}{path}", json=body,
                    headers=self._headers() | headers, allow_redirects=False) as answer:
                kind = answer.content_type
                return answer.status, await answer.json() if kind == "application/json" else await answer.text()

        return await self.box.network.there(work())

    async def pair(self, scope: str) -> str:
        """The whole way, by HTTP; the code is read on the box."""
        status, asked = await self.ask("POST", "/pair", {"name": "tablet", "scope": scope})
        assert status == 200, asked
        status, paired = await self.ask("POST", "/pair/code", {"id": asked["id"], "code": self.box.code})
        assert status == 200, paired
        self.token = paired["token"]
        return paired["device"]

    # -- WebSocket

    async def websocket(self, work: Callable[[aiohttp.ClientWebSocketResponse], Awaitable[Any]], **more: Any) -> Any:
        """What ``work`` returns, or the status with which the box refused."""
        async def there() -> Any:
            async with await self._session() as session:
                try:
                    async with session.ws_connect(f"http://{self.box.network.box}:{self.box.http}/api/v1/ws", **more) as socket:
                        return await work(socket)
                except aiohttp.WSServerHandshakeError as error:
                    return error.status

        return await self.box.network.there(there())

    # -- OSC

    async def listen(self) -> int:
        """Open the socket; the port."""
        host = self

        class Listener(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                host.heard += [(m.address, m.args) for m in decode(data)]

        async def work() -> Any:
            return (await asyncio.get_running_loop().create_datagram_endpoint(
                Listener, local_addr=(self.address, 0), remote_addr=(self.box.network.box, self.box.osc)))[0]

        self._transport = await self.box.network.there(work())
        return self._transport.get_extra_info("sockname")[1]

    async def send(self, address: str, *args: Any) -> None:
        async def work() -> None:
            self._transport.sendto(encode(address, *args))

        if self._transport is None:
            await self.listen()
        await self.box.network.there(work())

    async def until(self, found: Callable[[], Any]) -> Any:
        for _ in range(int(PATIENCE_S / 0.02)):
            if answer := found():
                return answer
            await asyncio.sleep(0.02)
        return found()

    async def reply(self, address: str, *args: Any) -> tuple[str, tuple[Any, ...]]:
        """The first answer to a message."""
        self.heard.clear()
        await self.send(address, *args)
        await self.until(lambda: self.heard)
        assert self.heard, f"no answer to {address}"
        return self.heard[0]

    def close(self) -> None:
        if self._transport is not None:
            self.box.network.loop.call_soon_threadsafe(self._transport.close)


@pytest.fixture
def host(box: Box) -> Iterator[Host]:
    made = Host(box)
    yield made
    made.close()


@pytest.fixture
def other(box: Box) -> Iterator[Host]:
    made = Host(box, 1)
    yield made
    made.close()


# -- strangers


@pytest.mark.asyncio
async def test_a_stranger_reads_and_writes_nothing_by_http(box: Box, host: Host) -> None:
    for method, path, body in (
        ("GET", "/healthz", None), ("GET", "/api/v1/", None), ("GET", "/api/v1/clock/bpm", None),
        ("GET", "/api/v1/openapi.json", None), ("GET", "/api/v1/access/code", None), ("PUT", "/api/v1/clock/bpm", 150),
        ("POST", "/api/v1/pads/stop", None), ("POST", "/api/v1/access/revoke", "all"),
        ("PUT", "/api/v1/access/confirm", True), ("GET", "/api/v1/visuals/snapshot", None),
        ("GET", "/nothing", None), ("GET", "/pair/../api/v1/clock/bpm", None), ("GET", "//api/v1/clock/bpm", None),
        ("GET", "/pair/%2e%2e/api/v1/clock/bpm", None), ("GET", "/pair/more", None), ("DELETE", "/api/v1/clock/bpm", None),
        ("OPTIONS", "/api/v1/clock/bpm", None), ("POST", "/", None),
    ):
        status, answer = await host.ask(method, path, body)
        assert (status, "not paired" in answer["error"]) == (401, True), (method, path, status, answer)
    for headers in ({"Host": "localhost"}, {"Host": "127.0.0.1"}, {"Host": "evil.example"}, {"X-Forwarded-For": "127.0.0.1"},
                    {"Origin": "http://evil.example"}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic YTpi"},
                    {"Cookie": f"appliance_token_{box.http}=wrong"}, {"Sec-Fetch-Site": "cross-site"}):
        status, _ = await host.ask("PUT", "/api/v1/clock/bpm", 150, **headers)
        assert status in (401, 403), headers
    assert await box.desk.get("/clock/bpm") == 120.0
    assert (await host.ask("GET", "/"))[0] == 303, "a browser is shown the way"
    status, page = await host.ask("GET", "/pair")
    assert (status, "Ask for a code" in page) == (200, True)


@pytest.mark.asyncio
async def test_a_stranger_gets_no_websocket(box: Box, host: Host) -> None:
    async def talk(socket: aiohttp.ClientWebSocketResponse) -> str:
        return "open"

    assert await host.websocket(talk) == 401
    assert await host.websocket(talk, protocols=("appliance", "token.wrong")) == 401
    assert await host.websocket(talk, headers={"Host": "localhost"}) in (401, 403)
    assert await host.websocket(talk, headers={"Origin": "http://evil.example"}) == 403


@pytest.mark.asyncio
async def test_a_stranger_sends_osc_in_vain(box: Box, host: Host) -> None:
    for address, args in (("/clock/bpm", (150.0,)), ("/clock/bpm", ()), ("/pads/stop", ()), ("/subscribe", ("/*",)),
                          ("/hello", ()), ("/hello", ("wrong", 9001)), ("/clock/b*", (150.0,)), ("/access/code", ()),
                          ("/nothing", ())):
        where, (*_, words) = await host.reply(address, *args)
        assert (where, "/pair" in words) == ("/error", True), (address, args)
    host.heard.clear()
    box.desk.set_now("/mixer/crossfader", 0.25)  # told to whoever has subscribed
    await asyncio.sleep(NOTHING_S)
    assert host.heard == []
    assert await box.desk.get("/clock/bpm") == 120.0
    assert int(box.desk.box.record["command_head"][0]) == 0
    if shutil.which("oscsend"):
        done = box.network.program("oscsend", box.network.box, str(box.osc), "/clock/bpm", "f", "150")
        assert done.returncode == 0, done.stderr
        await asyncio.sleep(NOTHING_S)
        assert await box.desk.get("/clock/bpm") == 120.0


@pytest.mark.asyncio
async def test_a_stranger_who_never_stops_is_slowed_down(box: Box, host: Host, other: Host) -> None:
    statuses: set[int] = set()
    for _ in range(200):
        statuses.add((await host.ask("GET", "/api/v1/clock/bpm"))[0])
        if 429 in statuses:
            break
    assert statuses == {401, 429}
    assert (await other.ask("GET", "/pair"))[0] == 200, "others are not held up by it"


# -- pairing


@pytest.mark.asyncio
async def test_a_paired_host_does_what_its_scope_covers_until_it_is_revoked(box: Box, host: Host, other: Host) -> None:
    device = await host.pair("play")
    assert await host.ask("GET", "/api/v1/clock/bpm") == (200, {"address": "/clock/bpm", "value": 120.0})
    assert (await host.ask("PUT", "/api/v1/clock/bpm", 125))[0] == 200
    assert (await host.ask("GET", "/api/v1/openapi.json"))[0] == 200
    for method, path, body in (("POST", "/api/v1/session/save", []), ("PUT", "/api/v1/session/name", "mine"),
                               ("POST", "/api/v1/access/list", []), ("PUT", "/api/v1/access/confirm", True),
                               ("POST", "/api/v1/access/revoke", "all"), ("GET", "/api/v1/access/requests", None)):
        status, answer = await host.ask(method, path, body)
        assert (status, bool(answer["error"])) == (403, True), (path, answer)
    status, _ = await other.ask("POST", "/pair", {"name": "phone"})  # there is a code to be seen now
    assert (status, len(box.code)) == (200, 6)
    _, answer = await host.ask("GET", "/api/v1/access")
    assert {n["address"] for n in answer["nodes"]}.isdisjoint({"/access/requests", "/access/code", "/access/message"})
    assert box.code not in str(answer)

    async def talk(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
        told: dict[str, Any] = {"protocol": socket.protocol}
        await socket.send_json({"op": "watch", "pattern": "/access/*"})
        for number, message in enumerate((
            {"op": "get", "address": "/clock/bpm"}, {"op": "set", "address": "/clock/bpm", "value": 127},
            {"op": "do", "address": "/session/save", "args": []}, {"op": "get", "address": "/access/code"},
            {"op": "ls", "pattern": "/access/*"},
        )):
            await socket.send_json({**message, "id": number})
        while len(told) < 6:
            message = await socket.receive_json(timeout=PATIENCE_S)
            if "re" in message:
                told[message["re"]] = message.get("status", message.get("value"))
            else:
                assert message["address"] in ("/access/open", "/access/confirm"), message
        return told

    told = await host.websocket(talk, protocols=("appliance", f"token.{host.token}"))
    assert (told["protocol"], told[0], told[1], told[2], told[3]) == ("appliance", 125.0, 127.0, 403, 403)
    assert box.code not in str(told[4])

    # OSC: pairing has allowed this host
    assert await host.reply("/clock/bpm") == ("/clock/bpm", (127.0,))
    await host.send("/clock/bpm", 129.0)
    await host.until(lambda: box.desk.get_now("/clock/bpm") == 129.0)
    assert await box.desk.get("/clock/bpm") == 129.0
    for address in ("/session/save", "/access/code", "/access/revoke"):
        where, (*_, words) = await host.reply(address, *(["all"] if address.endswith("revoke") else []))
        assert (where, "paired to" in words) == ("/error", True), address
    await host.send("/subscribe", "/*")
    await host.until(lambda: ("/clock/bpm", (129.0,)) in host.heard)
    host.heard.clear()
    box.desk.set_now("/clock/bpm", 131)
    assert await host.until(lambda: ("/clock/bpm", (131.0,)) in host.heard)
    assert box.code not in str(host.heard).replace(" ", "")

    # the end of it
    async def wait_for_the_end(socket: aiohttp.ClientWebSocketResponse) -> bool:
        ready.set()
        while not socket.closed:
            await socket.receive(timeout=PATIENCE_S)
        return True

    ready = asyncio.Event()
    ended = asyncio.create_task(host.websocket(wait_for_the_end, headers={"Authorization": f"Bearer {host.token}"}))
    await host.until(ready.is_set)
    assert await box.desk.do("/access/revoke", [device]) == ["tablet"]
    assert await ended
    for method, path, body in (("GET", "/api/v1/clock/bpm", None), ("PUT", "/api/v1/clock/bpm", 150)):
        assert (await host.ask(method, path, body))[0] == 401
    assert await host.websocket(wait_for_the_end, headers={"Authorization": f"Bearer {host.token}"}) == 401
    assert (await host.reply("/clock/bpm"))[0] == "/error"
    host.heard.clear()
    box.desk.set_now("/mixer/crossfader", 0.5)
    await asyncio.sleep(NOTHING_S)
    assert host.heard == []


@pytest.mark.asyncio
async def test_an_administrator_lists_and_sends_away_others_but_sees_no_code(box: Box, host: Host, other: Host) -> None:
    await host.pair("admin")
    device = await other.pair("edit")
    status, answer = await other.ask("POST", "/api/v1/session/save", ["mine"])
    assert (status, "has not started" in answer["error"]) == (503, True), "it may; what saves does not run in this test"
    _, answer = await host.ask("POST", "/api/v1/access/list")
    assert {(d["name"], d["scope"]) for d in answer["result"]} == {("tablet", "admin"), ("tablet", "edit")}
    assert "digest" not in str(answer)
    assert (await host.ask("GET", "/api/v1/access/code"))[0] == 403
    assert (await other.ask("POST", "/api/v1/access/revoke", device))[0] == 403
    assert (await host.ask("POST", "/api/v1/access/revoke", device))[0] == 200
    assert (await other.ask("GET", "/api/v1/clock/bpm"))[0] == 401


@pytest.mark.asyncio
async def test_two_hosts_at_once_have_codes_of_their_own(box: Box, host: Host, other: Host) -> None:
    _, first = await host.ask("POST", "/pair", {"name": "first"})
    first_code = box.code
    _, second = await other.ask("POST", "/pair", {"name": "second"})
    second_code = box.code
    assert (await other.ask("POST", "/pair/code", {"id": first["id"], "code": first_code}))[0] == 410, "another host's"
    if first_code != second_code:
        assert (await other.ask("POST", "/pair/code", {"id": second["id"], "code": first_code}))[0] == 403
    assert (await host.ask("POST", "/pair/code", {"id": first["id"], "code": first_code}))[0] == 200
    assert (await other.ask("POST", "/pair/code", {"id": second["id"], "code": second_code}))[0] == 200


@pytest.mark.asyncio
async def test_a_held_control_lets_a_foreign_host_in(box: Box, host: Host) -> None:
    await box.stop()
    await box.start("held")
    _, asked = await host.ask("POST", "/pair", {"name": "tablet"})
    typed = {"id": asked["id"], "code": box.code}
    assert (await host.ask("POST", "/pair/code", typed))[0] == 202
    assert (await host.ask("GET", "/api/v1/clock/bpm"))[0] == 401, "not yet"
    box.desk.set_now("/access/confirm", True)
    await host.until(lambda: not box.desk.get_now("/access/confirm"))
    status, paired = await host.ask("POST", "/pair/code", typed)
    host.token = paired["token"]
    assert (status, (await host.ask("GET", "/api/v1/clock/bpm"))[0]) == (200, 200)


@pytest.mark.asyncio
async def test_a_token_carries_osc_to_another_host_and_over_a_restart(box: Box, host: Host, other: Host) -> None:
    await host.pair("play")
    assert (await other.reply("/clock/bpm"))[0] == "/error"
    port = await other.listen()
    await other.send("/hello", host.token, port)
    assert await other.until(lambda: ("/clock/bpm", (120.0,)) in other.heard)
    await other.send("/clock/bpm", 122.0)
    assert await other.until(lambda: box.desk.get_now("/clock/bpm") == 122.0)
    await box.stop()
    await box.start()
    assert (await host.ask("GET", "/api/v1/clock/bpm"))[0] == 200
    other.close()
    await other.listen()
    assert await other.reply("/clock/bpm") == ("/clock/bpm", (122.0,))


@pytest.mark.asyncio
async def test_a_browsers_cookie_is_good_for_its_own_pages_alone(box: Box, host: Host) -> None:
    await host.pair("play")
    cookie, host.token = f"appliance_token_{box.http}={host.token}", ""
    where = f"{box.network.box}:{box.http}"
    assert (await host.ask("GET", "/", Cookie=cookie))[0] == 200
    assert (await host.ask("PUT", "/api/v1/clock/bpm", 123, Cookie=cookie, Origin=f"http://{where}"))[0] == 200
    for headers in ({"Origin": "http://evil.example"}, {"Origin": f"http://{box.network.box}:1"}, {"Origin": "null"},
                    {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example", "Origin": "http://evil.example"}):
        assert (await host.ask("PUT", "/api/v1/clock/bpm", 150, Cookie=cookie, **headers))[0] == 403, headers
    assert await box.desk.get("/clock/bpm") == 123.0
