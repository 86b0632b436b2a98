# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine obeyed comes out as a file, and files written by hand are read with plain words for their faults."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from appliance.bus.eventfile import SKIP, EventFile, FileEvent
from appliance.errors import ApplianceError, BadFile


async def is_now(hub, address, value):
    return await hub.get(address) == value


async def test_a_recording_tells_what_happened_and_when(playing, loop, tmp_path):
    other = playing.write_loop(tmp_path / "other.flac", hz=330)
    async with playing.client() as hub:
        with pytest.raises(ApplianceError, match="not being recorded"):
            await hub.do("/system/events/record", False)
        await hub.set("/clock/bpm", 125)
        await hub.set("/clock/quantize", "off")
        await hub.do("/pad/1/load", str(loop), {"bpm": 125})
        await hub.do("/deck/1/load", str(other))
        began = await hub.do("/system/events/record", True)
        with pytest.raises(ApplianceError, match="already being recorded"):
            await hub.do("/system/events/record", "on")
        await hub.do("/pad/1/trigger", 0.5)
        await asyncio.sleep(0.05)  # within a block values come first
        await hub.set("/mixer/crossfader", -0.5)
        await hub.do("/pad/2/load", str(other), {"name": "x"})
        await hub.set("/channel/1/assign", "B")
        await asyncio.sleep(0.05)
        await hub.do("/deck/1/play")
        await hub.do("/deck/1/seek", 0.25)
        await hub.do("/pad/2/clear")
        await asyncio.sleep(0.1)
        result = await hub.do("/system/events/record", False)
    file = EventFile.load(Path(result["file"]))
    assert (file.version, file.rate, file.start_frame) == (1, 48000, began["start_frame"])
    assert file.values == {"/clock/bpm": 125, "/clock/quantize": "off"}
    assert file.pads == {"/bank/1/pad/1": "loop"} and file.decks == {"/deck/1": "other"}
    assert file.clips["loop"].file == str(loop) and file.clips["loop"].bpm == 125 and len(file.clips["loop"].hash) == 64
    assert [(e.address, e.arguments) for e in file.events] == [
        ("/bank/1/pad/1/trigger", [0.5]), ("/mixer/crossfader", [-0.5]), ("/bank/1/pad/2/load", ["other"]),
        ("/channel/1/assign", ["B"]), ("/deck/1/play", []), ("/deck/1/seek", [0.25]), ("/bank/1/pad/2/clear", []),
    ]
    frames = [e.frame for e in file.events]
    assert frames == sorted(frames) and began["start_frame"] <= frames[0] and frames[-1] <= file.end_frame
    assert result["frames"] == file.end_frame - file.start_frame > 4000


@pytest.fixture
def small_folder(playing):
    """The folder of recordings, on a file system of 64 KB that is full."""
    folder = playing.data / "events"
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    (folder / "ballast").write_bytes(bytes(65_536))
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


async def test_a_recording_that_the_disk_refuses_goes_on_and_is_whole_in_the_end(playing, small_folder):
    async with playing.client() as hub:
        await hub.do("/system/events/record", True)
        await hub.set("/clock/bpm", 125)
        await asyncio.sleep(0.2)  # until a block has taken it up
        with pytest.raises(ApplianceError) as caught:
            await hub.do("/system/events/record", False)
        assert caught.value.status == 507 and "still being recorded" in caught.value.message
        assert [path.name for path in small_folder.iterdir()] == ["ballast"]
        await hub.set("/clock/bpm", 126)
        await asyncio.sleep(0.2)
        (small_folder / "ballast").unlink()
        result = await hub.do("/system/events/record", False)
        values = [e.value for e in EventFile.load(Path(result["file"])).events if e.address == "/clock/bpm"]
        assert values[-2:] == [125, 126]
        with pytest.raises(ApplianceError, match="not being recorded"):
            await hub.do("/system/events/record", False)


async def test_what_plays_already_is_in_the_beginning(playing, loop):
    async with playing.client() as hub:
        await hub.set("/clock/quantize", "off")
        await hub.do("/pad/1/load", str(loop))
        await hub.do("/pad/1/trigger")
        await playing.until(lambda: is_now(hub, "/pad/1/state", "playing"), "the pad")
        await hub.do("/scene/5/store")
        before = float(playing.box.telemetry.snapshot()["clock"]["beat"])
        await hub.do("/system/events/record")
        after = float(playing.box.telemetry.snapshot()["clock"]["beat"])
        await hub.do("/scene/5/launch")
        await asyncio.sleep(0.05)  # a block later: the engine looks the scene up when it obeys
        await hub.do("/scene/5/clear")
        await asyncio.sleep(0.05)
        file = EventFile.load(Path((await hub.do("/system/events/record"))["file"]))
    first = file.events[0]
    assert (first.frame, first.address, first.arguments) == (file.start_frame, "/bank/1/pad/1/trigger", [1])
    assert file.scenes[5]["/bank/1/pad/1"].launch == 1
    assert [e.address for e in file.events[1:]] == ["/scene/5/launch", "/scene/5/clear"]
    assert before <= file.start_beat <= after + 0.01


def test_times_of_a_file_written_by_hand(tmp_path):
    path = tmp_path / "set.yaml"
    path.write_text(
        "values: {/clock/bpm: 60}\nstart_frame: 1000\npads: {/pad/3: kick.wav}\nlength: {beat: 8}\nevents:\n"
        "- {beat: 2, address: /pad/3/trigger}\n- {at: 0.5, address: /mixer/crossfader, value: 1}\n"
        "- {frame: 1000, address: /pad/3/load, args: [sub/kick.wav]}\n- {frame: 1500, address: skip, value: 64}\n"
    )
    file = EventFile.load(path)
    assert [(frame, event.address) for frame, event in file.ordered()] == [
        (1000, "/pad/3/load"), (1500, SKIP), (25000, "/mixer/crossfader"), (97000, "/pad/3/trigger")
    ]
    assert file.end_frame == 1000 + 8 * 48000
    assert file.pads == {"/bank/1/pad/3": "kick.wav"}
    assert file.path(file.clip("kick.wav")) == tmp_path / "kick.wav"
    file.events.append(FileEvent(frame=7, at=None, beat=None, address="/clock/tap"))
    file.save(tmp_path / "again.yaml")
    assert EventFile.load(tmp_path / "again.yaml") == file


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"events": [{"beat": 1, "address": "/pad/1/triger"}]}, "events.0.address: .*did you mean /pad/1/trigger"),
        ({"events": [{"address": "/pad/1/trigger"}]}, "say when by one of frame, at, beat"),
        ({"events": [{"beat": 1, "at": 2, "address": "/pad/1/trigger"}]}, "there is at and beat"),
        ({"events": [{"at": -1, "address": "/pad/1/trigger"}]}, "events.0.at"),
        ({"values": {"/clock/bpm": 1000}}, "takes 20 … 300"),
        ({"values": {"/pad/1/trigger": 1}}, "put it under events"),
        ({"pads": {"/pad/17": "x.wav"}}, "/pad/17/load"),
        ({"version": 2}, "this box reads up to 1"),
        ({"evnts": []}, "evnts"),
        ([1], "not list"),
    ],
)
def test_faults_are_told_with_their_place(tmp_path, tree, words):
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(tree))
    with pytest.raises(BadFile, match=words):
        EventFile.load(path)
