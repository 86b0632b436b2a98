# SPDX-License-Identifier: GPL-3.0-or-later
"""After repeated crashes: what was loaded last is taken off, what the session holds is kept, and both are said."""

from __future__ import annotations

import asyncio
import time

import yaml

from appliance.bus.clips import ClipState, doubtful


async def heard(hub, words):
    return any(words in message["text"] for message in await hub.get("/system/messages") or [])


async def is_now(hub, address, value):
    return await hub.get(address) == value


def start_safe_engine(rig, level: int) -> None:
    """As the supervisor does after three crashes."""
    row = rig.box.process("engine-a")
    row["started_ns"], row["safe"] = time.monotonic_ns(), level
    rig.start("engine-a", "--engine", "a", "--backend", "clock", "--safe", str(level))


async def test_clips_loaded_just_before_the_crashes_are_taken_off(own, loop, tmp_path):
    older = own.write_loop(tmp_path / "older.wav", hz=330)
    async with own.client() as hub:
        for pad, file in ((1, older), (2, loop), (3, loop)):
            await hub.do(f"/pad/{pad}/load", str(file))
        place = int(own.pad(0)["clip"]) & 0xFFFF
        own.box.clips.table[place]["placed_ns"] -= 200 * 10**9
        for pad in (1, 2):
            await hub.do(f"/pad/{pad}/trigger")
        own.kill("engine-a")
        start_safe_engine(own, 1)
        said = await own.said("the engine has crashed 3 times within a minute")
        assert "its safe form: clips that were loaded in the two minutes before" in said
        for pad in (2, 3):
            assert "the engine crashed 3 times after loop.wav was loaded" in await own.said(f"/pad/{pad} was emptied")
            await own.until(lambda pad=pad: is_now(hub, f"/pad/{pad}/state", "empty"), "the pad to be empty")
        await own.until(lambda: own.pad(0)["sounding"] == 1, "the older clip plays on", 20)
        assert not any("/pad/1 was emptied" in message for message in own.messages)

        await hub.do("/pad/2/load", str(loop))
        await own.until(lambda: is_now(hub, "/pad/2/state", "loaded"), "loaded by hand it is taken again")
        own.box.process("engine-a")["safe"] = 0
        await own.said("the engine runs in its normal form again")


def test_the_second_form_suspects_all_that_was_there(rig):
    old, new = (rig.box.clips.place(100, 48000.0) for _ in range(2))
    started_ns = time.monotonic_ns()
    later = rig.box.clips.place(100, 48000.0)
    table = rig.box.clips.table
    table[old.place]["placed_ns"] -= 200 * 10**9
    assert doubtful(table, 0, started_ns) == frozenset()
    assert doubtful(table, 1, started_ns) == {new.handle}
    assert doubtful(table, 2, started_ns) == {old.handle, new.handle}
    assert later.handle not in doubtful(table, 2, started_ns)
    table[new.place]["state"] = ClipState.FREE
    assert doubtful(table, 1, started_ns) == frozenset()


async def test_control_leaves_files_unloaded_and_the_session_keeps_them(own, loop):
    async with own.client() as hub:
        await hub.do("/pad/3/load", str(loop))
        await hub.do("/deck/2/load", str(loop))
        await own.until(lambda: own.session_file.exists() and "/deck/2" in own.session_file.read_text(), "the save")
    own.reboot()
    own.messages.clear()
    profile = own.data / "mappings" / "mine.yaml"
    profile.parent.mkdir()
    profile.write_text("no profile\n")
    own.start("control", "--safe", "1")
    own.start_engine()
    async with own.client() as hub:
        await own.until(lambda: heard(hub, "2 files that were not playing stay unloaded"), "the message")
        await asyncio.sleep(2.5)  # longer than files are looked after
        assert await hub.get("/pad/3/state") == "missing"
        assert await hub.get("/pad/3/file") == str(loop), "the generator does not take it for an empty one"
        await hub.set("/clock/bpm", 99)
        await own.until(lambda: "99" in own.session_file.read_text(), "the save after a change")
        saved = yaml.safe_load(own.session_file.read_text())
        assert saved["clips"]["/bank/1/pad/3"]["path"] == saved["clips"]["/deck/2"]["path"] == str(loop)
        await hub.do("/session/load", "default")
        await own.until(lambda: is_now(hub, "/pad/3/state", "loaded"), "loading it by hand")
        assert "mine.yaml" not in own.log(), "profiles of one's own are not read"
