# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairing with a real control process: the whole way from another machine, and what is left of it when control is killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from tests.control.core.conftest import Rig
from tests.foreignhost import Network, network_or_skip


@pytest.fixture
def network() -> Iterator[Network]:
    with network_or_skip() as network:
        yield network


async def test_a_device_is_paired_from_another_machine_and_stays_so_when_control_is_killed(rig: Rig, network: Network) -> None:
    rig.config.http.host = rig.config.osc.host = "0.0.0.0"
    rig.box.config.http.host = rig.box.config.osc.host = "0.0.0.0"
    rig.reboot()
    rig.start_control()

    async def port() -> int:
        path = rig.box.run / "endpoints.json"

        def told() -> str:
            try:
                return json.loads(path.read_text())["http"]
            except (OSError, ValueError, KeyError):
                return ""

        return int((await rig.until(told, "the ports", 60.0)).rpartition(":")[2])

    async def ask(method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}

        async def once() -> tuple[int, Any]:
            async with aiohttp.ClientSession() as session, session.request(
                    method, f"http://{network.box}:{where}{path}", json=body, headers=headers) as answer:
                return answer.status, await answer.json()

        async def work() -> tuple[int, Any]:
            for _ in range(600):
                with contextlib.suppress(aiohttp.ClientConnectorError):  # control is on its way back
                    return await once()
                await asyncio.sleep(0.1)
            return await once()

        return await network.there(work())

    async def appliance(*words: str) -> str:
        done = await asyncio.create_subprocess_exec(sys.executable, "-m", "appliance", "pair", "--data", str(rig.data), *words,
                                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return (await done.communicate())[0].decode()

    where = await port()
    async with rig.client() as hub:
        assert (await ask("GET", "/api/v1/clock/bpm"))[0] == 401
        status, asked = await ask("POST", "/pair", {"name": "tablet", "scope": "edit"})
        assert status == 200, asked
        code = await hub.get("/access/code")
        assert " ".join(code) in rig.log(), "the journal has it"
        assert not [m for m in rig.messages if " ".join(code) in m or code in m]
        typed = {"id": asked["id"], "code": code}
        assert (await ask("POST", "/pair/code", typed))[0] == 202, "held is the default: the code alone is not enough"
        assert "tablet" in await appliance("confirm")
        status, paired = await ask("POST", "/pair/code", typed)
        assert (status, paired["scope"]) == (200, "edit")
        token = paired["token"]
        assert (await ask("PUT", "/api/v1/clock/bpm", 126, token))[0] == 200
        assert (await ask("POST", "/api/v1/session/save", [], token))[0] == 200
        assert (await ask("POST", "/api/v1/access/list", [], token))[0] == 403
        rig.kill("control")
        await rig.back(hub)
        status, answer = await ask("GET", "/api/v1/clock/bpm", token=token)
        assert (status, answer["value"]) == (200, 126.0)
        assert "tablet" in await appliance("revoke", "tablet")
        rig.kill("control")
        await rig.back(hub)
        assert (await ask("GET", "/api/v1/clock/bpm", token=token))[0] == 401
    assert token not in rig.log() + str(await asyncio.to_thread((rig.data / "access.json").read_text))
    assert "Traceback" not in rig.log()
