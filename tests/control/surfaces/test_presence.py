# SPDX-License-Identifier: GPL-3.0-or-later
"""Being found: another zeroconf on this machine sees the box come, under a name of its own, and go."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from appliance.config import Config, Endpoint
from appliance.control.desk import Desk
from appliance.control.presence import Presence, Service

zeroconf = pytest.importorskip("zeroconf")
zeroconf_asyncio = pytest.importorskip("zeroconf.asyncio")

KINDS = ("_osc._udp.local.", "_oscjson._tcp.local.", "_http._tcp.local.")
DOORS = [Service("_osc._udp", Endpoint(port=9000)), Service("_oscjson._tcp", Endpoint(port=8601)),
         Service("_http._tcp", Endpoint(port=8600), (("path", "/"),))]


class Finder:
    """Another program on this machine that looks for boxes."""

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.zeroconf = zeroconf_asyncio.AsyncZeroconf(interfaces=["127.0.0.1"])
        self.browser = zeroconf_asyncio.AsyncServiceBrowser(self.zeroconf.zeroconf, list(KINDS), handlers=[self._changed])

    def _changed(self, zeroconf: Any, service_type: str, name: str, state_change: Any) -> None:
        if state_change.name == "Removed":
            self.there.discard(name)
        elif "Test box" in name:
            self.there.add(name)

    async def until(self, names: set[str]) -> None:
        for _ in range(1500):
            if self.there == names:
                return
            await asyncio.sleep(0.01)
        assert self.there == names


@pytest_asyncio.fixture
async def finder() -> AsyncIterator[Finder]:
    finder = Finder()
    yield finder
    await finder.browser.async_cancel()
    await finder.zeroconf.async_close()


def named(desk: Desk, when: str = "always") -> Desk:
    desk.box.config = Config.model_validate({"presence": {"announce": when, "name": "Test box"}})
    return desk


async def test_the_box_is_found_and_goes(desk: Desk, finder: Finder) -> None:
    presence = Presence(named(desk), DOORS)
    await presence.start()
    await finder.until({f"Test box.{kind}" for kind in KINDS})
    info = await finder.zeroconf.async_get_service_info("_osc._udp.local.", "Test box._osc._udp.local.")
    assert (info.port, info.parsed_addresses()) == (9000, ["127.0.0.1"])
    second = Presence(desk, DOORS[:1])  # another box of that name
    await second.start()
    await finder.until({*(f"Test box.{kind}" for kind in KINDS), "Test box 2._osc._udp.local."})
    await second.stop()
    await presence.stop()
    await finder.until(set())


@pytest.mark.parametrize(("when", "host", "announced"), [
    ("auto", "127.0.0.1", 0), ("never", "192.168.1.2", 0), ("auto", "192.168.1.2", 1), ("always", "127.0.0.1", 1)])
def test_what_only_this_machine_reaches_is_not_announced(desk: Desk, when: str, host: str, announced: int) -> None:
    presence = Presence(named(desk, when), [Service("_osc._udp", Endpoint(host=host, port=9000))])
    assert len(presence._services) == announced


async def test_without_the_library_one_sentence_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zeroconf", None)
    presence = Presence(named(desk), DOORS)
    await presence.start()
    assert "zeroconf is not installed" in desk.get_now("/system/message")
    await presence.stop()
