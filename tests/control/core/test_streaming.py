# SPDX-License-Identifier: GPL-3.0-or-later
"""Files too long for memory, on a deck: at once, everywhere in them, and through the death of the engine."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from appliance.bus.clips import ClipState
from appliance.bus.memory import FOLDER, box_name
from appliance.errors import ApplianceError
from tests.threads import page_faults

LOW_RATE = 8000
SEGMENT_S = 10
SEGMENTS = 60
"""A tone that rises every ten seconds, for ten minutes, then again from the beginning."""


def expected_hz(seconds: float) -> float:
    return 200.0 + 40.0 * (int(seconds / SEGMENT_S) % SEGMENTS)


def write_long(path: Path, minutes: int) -> Path:
    t = np.arange(SEGMENT_S * LOW_RATE) / LOW_RATE
    tones = [0.4 * np.sin(2 * np.pi * expected_hz(n * SEGMENT_S) * t) for n in range(SEGMENTS)]
    ten_minutes = np.concatenate(tones).astype(np.float32)
    with sf.SoundFile(path, "w", LOW_RATE, 1, "PCM_U8") as file:
        for _ in range(-(-minutes // 10)):
            file.write(ten_minutes[: minutes * 60 * LOW_RATE])
    return path


async def busiest_thread(pid: int) -> int:
    """The one that renders, in an engine that has nothing else to do."""
    def worked() -> dict[int, int]:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return {int(task.name): int((task / "schedstat").read_text().split()[0]) for task in tasks}

    before = worked()
    await asyncio.sleep(0.5)
    after = worked()
    return max((thread for thread in before if thread != pid), key=lambda thread: after[thread] - before[thread])


class Ear:
    """Listens to the master of a box."""

    def __init__(self, rig) -> None:
        self.rig = rig

    @property
    def place_s(self) -> float:
        return float(self.rig.box.telemetry.snapshot()["deck"]["position_s"][0])

    def hz(self) -> float:
        _, sound = self.rig.box.telemetry.scope(4096)
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 32768))
        return float(spectrum.argmax() * 48000 / 32768)

    def level(self) -> float:
        _, sound = self.rig.box.telemetry.scope(1024)
        return float(np.abs(sound).max())

    async def hears(self, around_s: float | None = None) -> None:
        """The tone of the place where the deck is."""
        def right() -> bool:
            before, hz, after = self.place_s, self.hz(), self.place_s
            there = around_s is None or abs(after - around_s) < 5
            return there and any(abs(hz - expected_hz(s)) < 8 for s in (before - 0.1, after))

        try:
            await self.rig.until(right, "the tone of the place", 3)
        except AssertionError:
            pytest.fail(f"at {self.place_s:.2f} s the tone is {self.hz():.0f} Hz, not {expected_hz(self.place_s):.0f}")


def streams(rig) -> list[Path]:
    return list((rig.data / "streams").glob("*.f32"))


def in_memory(rig) -> list[str]:
    return [path.name for path in FOLDER.glob(f"{box_name(rig.data)}-clip-*")]


class TestStreams:
    @pytest.fixture
    def config(self, config):
        config.engine.stream_over_mb = 100
        return config

    async def test_three_hours_play_at_once_and_everywhere(self, own, tmp_path):
        night, ear = write_long(tmp_path / "night.wav", 180), Ear(own)
        child = own.children["engine-a"]
        thread = await busiest_thread(child.pid)
        async with own.client() as hub:
            facts = await asyncio.wait_for(hub.do("/deck/1/load", str(night)), 5)
            assert facts["seconds"] == 3 * 3600
            await hub.do("/deck/1/play", True)
            row = own.box.clips.table[int(own.box.telemetry.snapshot()["deck"]["clip"][0]) & 0xFFFF]
            assert int(row["state"]) == ClipState.FILLING, "it plays while it is decoded"
            await ear.hears(0)
            assert len(streams(own)) == 1 and not in_memory(own)
            await own.until(lambda: int(row["readable"]) > 400 * 48000, "the first minutes to be decoded", 30)
            faults = page_faults(child.pid, thread)
            for place_s in (120.3, 31.0, 300.7, 5.2, 381.0):
                await hub.do("/deck/1/seek", place_s / 10800)
                await ear.hears(place_s)
            await hub.do("/deck/1/loop/auto", True)
            await asyncio.sleep(0.3)
            await ear.hears(382)
            await hub.do("/deck/1/loop/exit")
            await hub.set("/deck/1/reverse", True)
            await hub.do("/deck/1/seek", 200.5 / 10800)
            await asyncio.sleep(1.2)
            assert 198 < ear.place_s < 200.5
            await ear.hears()
            assert page_faults(child.pid, thread) == faults, "the audio thread has waited for memory"
            await hub.set("/deck/1/reverse", False)
            await asyncio.sleep(0.2)
            own.kill("engine-a")
            before_s = ear.place_s
            own.start_engine()
            await ear.hears()
            assert ear.place_s >= before_s and bool(own.box.telemetry.snapshot()["deck"]["playing"][0])
            await hub.do("/deck/1/unload")
            await own.until(lambda: not streams(own), "the file on the disk to go", 5)
        assert "Traceback" not in own.log() and "Traceback" not in own.log("engine-a")

    async def test_control_dies_while_it_decodes_and_the_deck_plays_on(self, own, tmp_path):
        night, ear = write_long(tmp_path / "night.wav", 180), Ear(own)
        async with own.client() as hub:
            await hub.do("/deck/1/load", str(night))
            await hub.do("/deck/1/play", True)
            handle = float(own.box.telemetry.snapshot()["deck"]["clip"][0])
            row = own.box.clips.table[int(handle) & 0xFFFF]
            own.kill("control")
            readable = int(row["readable"])
            assert int(row["state"]) == ClipState.FILLING
            await own.back(hub)
            await own.until(lambda: int(row["readable"]) > readable + 480_000, "decoding to go on", 20)
            assert float(own.box.telemetry.snapshot()["deck"]["clip"][0]) == handle
            await ear.hears()
            await hub.do("/deck/1/unload")

    async def test_a_pad_does_not_stream_but_takes_it_into_memory(self, own, tmp_path):
        file = write_long(tmp_path / "set.wav", 10)
        async with own.client() as hub:
            await hub.do("/deck/1/load", str(file))
            assert streams(own)
            await hub.do("/pad/1/load", str(file))
            assert len(in_memory(own)) == 1
            await hub.do("/deck/2/load", str(file))  # memory has it now
            assert len(streams(own)) == 1 and len(in_memory(own)) == 1


class TestShortMemory:
    @pytest.fixture
    def config(self, config):
        config.engine.clip_memory_mb = 64
        return config

    async def test_a_deck_streams_what_memory_has_no_room_for(self, own, tmp_path):
        more = {"seconds": 55, "rate": LOW_RATE, "channels": 1}
        files = [own.write_loop(tmp_path / f"{n}.wav", hz=100 + n, **more) for n in range(4)]
        async with own.client() as hub:
            for pad in (1, 2, 3):  # 21 MB each
                await hub.do(f"/pad/{pad}/load", str(files[pad]))
            await hub.do("/deck/1/load", str(files[0]))
            assert "0.wav plays from the disk" in await own.said("memory for clips is short")
            await hub.do("/deck/1/play", True)
            await own.until(lambda: Ear(own).level() > 0.1, "the deck")
            with pytest.raises(ApplianceError) as caught:
                await hub.do("/pad/4/load", str(files[0]))
            assert caught.value.status == 503
            for words in ("0.wav", "of 64 MB are in use", "/pad/1: 1.wav 21 MB", "/pad/3: 3.wav 21 MB", "clear pads"):
                assert words in caught.value.message
            with pytest.raises(ApplianceError) as caught:
                await hub.do("/pad/4/load", str(write_long(tmp_path / "set.wav", 10)))
            assert caught.value.status == 413 and "load it on a deck" in caught.value.message


@pytest.fixture
def small(tmp_path):
    """A file system of 8 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


class TestNoRoomOnTheDisk:
    @pytest.fixture
    def config(self, config):
        config.engine.stream_over_mb = 10
        return config

    async def test_a_full_disk_is_a_plain_refusal(self, own, small, tmp_path):
        (own.data / "streams").symlink_to(small)
        file = write_long(tmp_path / "set.wav", 10)
        loop = own.write_loop(tmp_path / "loop.wav")
        async with own.client() as hub:
            await hub.do("/deck/1/load", str(loop))
            await hub.do("/deck/1/play", True)
            with pytest.raises(ApplianceError) as caught:
                await hub.do("/deck/1/load", str(file))
            assert caught.value.status == 507 and "set.wav" in caught.value.message and "on the disk" in caught.value.message
            assert await hub.get("/deck/1/file") == str(loop) and not list(small.iterdir())
            (own.data / "streams").unlink()
            await hub.do("/deck/1/load", str(file))
            assert await hub.get("/deck/1/file") == str(file)

    async def test_what_an_ended_box_left_is_removed(self, own, tmp_path):
        async with own.client() as hub:
            await hub.do("/deck/1/load", str(write_long(tmp_path / "set.wav", 10)))
        own.kill("control")
        own.reboot()
        stale = streams(own)
        assert stale
        (own.data / "sessions" / "default.yaml").unlink(missing_ok=True)
        for journal in (own.data / "sessions").glob("*.journal-*"):
            journal.unlink()
        own.start_control()
        async with own.client():
            assert not streams(own)
