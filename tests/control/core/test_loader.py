# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on pads and decks, as a person loads them: good, odd, broken, too many, and with no engine there."""

from __future__ import annotations

import asyncio
import os
import wave
from pathlib import Path

import numpy as np
import pytest

from appliance.bus.clips import ClipState
from appliance.errors import ApplianceError
from appliance.library.store import AudioStore
from appliance.library.tempo import loop_tempo

LOOPS = Path(__file__).resolve().parents[4] / "shared" / "audio"  # real loops, where they lie beside the checkout


def in_use(rig) -> list[int]:
    return [int(p) for p in np.nonzero(rig.box.clips.table["state"] != ClipState.FREE)[0]]


def row_of(rig, cell: int = 0, deck: int | None = None) -> np.void:
    """The row of the clip table that a pad or a deck plays."""
    handle = rig.pad(cell)["clip"] if deck is None else rig.box.telemetry.snapshot()["deck"]["clip"][deck]
    return rig.box.clips.table[int(handle) & 0xFFFF]


async def test_formats_become_clips(playing, tmp_path):
    write = playing.write_loop
    files = {
        "/pad/1": write(tmp_path / "low.wav", rate=8000, channels=1, subtype="PCM_16"),
        "/pad/2": write(tmp_path / "high.flac", rate=192000, channels=6, subtype="PCM_24"),
        "/pad/3": write(tmp_path / "lossy.mp3", rate=44100),
        "/pad/4": write(tmp_path / "vorbis.ogg", rate=44100),
        "/deck/4": write(tmp_path / "deck.wav", rate=48000),
    }
    async with playing.client() as hub:
        for place, file in files.items():
            facts = await hub.do(f"{place}/load", str(file))
            assert facts["seconds"] == pytest.approx(2, abs=0.1)
            if file.suffix != ".mp3":
                assert (facts["bpm"], facts["beats"]) == (pytest.approx(120), 4)
            assert await hub.get(f"{place}/file") == str(file)
        assert [int(playing.pad(cell)["state"]) for cell in range(5)] == [1, 1, 1, 1, 0]
        assert await hub.get("/deck/4/loaded") is True
        assert await hub.get("/deck/4/duration") == pytest.approx(2, abs=0.001)
        assert await hub.get("/deck/4/title") == "deck"
        assert [int(row_of(playing, cell)["frames"]) for cell in (0, 1, 3)] == [96000] * 3
        await hub.do("/deck/4/unload")
        assert await hub.get("/deck/4/loaded") is False and await hub.get("/deck/4/title") == ""


async def test_options_and_their_faults(playing, loop):
    async with playing.client() as hub:
        facts = await hub.do("/pad/1/load", str(loop), {"name": "Boom", "role": "bass", "bpm": 60, "gain": 0.5})
        assert (facts["name"], facts["role"], facts["bpm"], facts["beats"]) == ("Boom", "bass", 60, 2)
        assert await hub.get("/pad/1/name") == "Boom" and await hub.get("/pad/1/role") == "bass"
        facts = await hub.do("/pad/2/load", str(loop), "beats=8", "role", "drums")
        assert (facts["bpm"], facts["beats"], facts["role"]) == (240, 8, "drums")
        row = row_of(playing, 0)
        assert (float(row["bpm"]), float(row["beats"]), float(row["gain"])) == (60, 2, 0.5)
        for args, words in [
            ([], "takes a path"), ([3], "takes a path"), ([str(loop), {"rolle": "bass"}], "no option 'rolle'"),
            ([str(loop), "role=bas"], "no role"), ([str(loop), "bpm=fast"], "is a number"),
            ([str(loop), "bpm=-1"], "0 … 1000"), ([str(loop), "loud"], "is no option"),
        ]:
            with pytest.raises(ApplianceError) as caught:
                await hub.do("/pad/3/load", *args)
            assert caught.value.status == 422 and words in caught.value.message


async def test_bad_files_are_refused_in_one_line_and_nothing_changes(playing, loop, tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("this is no sound\n" * 50)
    whole = playing.write_loop(tmp_path / "whole.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cut.wav").write_bytes(loop.read_bytes()[: 100_000])
    (tmp_path / "no_frames.wav").write_bytes(loop.read_bytes()[:44])
    secret = playing.write_loop(tmp_path / "secret.wav")
    secret.chmod(0)
    names = ["missing.wav", "empty.wav", "text.wav", "cut.flac", "cut.wav", "no_frames.wav", ""]
    names += ["secret.wav"] if os.geteuid() else []
    async with playing.client() as hub:
        await hub.do("/pad/1/load", str(loop))
        before = len(in_use(playing))
        for name in names:
            with pytest.raises(ApplianceError) as caught:
                await hub.do("/pad/1/load", str(tmp_path / name))
            assert caught.value.status in (404, 422), name
            assert str(tmp_path) in caught.value.message and "\n" not in caught.value.message
        assert await hub.get("/pad/1/file") == str(loop)
        assert await hub.get("/pad/1/state") == "loaded"
        with pytest.raises(ApplianceError) as caught:
            await hub.do("/pad/1/load", "0" * 64)
        assert caught.value.status == 404 and "hash" in caught.value.message
        await playing.until(lambda: len(in_use(playing)) <= before, "what was placed for broken files to be freed")
        assert "Traceback" not in playing.log()


async def test_pads_share_the_audio_of_a_file(playing, loop):
    async with playing.client() as hub:
        await asyncio.gather(*(hub.do(f"/pad/{pad}/load", str(loop)) for pad in range(1, 9)))
        assert len({float(playing.pad(cell)["clip"]) for cell in range(8)}) == 1
        playing.write_loop(loop, hz=330)  # the file changes: the next load is of the new one
        await hub.do("/pad/1/load", str(loop))
        assert float(playing.pad(0)["clip"]) != float(playing.pad(1)["clip"]) == float(playing.pad(7)["clip"])
        for pad in range(1, 9):
            await hub.do(f"/pad/{pad}/clear")
        assert await hub.get("/pad/1/state") == "empty" and await hub.get("/pad/1/file") == ""


async def test_unused_audio_is_freed(playing, tmp_path):
    async with playing.client() as hub:
        for number in range(12):
            file = playing.write_loop(tmp_path / f"{number}.wav", seconds=0.1, hz=100 + number)
            await hub.do("/pad/1/load", str(file))
        await playing.until(lambda: len(in_use(playing)) == 9, "all but the last few to be freed")
        await hub.do("/pad/2/load", str(tmp_path / "11.wav"))
        assert float(playing.pad(0)["clip"]) == float(playing.pad(1)["clip"])


class TestMemory:
    @pytest.fixture
    def config(self, config):
        config.engine.clip_memory_mb = 64
        return config

    async def test_the_oldest_unused_goes_first_then_it_is_full(self, own, tmp_path):
        playing = own
        more = {"seconds": 55, "rate": 8000, "channels": 1}
        files = [playing.write_loop(tmp_path / f"{n}.wav", hz=50 + n, **more) for n in range(5)]
        async with playing.client() as hub:
            for file in files:  # 21 MB each, one pad: those before are unused
                await hub.do("/pad/1/load", str(file))
            for pad, file in ((2, files[0]), (3, files[1])):
                await hub.do(f"/pad/{pad}/load", str(file))
            with pytest.raises(ApplianceError) as caught:
                await hub.do("/pad/4/load", str(files[2]))
            assert caught.value.status == 503 and "of 64 MB are in use; clear pads" in caught.value.message
            assert await hub.get("/pad/4/state") == "empty"
            assert [int(playing.pad(cell)["state"]) for cell in range(3)] == [1, 1, 1]
            await hub.do("/pad/1/clear")
            await hub.do("/pad/4/load", str(files[2]))

    async def test_three_hours_are_too_much_for_a_pad(self, own, tmp_path):
        path = tmp_path / "night.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1), file.setsampwidth(1), file.setframerate(8000), file.setnframes(8000 * 3 * 3600)
            file.writeframes(b"\x80")
        with path.open("r+b") as file:
            file.truncate(44 + 8000 * 3 * 3600)
            file.seek(4), file.write((36 + 8000 * 3 * 3600).to_bytes(4, "little"))
            file.seek(40), file.write((8000 * 3 * 3600).to_bytes(4, "little"))
        async with own.client() as hub:
            with pytest.raises(ApplianceError) as caught:
                await hub.do("/pad/1/load", str(path))
            assert caught.value.status == 413 and "4147 MB" in caught.value.message


async def test_a_long_file_plays_and_is_there_in_the_end(playing, tmp_path):
    file = playing.write_loop(tmp_path / "long.wav", seconds=200, rate=8000, channels=1, subtype="PCM_16")
    async with playing.client() as hub:
        facts = await hub.do("/deck/1/load", str(file))
        assert (facts["bpm"], facts["beats"]) == (0, 0)
        await hub.do("/deck/1/play", True)
        await playing.until(lambda: hub.get("/deck/1/play"), "the deck")
        row = row_of(playing, deck=0)
        await playing.until(lambda: int(row["state"]) == ClipState.READY, "the end of the file")
        assert int(row["readable"]) == int(row["frames"]) == 200 * 48000


async def test_a_long_file_that_breaks_off_plays_to_there_and_says_so(playing, tmp_path):
    whole = playing.write_loop(tmp_path / "long.flac", seconds=200, rate=8000, channels=1).read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    async with playing.client() as hub:
        await hub.do("/deck/1/load", str(tmp_path / "cut.flac"))
        await playing.said("/deck/1: " + str(tmp_path / "cut.flac"))
        row = row_of(playing, deck=0)
        assert int(row["state"]) == ClipState.READY and 50 < int(row["frames"]) / 48000 < 150


async def test_without_an_engine_the_load_waits_for_one(rig, loop):
    rig.start_control()
    async with rig.client() as hub:
        facts = await hub.do("/pad/1/load", str(loop))
        assert facts["pending"] is True
        await rig.said("no engine takes it right now")
        rig.start_engine()
        await rig.until(lambda: int(rig.pad(0)["state"]) == 1, "the pad")
        await rig.until(lambda: hub.get("/pad/1/file"), "the file's name")


async def test_the_last_of_several_loads_holds(playing, tmp_path):
    files = [playing.write_loop(tmp_path / f"{n}.wav", seconds=0.5 + n / 4, hz=100 + n) for n in range(6)]
    async with playing.client() as hub:
        results = await asyncio.gather(*(hub.do("/pad/1/load", str(f)) for f in files), return_exceptions=True)
        assert isinstance(results[-1], dict)
        assert all(isinstance(r, dict) or r.status == 409 for r in results)
        assert await hub.get("/pad/1/file") == str(files[-1])
        assert int(row_of(playing, 0)["frames"]) == 48000 * 7 // 4


async def test_clips_of_the_store_come_with_what_is_known_of_them(playing):
    audio = (0.1 * np.sin(np.arange(96000) / 20)[:, None] * np.ones(2)).astype(np.float32)
    store = AudioStore(playing.data)
    clip = store.put(audio, 48000, name="deep bass", role="bass", bpm=60.0, bars=1, beats=2)
    store.close()
    async with playing.client() as hub:
        facts = await hub.do("/pad/1/load", clip.hash)
        assert facts["name"] == "deep bass" and facts["role"] == "bass" and facts["hash"] == clip.hash
        assert (facts["bpm"], facts["beats"]) == (60, 2)
        facts = await hub.do("/pad/2/load", str(clip.path), {"name": "mine"})
        assert (facts["name"], facts["bpm"]) == ("mine", 60)


@pytest.mark.skipif(not LOOPS.is_dir(), reason="the real loops are not here")
@pytest.mark.parametrize(
    ("name", "bpm", "beats"), [("breakbeat", 126, 4), ("compus", 148, 16), ("garzul", 120, 16), ("mika", 120, 16)]
)
def test_tempo_of_real_loops(name, bpm, beats):
    import soundfile as sf

    info = sf.info(LOOPS / f"loop_{name}.flac")
    assert loop_tempo(info.frames, info.samplerate) == (pytest.approx(bpm, abs=0.001), beats)


@pytest.mark.parametrize(
    ("seconds", "bpm", "beats"),
    [(2, 120, 4), (8, 120, 16), (3.2, 150, 8), (3, 160, 8), (1.4, 171.43, 4), (0.3, 0, 0), (61, 0, 0), (0, 0, 0)],
)
def test_tempo_from_a_length(seconds, bpm, beats):
    assert loop_tempo(round(seconds * 48000), 48000) == (pytest.approx(bpm, abs=0.01), beats)
