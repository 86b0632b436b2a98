# SPDX-License-Identifier: GPL-3.0-or-later
"""10,000 OSC messages a second, into a box with its engine: every trigger arrives, and every address ends at its last value."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from appliance.control.osc.udp import RECEIVE_BYTES, _enlarge
from benchmarks.flood import ADDRESSES, Triggers, flood
from tests.control.core.conftest import Rig

SECONDS = 4.0


def granted_bytes() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        _enlarge(trial)
        return trial.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


@pytest.mark.skipif(granted_bytes() < RECEIVE_BYTES // 4, reason="the system grants no receive buffer that could hold a burst")
async def test_nothing_of_a_flood_is_lost(playing: Rig) -> None:
    host, _, port = json.loads((playing.box.run / "endpoints.json").read_text())["osc"].rpartition(":")
    counter = Triggers(playing.box)
    told = await asyncio.to_thread(flood, (host, int(port)), SECONDS, counter.look)
    await asyncio.to_thread(counter.settle, told["triggers"])
    assert told["triggers"] > 100
    assert counter.seen == told["triggers"]
    wrong = {ADDRESSES[int(k)]: v for k, v in told["last"].items()
             if abs(float(playing.box.values.get(ADDRESSES[int(k)])) - v) > 1e-6}
    assert wrong == {}
    await playing.reset()
