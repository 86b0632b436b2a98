# SPDX-License-Identifier: GPL-3.0-or-later
"""The session survives: a save, a kill, a power cut, a broken file, a full disk, a missing clip."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from appliance.control.session.files import SessionFiles
from appliance.control.session.model import SessionFile, read_session
from appliance.control.texts import Texts
from appliance.errors import ApplianceError, BadFile, BadValue
from appliance.nodes import NAMESPACE


async def is_now(hub, address, value):
    return await hub.get(address) == value


async def set_some(hub, loop) -> None:
    await hub.set("/clock/bpm", 133)
    await hub.set("/clock/quantize", "off")
    await hub.set("/channel/2/low", -12)
    await hub.set("/panic/mute", False)
    await hub.set("/gen/prompt", "dark «and» slow: #1")
    await hub.do("/pad/3/load", str(loop), {"role": "drums", "beats": 8})
    await hub.set("/pad/3/name", "Kick")
    await hub.do("/deck/2/load", str(loop))
    await hub.do("/pad/3/trigger")
    await hub.do("/deck/2/play", True)


async def check_some(rig, hub, loop, state="loaded") -> None:
    await rig.until(lambda: is_now(hub, "/pad/3/state", state), "the pad's clip")
    await rig.until(lambda: is_now(hub, "/deck/2/loaded", True), "the deck's clip")
    assert await hub.get("/clock/bpm") == 133
    assert await hub.get("/channel/2/low") == -12
    assert await hub.get("/gen/prompt") == "dark «and» slow: #1"
    await rig.until(lambda: is_now(hub, "/pad/3/file", str(loop)), "the file's name")
    assert await hub.get("/pad/3/name") == "Kick"
    assert await hub.get("/pad/3/role") == "drums"
    row = rig.box.clips.table[int(rig.pad(2)["clip"]) & 0xFFFF]
    assert float(row["beats"]) == 8


async def test_a_restarted_box_is_armed_not_playing(own, loop):
    async with own.client() as hub:
        await set_some(hub, loop)
        await own.until(lambda: is_now(hub, "/pad/3/state", "playing"), "the pad")
        await own.until(lambda: own.session_file.exists(), "the save")
    own.reboot()
    own.start_control()
    own.start_engine()
    async with own.client() as hub:
        await check_some(own, hub, loop)
        await asyncio.sleep(0.1)
        assert await hub.get("/pad/3/state") == "loaded" and await hub.get("/deck/2/play") is False
        assert "handle" not in own.session_file.read_text()


class TestJournal:
    @pytest.fixture
    def config(self, config):
        config.session.autosave_s = 60
        return config

    async def test_a_killed_box_loses_nothing(self, own, loop):
        async with own.client() as hub:
            await set_some(hub, loop)
            await own.until(lambda: is_now(hub, "/pad/3/state", "playing"), "the pad")
            await hub.do("/scene/2/store")
        own.kill("control")
        assert not own.session_file.exists()
        own.reboot()
        own.start_control()
        own.start_engine()
        async with own.client() as hub:
            await check_some(own, hub, loop)
            assert own.box.record["scene"][0][1, 2]["launch"] == 1
            assert own.box.record["scene"][0][1, 4]["launch"] == -1

    async def test_control_killed_alone_takes_over_what_plays(self, own, loop):
        async with own.client() as hub:
            await set_some(hub, loop)
            await own.until(lambda: is_now(hub, "/pad/3/state", "playing"), "the pad")
            handle = float(own.pad(2)["clip"])
            own.kill("control")
            own.box.values.set("/mixer/crossfader", 0.7)  # a MIDI fader moved meanwhile
            states = []
            for _ in range(20):
                states.append(int(own.pad(2)["state"]))
                await asyncio.sleep(0.01)
            await own.back(hub)
            await check_some(own, hub, loop, "playing")
            assert await hub.get("/mixer/crossfader") == 0.7
            assert float(own.pad(2)["clip"]) == handle and set(states) == {3}
            await hub.do("/session/save")
            assert read_session(own.session_file)[0].values["/mixer/crossfader"] == 0.7
            await hub.do("/pad/4/load", str(loop), {"beats": 8})
            assert float(own.pad(3)["clip"]) == handle, "the adopted clip is shared"
            own.kill("control")  # now with nothing in the journal but handles
            await own.back(hub)
            await hub.do("/pad/4/clear")
            assert float(own.pad(2)["clip"]) == handle and int(own.pad(2)["state"]) == 3
            assert await hub.get("/pad/4/state") == "empty"

    async def test_a_torn_last_line_is_passed_over(self, rig):
        rig.start_control()
        async with rig.client() as hub:
            await hub.set("/clock/bpm", 90)
        rig.kill("control")
        journal = max((rig.data / "sessions").glob("default.journal-*"))
        journal.write_bytes(journal.read_bytes() + b'{"v":["/clock/bpm",99]}\n{"v":["/nothing",1]}\n{"v":["/clock/bp')
        rig.reboot()
        rig.start_control()
        async with rig.client() as hub:
            assert await hub.get("/clock/bpm") == 99


def newer(body: bytes) -> bytes:
    return body.replace(b"session: 1", b"session: 99")


BROKEN = {
    "cut off": lambda body: body[:9],
    "cut off in a line": lambda body: body[: body.index(b"133")] + b'"',
    "empty": lambda _body: b"",
    "not text": lambda _body: bytes(range(128, 256)),
    "zeros": lambda body: bytes(len(body)),
    "wrong type": lambda body: body.replace(b"clips: {}", b"clips: [1, 2]"),
    "newer": newer,
}


@pytest.fixture
def saved_twice(rig):
    """A box with two saves: BPM 133 with its text in the history, then 140."""
    files = SessionFiles(rig.data, 20)
    for bpm in (133, 140):
        files.save(SessionFile(values={"/clock/bpm": bpm}, texts={"/gen/prompt": "older"}))
    files.saves("default")[0].unlink()  # as if the disk had broken while the newest was written
    rig.session_file.write_bytes(rig.session_file.read_bytes().replace(b"140", b"133"))
    return rig


@pytest.mark.parametrize("damage", BROKEN)
async def test_a_broken_session_gives_way_to_the_one_before(saved_twice, damage):
    rig = saved_twice
    path = rig.session_file
    path.write_bytes(BROKEN[damage](path.read_bytes()))
    rig.start_control()
    async with rig.client() as hub:
        assert await hub.get("/clock/bpm") == 133
        assert await hub.get("/gen/prompt") == "older"
        aside = list(path.parent.glob("default.yaml.broken-*"))
        assert len(aside) == 1
        said = rig.log()
        assert f"set aside as {aside[0].name}" in said and "is used instead" in said
        if damage == "newer":
            assert "newer version of the box" in said
        await rig.until(path.exists, "a whole session in its place")
        assert read_session(path)[0].values == {"/clock/bpm": 133}


async def test_with_nothing_whole_the_box_starts_afresh(rig):
    rig.session_file.parent.mkdir(parents=True)
    rig.session_file.write_text("{[")
    (rig.data / "sessions" / "current").write_bytes(b"\xff\xfe")
    rig.start_control()
    async with rig.client() as hub:
        assert await hub.get("/clock/bpm") == 120
        assert "it begins afresh" in rig.log()
        await hub.set("/clock/bpm", 121)
        await rig.until(rig.session_file.exists, "a new session")


async def test_entries_this_box_does_not_know_are_left_out(rig):
    SessionFiles(rig.data, 5).save(SessionFile(values={"/clock/bpm": 999, "/gone/x": 1, "/mixer/crossfader": 0.5}))
    rig.start_control()
    async with rig.client() as hub:
        assert await hub.get("/mixer/crossfader") == 0.5 and await hub.get("/clock/bpm") == 120
        assert "left out" in rig.log()


async def test_clips_that_wait_for_an_engine_stay_in_the_session(rig, loop):
    SessionFiles(rig.data, 5).save(SessionFile.model_validate({"clips": {"/bank/1/pad/2": {"path": str(loop), "beats": 8}}}))
    rig.start_control()
    async with rig.client() as hub:
        await hub.set("/clock/bpm", 99)
        await hub.do("/session/save")
        saved = read_session(rig.session_file)[0]
        assert saved.values == {"/clock/bpm": 99} and saved.clips["/bank/1/pad/2"].beats == 8
        await asyncio.sleep(0.1)
        rig.start_engine()
        await rig.until(lambda: is_now(hub, "/pad/2/state", "loaded"), "the clip")
        assert not rig.messages or all("engine" not in message for message in rig.messages)


async def test_a_missing_file_is_said_and_not_forgotten(rig, loop):
    gone = str(loop.with_name("gone.wav"))
    clips = {"/bank/1/pad/1": {"path": gone}, "/bank/1/pad/2": {"path": str(loop)}}
    session = SessionFile.model_validate({"clips": clips, "texts": {"/bank/1/pad/1/name": "Lost"}})
    SessionFiles(rig.data, 5).save(session)
    rig.start_control()
    rig.start_engine()
    async with rig.client() as hub:
        await rig.until(lambda: is_now(hub, "/pad/2/state", "loaded"), "the pad that is there")
        assert "no such file" in await rig.said("gone.wav")
        assert await hub.get("/pad/1/name") == "Lost" and await hub.get("/pad/1/state") == "missing"
        assert await hub.get("/pad/1/file") == gone
        await hub.do("/session/save")
        assert read_session(rig.session_file)[0].clips["/bank/1/pad/1"].path == gone
        await hub.do("/pad/1/clear")
        assert await hub.get("/pad/1/state") == "empty" and await hub.get("/pad/1/file") == ""
        await hub.do("/session/save")
        assert "/bank/1/pad/1" not in read_session(rig.session_file)[0].clips


class Full:
    """A sessions folder on a disk that can be filled and freed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ballast = folder / "ballast"

    def fill(self) -> None:
        with self.ballast.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 512):
                    pass
            except OSError:
                pass

    def free(self) -> None:
        self.ballast.unlink()


@pytest.fixture
def full(rig):
    folder = rig.data / "sessions"
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    yield Full(folder)
    rig.stop()
    subprocess.run(["umount", "-l", folder], check=True)


async def test_a_full_disk_is_said_once_and_mended_by_itself(rig, full):
    rig.start_control()
    async with rig.client() as hub:
        await hub.set("/clock/bpm", 101)
        await rig.until(rig.session_file.exists, "the first save")
        await asyncio.sleep(0.3)
        full.fill()
        for bpm in range(102, 140):
            await hub.set("/clock/bpm", bpm)
            await asyncio.sleep(0.01)
        await rig.said("No space left on device")
        with pytest.raises(ApplianceError) as caught:
            await hub.do("/session/save")
        assert caught.value.status == 507
        assert len([m for m in rig.messages if "cannot be saved" in m]) == 1
        assert read_session(rig.session_file)[0].values["/clock/bpm"] == 101, "the save before is whole"
        full.free()
        await rig.said("saved again")
        assert read_session(rig.session_file)[0].values["/clock/bpm"] == 139


async def test_a_limit_on_file_sizes_does_not_stop_the_box(rig):
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))

    rig.start("control", preexec_fn=limit)
    async with rig.client() as hub:
        for number in range(1, 17):
            await hub.set(f"/pad/{number}/name", "n" * 200)
        await rig.said("cannot be saved")
        assert await hub.get("/pad/16/name") == "n" * 200


async def test_sessions_by_name(own, loop, tmp_path):
    async with own.client() as hub:
        await set_some(hub, loop)
        assert (await hub.do("/session/save", "friday"))["name"] == "friday"
        await hub.do("/session/save", "saturday")
        await hub.set("/clock/bpm", 150)
        await hub.do("/pad/3/clear")
        listed = {s["name"]: s["current"] for s in await hub.do("/session/list")}
        assert listed.items() >= {"friday": False, "saturday": True}.items()
        tempos = []
        hub.watch("/clock/bpm", lambda _address, value: tempos.append(value))
        await hub.do("/session/load", "friday")
        await check_some(own, hub, loop)
        assert await hub.get("/session/name") == "friday" and tempos[-1] == 133
        for wrong, status in (("sunday", 404), ("../x", 422), (str(tmp_path / "no.yaml"), 404), (str(loop), 422)):
            with pytest.raises(ApplianceError) as caught:
                await hub.do("/session/load", wrong)
            assert caught.value.status == status, caught.value.message
        other = tmp_path / "friday.yaml"
        other.write_text("session: 1\nvalues: {/clock/bpm: 99}\n")
        assert (await hub.do("/session/load", str(other)))["name"] == "friday-2"
        assert await hub.get("/clock/bpm") == 99 and await hub.get("/pad/3/state") == "empty"
        assert read_session(own.data / "sessions" / "friday.yaml")[0].values["/clock/bpm"] == 133
        other.write_text("session: 1\nvalues: [")
        with pytest.raises(ApplianceError, match="is not YAML"):
            await hub.do("/session/load", str(other))
        assert other.exists() and await hub.get("/clock/bpm") == 99
    own.kill("control", signal.SIGTERM)
    own.start_control()
    async with own.client() as hub:
        assert await hub.get("/session/name") == "friday-2"


def test_the_history_keeps_its_length_and_the_file_is_whole_at_any_time(tmp_path):
    files = SessionFiles(tmp_path, keep=3)
    for bpm in range(100, 110):
        path = files.save(SessionFile(values={"/clock/bpm": bpm}))
    kept = [yaml.safe_load(p.read_text())["values"]["/clock/bpm"] for p in files.saves("default")]
    assert kept == [109, 108, 107] and files.names() == ["default"]
    assert [p.name for p in path.parent.iterdir() if p.is_file()] == ["default.yaml"]


def test_a_name_with_a_common_beginning_is_another_session(tmp_path):
    files = SessionFiles(tmp_path, keep=3)
    files.save(SessionFile(name="live"))
    files.save(SessionFile(name="live-2"))
    assert len(files.saves("live")) == len(files.saves("live-2")) == 1


def test_what_is_no_session_says_what_is_wrong(tmp_path):
    path = tmp_path / "x.yaml"
    for body, words in [
        ("a: 1", "is no session"), ("session: one", "no version"),
        ("session: 1\nclips: {/pad/99: {path: x}}", "/pad/99 is no pad"),
        ("session: 1\nvaleus: {}", "valeus"), ("session: 2", "newer version"),
    ]:
        path.write_text(body)
        with pytest.raises(BadFile, match=words):
            read_session(path)


class TestResume:
    @pytest.fixture
    def config(self, config):
        config.session.resume = "play"
        return config

    async def test_play_starts_what_played(self, own, loop):
        async with own.client() as hub:
            await set_some(hub, loop)
            await own.until(lambda: is_now(hub, "/pad/3/state", "playing"), "the pad")
            file = own.session_file
            await own.until(file.exists, "the save")
            await own.until(lambda: "/deck/2" in read_session(file)[0].playing, "the deck in the save")
        own.reboot()
        own.start_control()
        own.start_engine()
        async with own.client() as hub:
            await own.until(lambda: is_now(hub, "/pad/3/state", "playing"), "the pad to play again")
            await own.until(lambda: is_now(hub, "/deck/2/play", True), "the deck to play again")


async def test_a_term_signal_ends_control_with_everything_saved(rig):
    rig.start_control()
    async with rig.client() as hub:
        await hub.set("/gen/prompt", "last words")
    child = rig.children["control"]
    rig.kill("control", signal.SIGTERM)
    assert child.returncode == 0 and not rig.box.hub_path.exists()
    assert read_session(rig.session_file)[0].texts == {"/gen/prompt": "last words"}
    for journal in (rig.data / "sessions").glob("*.journal-*"):
        assert all("h" in json.loads(line) for line in journal.read_text().splitlines())


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_a_save_that_is_cut_off_is_set_aside_though_what_is_left_is_good_yaml(tmp_path, keep):
    files = SessionFiles(tmp_path, 5)
    files.save(SessionFile(values={"/clock/bpm": 101.0}))
    path = files.save(SessionFile(saved="2026-01-01", values={"/clock/bpm": 102.0}, texts={"/gen/prompt": "dark"}))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: max(int(len(lines) * keep), 3)]))
    session, said = files.load("default")
    assert session is not None
    assert said
    assert "cut off" in said[0]


def test_panic_refuses_a_pad_that_is_none():
    address = NAMESPACE.find("/panic/loop")
    assert Texts().check(address, "/pad/3") == "/bank/1/pad/3"
    with pytest.raises(BadValue, match="no pad"):
        Texts().check(address, "hello")
