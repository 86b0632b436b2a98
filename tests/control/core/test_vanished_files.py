# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that go, change or break off under what plays: it plays on, a person is told once, and nothing is called empty."""

from __future__ import annotations

import asyncio

import pytest

from appliance.bus.clips import ClipState
from appliance.errors import ApplianceError
from appliance.nodes.pad import PAD_STATES

LOOK_S = 2.0


async def is_now(hub, address, value):
    return await hub.get(address) == value


async def test_a_file_that_goes_or_changes_plays_on_as_it_was(playing, tmp_path):
    gone, changed = playing.write_loop(tmp_path / "gone.wav"), playing.write_loop(tmp_path / "changed.wav")
    async with playing.client() as hub:
        for pad in (1, 2):
            await hub.do(f"/pad/{pad}/load", str(gone))
        await hub.do("/deck/1/load", str(changed))
        await hub.do("/pad/1/trigger")
        await hub.do("/deck/1/loop/auto", True)
        await hub.do("/deck/1/play", True)
        await playing.until(lambda: is_now(hub, "/pad/1/state", "playing"), "the pad")
        handle = float(playing.pad(0)["clip"])
        gone.unlink()
        playing.write_loop(changed, hz=330)
        assert "(/pad/1, /pad/2): gone from the disk: what is loaded plays on" in await playing.said(str(gone))
        assert "(/deck/1): another file now" in await playing.said(str(changed))
        await asyncio.sleep(2 * LOOK_S + 0.2)
        assert len([m for m in playing.messages if "plays on" in m]) == 2, playing.messages
        assert float(playing.pad(0)["clip"]) == handle
        assert await hub.get("/pad/1/state") == "playing" and await hub.get("/deck/1/play") is True
        with pytest.raises(ApplianceError) as caught:
            await hub.do("/pad/3/load", str(gone))
        assert caught.value.status == 404
        await hub.do("/pad/1/load", str(changed))
        assert await hub.get("/pad/1/file") == str(changed)


async def test_a_file_that_goes_while_it_is_decoded_is_there_to_the_end(playing, tmp_path):
    file = playing.write_loop(tmp_path / "long.flac", seconds=400, rate=8000, channels=1)
    async with playing.client() as hub:
        await hub.do("/deck/1/load", str(file))
        file.unlink()
        await hub.do("/deck/1/play", True)
        row = playing.box.clips.table[int(playing.box.telemetry.snapshot()["deck"]["clip"][0]) & 0xFFFF]
        await playing.until(lambda: int(row["state"]) == ClipState.READY, "the end of it")
        assert int(row["frames"]) == int(row["readable"]) == 400 * 48000
        assert await hub.get("/deck/1/play") is True


async def test_a_file_that_is_cut_while_it_is_decoded_plays_to_there(playing, tmp_path):
    file = playing.write_loop(tmp_path / "long.wav", seconds=1500, rate=8000, channels=1, subtype="PCM_16")
    async with playing.client() as hub:
        loading = asyncio.create_task(hub.do("/deck/1/load", str(file)))
        table = playing.box.clips.table
        begun = ClipState.FILLING
        await playing.until(lambda: any((table["state"] == begun) & (table["readable"] > 48000)), "decoding to begin")
        with file.open("r+b") as cut:
            cut.truncate(file.stat().st_size // 2)
        await loading
        await hub.do("/deck/1/play", True)
        assert "cut off" in await playing.said("/deck/1: ")
        row = playing.box.clips.table[int(playing.box.telemetry.snapshot()["deck"]["clip"][0]) & 0xFFFF]
        assert int(row["state"]) == ClipState.READY and 48000 < int(row["frames"]) < 1400 * 48000
        assert await hub.get("/deck/1/play") is True


async def test_after_a_restart_it_is_missing_by_name_until_it_comes_back(own, tmp_path):
    loop, other = own.write_loop(tmp_path / "kick.wav"), own.write_loop(tmp_path / "other.wav")
    async with own.client() as hub:
        await hub.do("/pad/3/load", str(loop), {"name": "Kick", "beats": 8})
        await hub.do("/deck/2/load", str(loop))
        await hub.do("/session/save")
    own.reboot()
    loop.rename(tmp_path / "elsewhere.wav")
    own.start_control()
    own.start_engine()
    heard = {}
    async with own.client() as hub:
        hub.watch("/bank/1/pad/3/state", lambda address, value: heard.__setitem__(address, value))
        hub.watch("/deck/2/missing", lambda address, value: heard.__setitem__(address, value))
        await own.until(lambda: is_now(hub, "/pad/3/state", "missing"), "the pad to say so")
        assert await hub.get("/pad/3/file") == str(loop) and await hub.get("/pad/3/name") == "Kick"
        await own.until(lambda: is_now(hub, "/deck/2/missing", True), "the deck to say so")
        assert await hub.get("/deck/2/file") == str(loop)
        assert await hub.get("/pad/4/state") == "empty" and await hub.get("/deck/1/missing") is False
        await own.until(lambda: heard == {"/bank/1/pad/3/state": "missing", "/deck/2/missing": True}, "those who watch")
        with pytest.raises(ApplianceError, match=r"kick\.wav is missing"):
            await hub.do("/pad/3/trigger")
        own.kill("control")  # the word stays through a restart of control alone
        await own.back(hub)
        await own.until(lambda: is_now(hub, "/pad/3/state", "missing"), "the pad to say so again")
        await hub.do("/deck/2/load", str(other))
        assert await hub.get("/deck/2/missing") is False and await hub.get("/deck/2/file") == str(other)
        (tmp_path / "elsewhere.wav").rename(loop)
        await own.until(lambda: is_now(hub, "/pad/3/state", "loaded"), "the file that is back")
        assert await hub.get("/pad/3/name") == "Kick" and await hub.get("/deck/2/file") == str(other)
        assert float(own.box.clips.table[int(own.pad(2)["clip"]) & 0xFFFF]["beats"]) == 8
        await own.until(lambda: heard["/bank/1/pad/3/state"] == "loaded", "those who watch")


async def test_another_session_with_a_missing_file_does_not_keep_the_sound_of_the_one_before(playing, loop, tmp_path):
    session = tmp_path / "lost.yaml"
    session.write_text(f"session: 1\nclips: {{/bank/1/pad/1: {{path: {tmp_path / 'lost.wav'}}}}}\n")
    async with playing.client() as hub:
        await hub.do("/pad/1/load", str(loop))
        await hub.do("/session/load", str(session))
        await playing.until(lambda: is_now(hub, "/pad/1/state", "missing"), "the pad")
        assert float(playing.pad(0)["clip"]) == 0 and int(playing.pad(0)["state"]) == PAD_STATES.index("empty")
        assert await hub.get("/pad/1/file") == str(tmp_path / "lost.wav")
