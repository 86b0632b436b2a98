# SPDX-License-Identifier: GPL-3.0-or-later
"""All surfaces together: where they can be reached, what happens when one of them cannot start."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from appliance.control import surfaces
from appliance.control.access import hosts
from appliance.control.desk import Desk
from appliance.control.mapping.library import shipped_folder

Start = Callable[[dict[str, Any]], Awaitable[None]]


@pytest_asyncio.fixture
async def start(desk: Desk) -> AsyncIterator[Start]:
    stops: list[surfaces.Stop] = []

    async def begin(settings: dict[str, Any]) -> None:
        plain = {"audio": {"backend": "clock"}, "http": {"port": 0}, "osc": {"port": 0}, "mappings": {"alsa": False}}
        desk.box.config = type(desk.box.config).model_validate({**plain, **settings})
        stops.append(await surfaces.start(desk))

    yield begin
    for stop in stops:
        await stop()


def endpoints(desk: Desk) -> dict[str, str]:
    path = desk.box.run / "endpoints.json"
    told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    told.pop("supervisor", None)
    return told


@pytest.mark.asyncio
async def test_endpoints_are_told(desk: Desk, start: Start) -> None:
    await start({})
    where = endpoints(desk)
    assert set(where) == {"http", "osc", "oscquery"}
    async with aiohttp.ClientSession() as session, session.get(f"{where['http']}/api/v1/clock/bpm") as answer:
        assert (await answer.json())["value"] == 120.0
    host, port = where["osc"].split(":")
    assert (host, int(port) > 0) == ("127.0.0.1", True)


@pytest.mark.asyncio
async def test_a_port_in_use_is_said_and_taken_when_it_is_free(
    desk: Desk, start: Start, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(surfaces, "RETRY_S", 0.1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        await start({"http": {"port": port}})
        message = desk.get_now("/system/message")
        assert f"127.0.0.1:{port}" in message
        assert "another program uses it" in message
        assert set(endpoints(desk)) == {"osc", "oscquery"}
    for _ in range(50):
        await asyncio.sleep(0.05)
        if "http" in endpoints(desk):
            break
    assert endpoints(desk)["http"] == f"http://127.0.0.1:{port}"


@pytest.mark.asyncio
async def test_ports_that_the_box_chose_are_kept_over_a_restart_of_control(desk: Desk, start: Start) -> None:
    await start({})
    before = endpoints(desk)
    stop = await surfaces.start(Desk(desk.box))  # while the ports are taken: others are chosen
    assert set(endpoints(desk)) == {"http", "osc", "oscquery"}
    assert endpoints(desk) != before
    second = endpoints(desk)
    await stop()
    stop = await surfaces.start(Desk(desk.box))
    assert endpoints(desk) == second
    await stop()
    desk.box.process("supervisor")["pid"] = 4711  # another run of the box: these ports mean nothing to it
    stop = await surfaces.start(Desk(desk.box))
    assert endpoints(desk) != second
    await stop()


@pytest.mark.asyncio
async def test_doors_that_are_open_to_the_network_are_told_with_the_page_for_it(desk: Desk, start: Start) -> None:
    await start({"http": {"host": "0.0.0.0", "port": 0}, "osc": {"host": "0.0.0.0", "port": 0}})
    where = endpoints(desk)
    assert where["osc"].startswith("127.0.0.1:")
    async with aiohttp.ClientSession() as session, session.get(f"{where['http']}/api/v1/clock/bpm") as answer:
        assert (answer.status, (await answer.json())["value"]) == (200, 120.0)
    assert where["pair"].endswith(f":{where['http'].rpartition(':')[2]}/pair")
    assert "127.0.0.1" not in where["pair"] or not hosts.outward()
    assert where["pair"] in desk.get_now("/system/message")


@pytest.mark.asyncio
async def test_profiles_are_told_and_read_again_when_asked(desk: Desk, start: Start) -> None:
    await start({})
    for _ in range(100):
        await asyncio.sleep(0.02)
        if desk.get_now("/system/profiles"):
            break
    assert {p["profile"] for p in desk.get_now("/system/profiles")} >= {"Generic", "Akai APC mini mk2"}
    assert await desk.do("/system/profiles/reload", []) == {"profiles": len(list(shipped_folder().glob("*.yaml")))}
