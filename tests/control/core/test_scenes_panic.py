# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenes start and stop their pads together; panic brings the box home."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest

from appliance.bus.eventfile import EventFile
from appliance.errors import ApplianceError
from appliance.nodes import NAMESPACE


async def is_now(hub, address, value):
    return await hub.get(address) == value


async def load_pads(hub, loop, *pads) -> None:
    await hub.set("/clock/quantize", "off")
    await asyncio.gather(*(hub.do(f"{pad}/load", str(loop)) for pad in pads))


def states(rig, cells) -> list[int]:
    snapshot = rig.box.telemetry.snapshot()
    return [int(snapshot["pad"]["state"][cell]) for cell in cells]


async def test_default_scenes_are_rows_of_four(playing, loop):
    async with playing.client() as hub:
        await load_pads(hub, loop, *(f"/bank/1/pad/{n}" for n in range(1, 9)), "/bank/2/pad/13", "/bank/3/pad/1")
        await hub.do("/bank/3/pad/1/trigger")
        await hub.do("/scene/1/launch")
        await playing.until(lambda: states(playing, range(8)) == [3, 3, 3, 3, 1, 1, 1, 1], "row 1")
        await hub.do("/scene/2/launch")
        await playing.until(lambda: states(playing, range(8)) == [1, 1, 1, 1, 3, 3, 3, 3], "row 2 instead")
        await hub.do("/scene/8/launch")
        await playing.until(lambda: states(playing, [28]) == [3], "row 8 is the last of bank 2")
        assert states(playing, range(4, 8)) == [3, 3, 3, 3], "another bank plays on"
        assert states(playing, [32]) == [3]


async def test_a_stored_scene_comes_back_with_its_settings(playing, loop):
    async with playing.client() as hub:
        with pytest.raises(ApplianceError) as caught:
            await hub.do("/scene/3/store")
        assert caught.value.status == 409 and "no pad plays" in caught.value.message
        await load_pads(hub, loop, "/pad/1", "/pad/2", "/pad/3")
        for pad in (1, 3):
            await hub.do(f"/pad/{pad}/trigger")
        await hub.set("/pad/3/gain", -9)
        await hub.set("/pad/3/pitch", 7)
        await playing.until(lambda: states(playing, range(3)) == [3, 1, 3], "two pads")
        assert await hub.do("/scene/3/store") == {"pads": ["/bank/1/pad/1", "/bank/1/pad/3"]}
        await hub.do("/pads/cut")
        await hub.set("/pad/3/gain", 0)
        await hub.do("/pad/2/trigger")
        await playing.until(lambda: states(playing, range(3)) == [1, 3, 1], "the other pad")
        await hub.do("/scene/3/launch")
        await playing.until(lambda: states(playing, range(3)) == [3, 1, 3], "the scene")
        await playing.until(lambda: is_now(hub, "/pad/3/gain", -9), "its setting")
        row = playing.box.record["scene"][0][2]
        assert row["pitch"][2] == 7 and row["launch"][1] == -1 and math.isnan(row["gain"][1])
        await hub.do("/scene/3/clear")
        assert list(row["launch"][:12]) == [-1] * 8 + [1] * 4


async def test_home(playing, loop):
    async with playing.client() as hub:
        await load_pads(hub, loop, "/pad/2", "/pad/5", "/bank/2/pad/1")
        await hub.do("/deck/1/load", str(loop))
        await hub.do("/deck/1/play", True)
        for pad in ("/pad/2", "/pad/5", "/bank/2/pad/1"):
            await hub.do(f"{pad}/trigger")
        await hub.set("/clock/quantize", "8 bars")
        await hub.set("/panic/loop", "/bank/2/pad/1")
        await hub.set("/panic/scene", "tunnel")
        twisted = {"/channel/1/low": -60, "/channel/5/kill/mid": True, "/channel/2/filter": 1, "/channel/3/fader": 0,
                   "/channel/4/mute": True, "/channel/4/solo": True, "/channel/8/pan": -1, "/mixer/crossfader": 1,
                   "/panic/mute": True, "/pad/2/filter": -0.5}
        stays = {"/channel/1/trim": -6, "/channel/1/cue": True, "/channel/1/assign": "thru", "/mixer/master": -10,
                 "/mixer/limiter/ceiling": -3, "/mixer/curve": "cut", "/clock/bpm": 131, "/pad/2/gain": -5,
                 "/deck/1/rate": 1.2}
        for address, value in (twisted | stays).items():
            await hub.set(address, value)
        assert await hub.do("/panic/home") == {"loop": "/bank/2/pad/1", "scene": "tunnel"}
        await playing.until(lambda: states(playing, [1, 4, 16]) == [1, 1, 3], "the safe loop alone")
        await playing.until(lambda: is_now(hub, "/deck/1/play", False), "the deck to stop")
        for address in twisted:
            found = NAMESPACE.find(address)
            assert await hub.get(address) == found.node.default, address
        for address, value in stays.items():
            assert await hub.get(address) == value, address
        assert await hub.get("/visuals/scene") == "tunnel"


async def test_home_starts_the_first_loaded_pad_on_a_beat_whatever_the_grid(playing, loop):
    async with playing.client() as hub:
        await hub.do("/panic/home")
        await playing.said("no pad is loaded")
        await load_pads(hub, loop, "/pad/4", "/pad/6")
        await hub.set("/clock/quantize", "8 bars")
        await hub.set("/panic/loop", "/pad/9")
        await hub.do("/system/events/record", True)
        assert (await hub.do("/panic/home"))["loop"] == "/bank/1/pad/4"
        await playing.said("/pad/9 is empty")
        await playing.until(lambda: states(playing, [3, 5]) == [3, 1], "the pad", 3)
        assert await hub.get("/pad/4/quantize") == "clock"
        recorded = await hub.do("/system/events/record", False)
    file = EventFile.load(Path(recorded["file"]))
    trigger = next(e for e in file.events if e.address == "/bank/1/pad/4/trigger")
    beats = file.start_beat + (trigger.frame - file.start_frame) * 120 / 60 / 48000
    assert beats == pytest.approx(round(beats), abs=1e-3)
