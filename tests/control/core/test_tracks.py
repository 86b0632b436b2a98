# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to a track comes back with it: grid, cue, hot cues, loop; and the grid is mended by ear."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest

from appliance.errors import ApplianceError


@pytest.fixture
def fresh(playing, tmp_path, request):
    """Two seconds at 120 BPM that no other test has loaded."""
    return playing.write_loop(tmp_path / "fresh.wav", hz=300.0 + len(request.node.name))


async def settled() -> None:
    """Longer than what is kept takes to be written."""
    await asyncio.sleep(1.3)


async def test_cues_grid_and_loop_come_back_with_the_track(playing, tmp_path):
    one = playing.write_loop(tmp_path / "one.wav")
    other = playing.write_loop(tmp_path / "other.wav", rate=44100)
    async with playing.client() as hub:
        await hub.do("/deck/1/load", str(one))
        await hub.do("/deck/1/hotcue/3/set")
        for address, value in (("/deck/1/hotcue/3/at", 1.5), ("/deck/1/hotcue/3/name", "drop"), ("/deck/1/cue/at", 0.5),
                               ("/deck/1/hotcue/3/colour", "#ff0000"), ("/deck/1/loop/begin", 0.25), ("/deck/1/loop/end", 1.0)):
            await hub.set(address, value)
        await hub.do("/deck/1/grid/nudge", 10.0)
        await settled()
        await hub.do("/deck/1/load", str(other))
        assert await hub.get("/deck/1/hotcue/3/at") == -1 and await hub.get("/deck/1/hotcue/3/name") == ""
        assert await hub.get("/deck/1/cue/at") == 0 and await hub.get("/deck/1/loop/end") == 0
        moved = tmp_path / "elsewhere" / "renamed.wav"
        moved.parent.mkdir()
        shutil.move(one, moved)
        await hub.do("/deck/2/load", str(moved))
        assert await hub.get("/deck/2/hotcue/3/at") == 1.5 and await hub.get("/deck/2/hotcue/3/name") == "drop"
        assert await hub.get("/deck/2/cue/at") == 0.5 and await hub.get("/deck/2/loop/begin") == 0.25
        assert await hub.do("/deck/2/grid") == {"bpm": pytest.approx(120), "anchors": [[pytest.approx(0.01), 0.0]]}


async def test_a_track_that_nobody_touched_leaves_no_file(playing, fresh):
    before = list((playing.data / "tracks").glob("*"))
    async with playing.client() as hub:
        await hub.do("/deck/1/load", str(fresh))
        await settled()
        assert list((playing.data / "tracks").glob("*")) == before


async def test_the_grid_is_mended_where_the_deck_stands(playing, fresh):
    async with playing.client() as hub:
        with pytest.raises(ApplianceError, match="nothing is loaded"):
            await hub.do("/deck/1/grid/halve")
        await hub.do("/deck/1/load", str(fresh))
        await hub.do("/deck/1/grid/double")
        assert (await hub.do("/deck/1/grid"))["bpm"] == pytest.approx(240)
        await hub.do("/deck/1/grid/halve")
        await hub.do("/deck/1/seek", 0.3)  # 0.6 s of 2 s
        await asyncio.sleep(0.1)
        await hub.do("/deck/1/grid/here")
        assert (await hub.do("/deck/1/grid"))["anchors"] == [[pytest.approx(0.1, abs=1e-4), 0.0]]
        await asyncio.sleep(0.1)
        assert await hub.get("/deck/1/beat") == pytest.approx(1.0, abs=1e-3)
        await hub.do("/deck/1/grid/bpm", 100)
        await asyncio.sleep(0.1)
        assert await hub.get("/deck/1/bpm") == pytest.approx(100)
        await hub.do("/deck/1/grid", {"bpm": 90, "anchors": [[0.0, 0], [1.0, 2], [1.9, 4]]})
        await asyncio.sleep(0.1)
        assert await hub.get("/deck/1/beat") == pytest.approx(1.2, abs=1e-3)
        for bad in ({"bpm": 1}, {"bpm": 90, "anchors": []}, {"bpm": 90, "anchors": [[1, 0], [0.5, 1]]}, "fast"):
            with pytest.raises(ApplianceError):
                await hub.do("/deck/1/grid", bad)
        with pytest.raises(ApplianceError, match="20 … 1000"):
            await hub.do("/deck/1/grid/bpm", 5)


async def test_the_grid_outlives_control_and_is_kept_after_it(playing, fresh):
    async with playing.client() as hub:
        await hub.do("/deck/1/load", str(fresh))
        await hub.do("/deck/1/grid/nudge", 20.0)
        await settled()
    playing.kill("control")
    playing.start_control()
    async with playing.client() as hub:
        assert (await hub.do("/deck/1/grid"))["anchors"] == [[pytest.approx(0.02), 0.0]]
        await hub.do("/deck/1/grid/nudge", 20.0)
        await settled()
        kept = max((playing.data / "tracks").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        assert json.loads(kept.read_text())["grid"]["anchors"][0][0] == pytest.approx(0.04, abs=1e-4)


async def test_what_was_kept_is_damaged_and_the_track_plays(playing, fresh):
    async with playing.client() as hub:
        await hub.do("/deck/1/load", str(fresh))
        await hub.do("/deck/1/grid/nudge", 20.0)
        await settled()
        kept = max((playing.data / "tracks").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        kept.write_text('{"version": 1, "gri')
        await hub.do("/deck/1/load", str(fresh))
        assert await hub.get("/deck/1/loaded") is True
        assert (await hub.do("/deck/1/grid"))["anchors"] == [[0.0, 0.0]]
        assert "left out" in (await hub.get("/system/message"))
