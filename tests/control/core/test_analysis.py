# SPDX-License-Identifier: GPL-3.0-or-later
"""What is loaded is analysed behind the music: grid, key, loudness and level come to the deck, and stay with the track."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import numpy as np
import pytest
import soundfile as sf

from tests.control.core.conftest import Rig, quick_config
from tests.drums import RATE, drums


@pytest.fixture(scope="module")
def listening_stage(tmp_path_factory):
    config = quick_config()
    config.analysis.enabled = True
    made = Rig(tmp_path_factory.mktemp("listening") / "data", config)
    made.start_control()
    made.start_engine()
    yield made
    made.forget()


@pytest.fixture
def box(listening_stage):
    """A box that analyses, emptied for this test."""
    asyncio.run(listening_stage.reset())
    return listening_stage


def write(path, bpm=124.0, seconds=20.3, first_s=0.25, gain=1.0, pattern="four", seed=1):
    sf.write(path, gain * drums(pattern, bpm, seconds, first_s=first_s, seed=seed), RATE)
    return path


async def done(box, hub, deck=1, state="done"):
    async def there():
        return await hub.get(f"/deck/{deck}/track/state") == state

    await box.until(there, f"deck {deck} to be {state}", 30.0)


async def test_a_track_gets_its_grid_key_and_level_and_keeps_them(box, tmp_path):
    track = write(tmp_path / "track.wav", gain=0.1)
    async with box.client() as hub:
        assert await hub.get("/deck/1/track/state") == "none"
        await hub.do("/deck/1/load", str(track))
        await done(box, hub)
        assert await hub.get("/deck/1/track/bpm") == pytest.approx(124.0, abs=0.02)
        grid = await hub.do("/deck/1/grid")
        assert grid["bpm"] == pytest.approx(124.0, abs=0.02)
        beat = (grid["anchors"][0][0] - 0.25) * 124 / 60
        assert abs(beat - round(beat)) < 0.02
        loudness = await hub.get("/deck/1/track/loudness")
        everything = await hub.do("/deck/1/track/analysis")
        assert everything["loudness"] == loudness and len(everything["embedding"]) == 78
        for name in ("energy", "downbeat", "camelot"):
            assert await hub.get(f"/deck/1/track/{name}") == pytest.approx(everything[name], abs=1e-4)
        gain = min(-14.0 - loudness, 12.0)
        assert -50 < loudness < -24 and await hub.get("/deck/1/track/gain") == pytest.approx(gain, abs=0.02)
        kept = max((box.data / "tracks").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        assert json.loads(kept.read_text())["analysis"]["loudness"] == loudness
        moved = tmp_path / "moved.wav"
        track.rename(moved)
        stamp = kept.stat().st_mtime_ns
        await hub.do("/deck/2/load", str(moved))
        assert await hub.get("/deck/2/track/gain") == pytest.approx(gain, abs=0.02), "set before it can sound"
        await done(box, hub, 2)
        assert (await hub.do("/deck/2/grid")) == grid and kept.stat().st_mtime_ns == stamp, "known by its content"
        await hub.do("/deck/1/unload")
        assert await hub.get("/deck/1/track/state") == "none" and await hub.get("/deck/1/track/bpm") == 0


async def test_a_grid_that_a_person_gave_stays(box, tmp_path):
    track = write(tmp_path / "mine.wav", bpm=100.0, seed=2)
    mine = {"bpm": 50.0, "anchors": [[0.1, 0.0]]}
    async with box.client() as hub:
        await hub.do("/deck/1/load", str(track))
        await hub.do("/deck/1/grid", mine)
        await done(box, hub)
        assert await hub.do("/deck/1/grid") == mine
        await asyncio.sleep(1.2)
        await hub.do("/deck/1/load", str(track))
        await done(box, hub)
        assert await hub.do("/deck/1/grid") == mine


async def test_a_tempo_that_was_told_holds_and_gets_the_beat_that_was_found(box, tmp_path):
    track = write(tmp_path / "told.wav", bpm=93.0, seed=3)
    async with box.client() as hub:
        await hub.do("/deck/1/load", str(track), {"bpm": 186})
        await done(box, hub)
        grid = await hub.do("/deck/1/grid")
        assert grid["bpm"] == 186 and abs((grid["anchors"][0][0] - 0.25) % (60 / 186)) % (60 / 186 - 0.01) < 0.01
        await hub.do("/deck/1/load", str(track), {"bpm": 140})
        await done(box, hub)
        assert await hub.do("/deck/1/grid") == {"bpm": 140, "anchors": [[0.0, 0.0]]}, "a person's word against the analysis"


async def test_a_deck_that_plays_keeps_its_level_and_one_in_sync_its_beat(box, tmp_path):
    track = write(tmp_path / "running.wav", bpm=117.0, seconds=60.0, first_s=0.25, gain=0.05, seed=4)
    async with box.client() as hub:
        await hub.set("/clock/play", True)
        await hub.set("/deck/1/sync", True)
        await hub.do("/deck/1/load", str(track), {"bpm": 117})
        await hub.do("/deck/1/play", True)
        await done(box, hub)
        assert await hub.get("/deck/1/locked") is True
        assert await hub.get("/deck/1/track/gain") == 0
        assert (await hub.do("/deck/1/grid"))["anchors"] == [[0.0, 0.0]]
        await hub.do("/deck/1/play", False)

        async def settled():
            return await hub.get("/deck/1/track/gain") == 12 and (await hub.do("/deck/1/grid"))["anchors"] != [[0.0, 0.0]]

        await box.until(settled, "level and grid when it stands")


async def test_auto_gain_follows_its_switch_and_its_target(box, tmp_path):
    track = write(tmp_path / "level.wav", gain=0.3, seed=5)
    async with box.client() as hub:
        await hub.do("/deck/1/load", str(track))
        await done(box, hub)
        loudness = await hub.get("/deck/1/track/loudness")
        for address, value, gain in (("/mixer/autogain/target", -20.0, -20 - loudness), ("/mixer/autogain", False, 0.0),
                                     ("/mixer/autogain", True, -20 - loudness)):
            await hub.set(address, value)

            async def there(gain=gain):
                return abs(await hub.get("/deck/1/track/gain") - gain) < 0.02

            await box.until(there, f"{gain:.1f} dB")


async def test_a_pad_whose_length_told_the_wrong_tempo_learns_it(box, tmp_path):
    loop = write(tmp_path / "three.wav", bpm=100.0, seconds=12 * 0.6, first_s=0.0, pattern="four", seed=6)
    async with box.client() as hub:
        facts = await hub.do("/pad/1/load", str(loop), {"name": "three bars"})
        assert facts["beats"] == 16  # 133 BPM, as far as its length tells
        await box.until(lambda: clip_tempo(box) == pytest.approx((100.0, 12.0), rel=1e-3), "the pad to be at 100 BPM", 30.0)
        assert await hub.get("/pad/1/name") == "three bars"
        again = await hub.do("/pad/2/load", str(loop))
        assert again["bpm"] == pytest.approx(100.0, rel=1e-3) and again["beats"] == 12


def clip_tempo(box, cell=0):
    handle = int(box.box.telemetry.snapshot()["pad"]["clip"][cell])
    row = box.box.record["clip"][0][handle & 0xFFFF]
    return float(row["bpm"]), float(row["beats"])


async def test_a_file_that_vanishes_or_is_no_music_is_said_once_and_plays(box, tmp_path):
    random = np.random.default_rng(1)
    noise = tmp_path / "noise.wav"
    sf.write(noise, random.standard_normal((10 * RATE, 2)) * 0.05, RATE)
    async with box.client() as hub:
        await hub.do("/deck/1/load", str(noise))
        await done(box, hub)
        assert await hub.get("/deck/1/track/bpm") == 0 and await hub.get("/deck/1/track/loudness") > -50
        first = write(tmp_path / "first.wav", seconds=200.0, seed=7)
        gone = write(tmp_path / "gone.wav", seed=8)
        await hub.do("/deck/1/load", str(first))
        await hub.do("/deck/2/load", str(gone))
        gone.unlink()
        await done(box, hub, 2, "failed")
        assert "gone.wav" in await hub.get("/deck/2/track/problem")
        await box.said("gone.wav: there is no such file; it plays, but")
        assert await hub.get("/deck/2/loaded") is True
        await done(box, hub, 1)


async def test_an_analyser_that_is_killed_is_told_and_the_next_file_is_analysed(box, tmp_path):
    long = write(tmp_path / "long.wav", seconds=240.0, seed=9)
    async with box.client() as hub:
        await hub.do("/deck/1/load", str(long))
        await done(box, hub, 1, "running")
        os.kill(await box.until(lambda: analyser_of(box), "the analyser"), signal.SIGKILL)
        await done(box, hub, 1, "failed")
        assert "signal 9" in await hub.get("/deck/1/track/problem")
        await hub.do("/deck/2/load", str(write(tmp_path / "next.wav", seed=10)))
        await done(box, hub, 2)
        assert analyser_of(box) == 0, "nothing runs on"


def analyser_of(box) -> int:
    """Its process id; 0: none runs."""
    control = box.children["control"].pid
    with open(f"/proc/{control}/task/{control}/children", encoding="ascii") as children:
        for pid in children.read().split():
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as words:
                    if b"appliance.library.analysis" in words.read():
                        return int(pid)
            except OSError:
                continue
    return 0


async def test_control_that_comes_back_goes_on(box, tmp_path):
    long = write(tmp_path / "resumed.wav", seconds=240.0, seed=11)
    async with box.client() as hub:
        await hub.do("/deck/1/load", str(long))
        await done(box, hub, 1, "running")
        await asyncio.sleep(0.5)  # until the session knows of it
        box.kill("control")
        await box.back(hub)
        await done(box, hub)
        assert await hub.get("/deck/1/track/bpm") == pytest.approx(124.0, abs=0.02)
