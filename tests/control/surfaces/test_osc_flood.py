# SPDX-License-Identifier: GPL-3.0-or-later
"""10,000 OSC messages a second at control alone: every trigger is handed to the engine's ring, and every last value arrives."""

from __future__ import annotations

import asyncio
import socket

import pytest

from appliance.bus.commit import committed
from appliance.control.desk import Desk
from appliance.control.osc.server import OscServer
from appliance.control.osc.udp import RECEIVE_BYTES, _enlarge
from appliance.nodes import NAMESPACE
from benchmarks.flood import ADDRESSES, flood


def granted_bytes() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        _enlarge(trial)
        return trial.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


@pytest.mark.skipif(granted_bytes() < RECEIVE_BYTES // 4, reason="the system grants no receive buffer that could hold a burst")
async def test_every_trigger_and_every_last_value_arrives(desk: Desk) -> None:
    server = OscServer(desk, desk.box.config.osc)
    where = await server.start()
    ring, state = desk.box.record["commands"][0], committed(desk.box.commands._segment)
    seen = at = 0

    def engine() -> None:
        """Take what stands in the ring, as the engine does."""
        nonlocal seen, at
        head = int(desk.box.record["command_head"][0])
        while at < head:
            seen += int(ring[at % len(ring)]["code"]) == NAMESPACE.command("pad", "trigger")
            at += 1
        state["command_tail"][0] = at

    told = await asyncio.to_thread(flood, (where.host, where.port), 4.0, lambda: None)
    for _ in range(200):
        engine()
        if seen >= told["triggers"]:
            break
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.1)
    engine()
    assert told["triggers"] > 100
    assert seen == told["triggers"]
    assert {k: v for k, v in told["last"].items() if abs(await desk.get(ADDRESSES[int(k)]) - v) > 1e-6} == {}
    await server.stop()
