# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading, changing, doing and watching through the socket, with the real engine behind it."""

from __future__ import annotations

import asyncio
import math

import pytest

from appliance.bus.commands import Code
from appliance.bus.events import Kind
from appliance.control.desk import Desk
from appliance.errors import ApplianceError, BadValue, NotAllowed, UnknownAddress
from appliance.nodes import NAMESPACE


async def test_values_texts_and_aliases(playing):
    async with playing.client() as hub:
        assert await hub.set("/pad/3/gain", -6) == -6.0
        assert await hub.get("/bank/1/pad/3/gain") == -6.0
        assert playing.box.values.get("/bank/1/pad/3/gain") == -6.0
        assert await hub.set("/clock/metre", "7/8") == "7/8"
        assert await hub.set("/clock/metre", 2) == "4/4"
        assert await hub.set("/channel/1/mute", "on") is True
        assert await hub.set("/pad/3/name", "Kick") == "Kick"
        assert await hub.set("/pad/3/role", "Drums") == "drums"
        assert await hub.set("/gen/prompt", "dark and slow") == "dark and slow"
        await hub.set("/pads/bank", 2)
        assert await hub.get("/pad/3/gain") == 0.0
        assert await hub.get("/pad/3/name") == ""
        assert await hub.get("/bank/1/pad/3/name") == "Kick"


REFUSED = [
    ("/mixer/crosfader", 0.5, 404, "did you mean /mixer/crossfader?"),
    ("/mixer/crossfader", "loud", 422, "takes a number"),
    ("/mixer/crossfader", math.nan, 422, "finite"),
    ("/mixer/crossfader", math.inf, 422, "finite"),
    ("/mixer/crossfader", 1.5, 422, "takes -1 … 1"),
    ("/mixer/crossfader", None, 422, "takes a number, not nothing"),
    ("/clock/metre", "4/5", 422, "did you mean"),
    ("/pad/1/colour", "red", 422, "#rrggbb"),
    ("/pad/1/role", "drum", 422, "did you mean drums?"),
    ("/pad/1/file", "/x.wav", 405, "/pad/1/load"),
    ("/clock/beat", 1, 405, "read only"),
    ("/pad/1/stop", 1, 405, "is an action"),
    ("/session/name", "../evil", 422, "no name"),
]


async def test_what_is_refused_is_refused_in_one_line(playing):
    async with playing.client() as hub:
        before = playing.box.values.read_vector()
        for address, value, status, words in REFUSED:
            with pytest.raises(ApplianceError) as caught:
                await hub.set(address, value)
            assert caught.value.status == status, address
            assert words in caught.value.message.replace("/bank/1", "")
            assert "\n" not in caught.value.message
        with pytest.raises(ApplianceError, match="is an action: it can be done, not read"):
            await hub.get("/pad/1/stop")
        assert (playing.box.values.read_vector() == before).all()


async def test_a_hit_pad_tells_its_state_under_both_names(playing, loop):
    async with playing.client() as hub:
        told: dict[str, list[object]] = {}
        hub.watch("/pad/2/*", lambda address, value: told.setdefault(address, []).append(value))
        hub.watch("/bank/1/pad/2/state", lambda address, value: told.setdefault(address, []).append(value))
        await hub.set("/clock/quantize", "off")
        await hub.do("/pad/2/load", str(loop))
        await hub.do("/pad/2/trigger")
        await playing.until(lambda: told.get("/pad/2/state", [""])[-1] == "playing", "the pad's state")
        assert told["/bank/1/pad/2/state"][-1] == "playing"
        assert await hub.get("/pad/2/state") == "playing"
        await playing.until(lambda: len(told.get("/pad/2/progress", [])) > 2, "positions for who watches them")
        await hub.do("/pad/2/cut")
        await playing.until(lambda: told["/pad/2/state"][-1] == "loaded", "the end")
        assert "/bank/1/pad/2/progress" not in told


async def test_deck_play_is_a_switch_that_reads_back(playing, loop):
    async with playing.client() as hub:
        await hub.do("/deck/1/load", str(loop))
        await hub.set("/deck/1/play", True)
        await playing.until(lambda: hub.get("/deck/1/play"), "the deck to play")
        await hub.do("/deck/1/play")
        await playing.until(lambda: _is(hub, "/deck/1/play", False), "the deck to pause")
        with pytest.raises(ApplianceError, match="needs an argument"):
            await hub.do("/deck/1/cue")
        with pytest.raises(ApplianceError, match="takes -64 … 64"):
            await hub.do("/deck/1/jump", 1000)


async def _is(hub, address, value):
    return await hub.get(address) == value


async def test_what_the_engine_changes_is_announced(playing):
    async with playing.client() as hub:
        tempos: list[float] = []
        hub.watch("/clock/bpm", lambda _address, value: tempos.append(value))
        await playing.until(lambda: tempos, "the current value")
        for _ in range(4):
            await hub.do("/clock/tap")
            await asyncio.sleep(0.3)
        await playing.until(lambda: len(tempos) > 1, "the tapped tempo")
        assert 100 < tempos[-1] < 300 and tempos[-1] == await hub.get("/clock/bpm")


async def test_the_release_of_a_button_does_nothing(playing, loop):
    async with playing.client() as hub:
        await hub.set("/clock/quantize", "off")
        await hub.do("/pad/1/load", str(loop))
        await hub.do("/pad/1/trigger", 1)
        await playing.until(lambda: _is(hub, "/pad/1/state", "playing"), "the pad")
        await hub.do("/pads/cut", 0)
        await asyncio.sleep(0.1)
        assert await hub.get("/pad/1/state") == "playing"
        await hub.do("/pads/cut", 1)
        await playing.until(lambda: _is(hub, "/pad/1/state", "loaded"), "the stop")


async def test_choosing_a_bank_tells_all_its_pads(playing):
    async with playing.client() as hub:
        await hub.set("/bank/2/pad/5/gain", -12)
        await hub.set("/bank/2/pad/5/name", "Hat")
        told: dict[str, object] = {}
        hub.watch("/pad/5/*", told.__setitem__)
        await playing.until(lambda: "/pad/5/gain" in told, "the current values")
        assert told["/pad/5/gain"] == 0.0 and told["/pad/5/name"] == ""
        await hub.set("/pads/bank", 2)
        await playing.until(lambda: told["/pad/5/name"] == "Hat", "the other bank's name")
        assert told["/pad/5/gain"] == -12.0
        await hub.set("/bank/1/pad/5/gain", -3)
        await hub.set("/bank/2/pad/5/gain", -4)
        await playing.until(lambda: told["/pad/5/gain"] == -4.0, "the chosen bank's change")


async def test_other_processes_serve_and_publish(playing):
    async with playing.client("gen") as gen, playing.client() as hub:
        with pytest.raises(ApplianceError) as caught:
            await hub.do("/gen/fill", 1)
        assert caught.value.status == 503

        async def serve(address: str, args: list[object]) -> object:
            return {"address": address, "args": args}

        gen.serve("/gen", serve)
        jobs: list[object] = []
        hub.watch("/gen/job", lambda _address, value: jobs.append(value))
        await gen.publish("/gen/job", {"id": 7})
        await gen.publish("/clock/beat", 3)  # not theirs to tell
        await playing.until(lambda: jobs == [{"id": 7}], "the published state")
        assert await hub.do("/gen/fill", 1) == {"address": "/gen/fill", "args": [1]}
        assert await hub.get("/gen/job") == {"id": 7}


async def test_ls_describes_and_finds(playing):
    async with playing.client() as hub:
        everything = {row["address"]: row for row in await hub.ls("/*")}
        assert set(everything) >= {a.address for a in NAMESPACE} | {"/pad/16/gain"}
        assert everything["/clock/bpm"]["range"] == [20, 300] and everything["/clock/bpm"]["value"] == 120
        assert everything["/channel/2/assign"]["default"] == "B"
        assert [row["address"] for row in await hub.ls("/deck/*/rate")] == [f"/deck/{n}/rate" for n in range(1, 5)]
        assert {row["address"].split("/")[1] for row in await hub.ls("/clock")} == {"clock"}
        processes = await playing.until(lambda: hub.get("/system/processes"), "the process table")
        pids = {row["name"]: row["pid"] for row in processes}
        assert pids["control"] == playing.children["control"].pid and "visuals" not in pids


async def test_changes_and_commands_at_a_frame(rig, loop):
    rig.start_engine()
    rig.box.name = "control"
    desk = Desk(rig.box)
    events = []
    desk.on_event(events.append)
    frame = int(rig.box.telemetry.snapshot()["clock"]["frame"]) + 12000
    assert desk.do_now("/mixer/crossfader", ["0.25"], frame) == 0.25
    desk.do_now("/clock/restart", [], frame + 64)
    with pytest.raises(NotAllowed):
        desk.do_now("/gen/prompt", ["x"], frame)
    with pytest.raises(BadValue):
        desk.do_now("/mixer/crossfader", [2], frame)
    assert desk.get_now("/mixer/crossfader") == 0.0
    changes = []
    desk.subscribe(lambda address, value: changes.append((address, value)))

    def done() -> bool:
        desk.pump_events()
        desk.announcer.tick()
        return len(events) >= 2

    await rig.until(done, "the engine")
    slot = NAMESPACE.find("/mixer/crossfader").slot
    assert [(e.kind, e.frame) for e in events[:2]] == [(Kind.VALUE, frame), (Kind.COMMAND, frame + 64)]
    assert events[0].index == slot and events[0].a == 0.25
    assert ("/mixer/crossfader", 0.25) in changes
    assert Code.SET not in [e.code for e in events]


async def test_a_failing_listener_keeps_nothing_from_the_others(rig):
    desk = Desk(rig.box)
    heard = []
    desk.subscribe(lambda _address, _value: 1 / 0)
    end = desk.subscribe(lambda address, value: heard.append((address, value)))
    desk.set_now("/mixer/crossfader", 1)
    end()
    desk.set_now("/mixer/crossfader", 0)
    assert heard == [("/mixer/crossfader", 1.0)]


async def test_meters_are_told_only_where_they_are_wanted(playing, loop):
    desk = Desk(playing.box)  # a second desk: it reads, and leaves the events to control
    plain, eager = [], []
    desk.subscribe(lambda address, _value: plain.append(address))
    desk.subscribe(lambda address, _value: eager.append(address), lambda address: address == "/clock/position")

    def ticked() -> bool:
        desk.announcer.tick()
        return eager.count("/clock/position") > 3

    await playing.until(ticked, "positions")
    assert "/clock/position" not in plain
    assert not [address for address in eager if "meter" in address]


def test_unknown_addresses_are_unknown(rig):
    desk = Desk(rig.box)
    with pytest.raises(UnknownAddress):
        desk.get_now("/nothing/here")
    assert desk.ls("/nothing/*") == [] == desk.current("/nothing")
