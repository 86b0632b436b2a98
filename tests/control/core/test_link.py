# SPDX-License-Identifier: GPL-3.0-or-later
"""Ableton Link with a second peer in a process of its own: tempo and beat both ways, start and stop, coming and going."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from appliance.bus.hub import HubClient
from tests.control.core.conftest import RATE, Rig
from tests.linkother import Other, peers_meet
from tests.servers import jack_or_skip


@pytest.fixture(scope="module")
def link_network() -> None:
    """Skips where Link does not work."""
    if reason := peers_meet():
        pytest.skip(reason)


@pytest.fixture
def other(link_network: None) -> Iterator[Other]:
    """A session at 131 BPM that was there before the box."""
    made = Other(131.0)
    made.settle()
    yield made
    made.close()


def clock(rig: Rig) -> Any:
    return rig.box.telemetry.snapshot()["clock"].copy()


def apart_ms(rig: Rig, other: Other) -> float:
    """By how much the box's bar is heard before the other's, as the engine says."""
    told = clock(rig)
    theirs = other.beat_at(int(told["heard_ns"]))
    apart = float(told["bar_phase"]) * 4.0 - theirs
    return (apart - round(apart / 4) * 4) * 60e3 / float(told["bpm"])


async def meets(rig: Rig, hub: HubClient) -> None:
    async def peers() -> bool:
        return await hub.get("/clock/link/peers") == 1

    await rig.until(peers, "the box to find the other peer")


async def together(rig: Rig, other: Other, limit_ms: float = 3.0) -> None:
    def are() -> bool:
        same = abs(float(clock(rig)["bpm"]) / other.now.bpm - 1) < 0.01
        return same and abs(apart_ms(rig, other)) < limit_ms

    await rig.until(are, f"the same tempo, and a beat within {limit_ms} ms")


async def stand_together(rig: Rig, hub: HubClient, other: Other) -> None:
    """In one session, and stopped."""
    await meets(rig, hub)
    await together(rig, other)
    await hub.set("/clock/play", False)
    await rig.until(lambda: not other.now.playing, "our stop")


async def test_the_box_follows_tempo_and_bar(own: Rig, other: Other) -> None:
    own.box.values.set("/clock/source", "link")
    async with own.client() as hub:
        await meets(own, hub)
        await together(own, other)
        assert clock(own)["following"] == 1
        assert await hub.get("/clock/bpm") == pytest.approx(131, abs=0.01)
        other.tell("bpm 98.5")
        await own.until(lambda: abs(clock(own)["bpm"] / 98.5 - 1) < 0.01, "the other's tempo")
        await asyncio.sleep(1.5)
        found = []
        for _ in range(50):
            found.append(apart_ms(own, other))
            await asyncio.sleep(0.02)
        assert np.abs(found).max() < 3.0
        assert await hub.get("/clock/bpm") == pytest.approx(98.5, abs=0.01)
        assert await hub.get("/clock/link/bpm") == pytest.approx(98.5, abs=0.01)


async def test_a_hand_on_the_tempo_of_a_box_that_follows_moves_the_session(own: Rig, other: Other) -> None:
    own.box.values.set("/clock/source", "link")
    async with own.client() as hub:
        await meets(own, hub)
        await together(own, other)
        await hub.set("/clock/bpm", 117.0)
        await own.until(lambda: abs(other.now.bpm - 117) < 0.01, "the session to go along")
        await asyncio.sleep(1.0)
        assert await hub.get("/clock/bpm") == 117.0, "and it stays"
        await together(own, other)
        await hub.do("/clock/restart")
        await asyncio.sleep(0.5)
        await together(own, other)


async def test_joining_changes_nobody(own: Rig, other: Other) -> None:
    async with own.client() as hub:
        await hub.set("/clock/link", True)
        await meets(own, hub)
        await own.said("131.00 BPM is there")
        await asyncio.sleep(1.0)
        assert clock(own)["bpm"] == 120.0 and other.now.bpm == pytest.approx(131.0)
        other.tell("bpm 140")
        await asyncio.sleep(0.5)
        assert clock(own)["bpm"] == 120.0, "the box's own clock is not Link's"
        await hub.set("/clock/bpm", 125.0)
        await own.until(lambda: abs(other.now.bpm - 125) < 0.01, "a tempo that is moved here goes there")
        await together(own, other, 1.0)
        other.tell("bpm 90")
        await own.said("another peer has set 90.00 BPM")
        assert clock(own)["bpm"] == 125.0


async def test_who_comes_later_takes_the_box_as_it_is(own: Rig, link_network: None) -> None:
    async with own.client() as hub:
        await hub.set("/clock/bpm", 97.0)
        await hub.set("/clock/link", True)
        await asyncio.sleep(3.5)
        other = Other(150.0)
        try:
            await meets(own, hub)
            await own.until(lambda: other.said and abs(other.now.bpm - 97) < 0.01, "the newcomer to take our tempo")
            await together(own, other)
            await hub.do("/clock/restart")
            await asyncio.sleep(0.3)
            await together(own, other, 1.0)
            await hub.set("/clock/ramp/bars", 1)
            await hub.do("/clock/ramp", 110.0)
            await own.until(lambda: abs(other.now.bpm - 110) < 0.01, "the session to follow a ramp")
            await together(own, other, 1.5)
        finally:
            other.close()


async def test_start_and_stop_go_both_ways(own: Rig, other: Other) -> None:
    own.box.values.set("/clock/source", "link")
    async with own.client() as hub:
        await meets(own, hub)
        await together(own, other)
        await hub.set("/clock/play", False)
        await asyncio.sleep(0.2)
        assert not other.now.playing
        await hub.set("/clock/play", True)
        await own.until(lambda: other.now.playing, "our start")
        await hub.set("/clock/play", False)
        await own.until(lambda: not other.now.playing, "our stop")
        other.tell("play 1")
        await own.until(lambda: clock(own)["running"] == 1, "the other's start")
        told = clock(own)
        assert float(told["bar_phase"]) * 4 < 0.5 or float(told["bar_phase"]) > 0.99, "it waits for the bar"
        await together(own, other)
        other.tell("play 0")
        await own.until(lambda: clock(own)["running"] == 0, "the other's stop")
        assert await hub.get("/clock/play") is False


async def test_who_stops_as_the_box_starts_is_not_started_again(own: Rig, other: Other) -> None:
    """The start that the box was asked for comes in the same look as the stop."""
    own.box.values.set("/clock/source", "link")
    async with own.client() as hub:
        await stand_together(own, hub, other)
        for _ in range(5):
            other.tell("play 1")
            await own.until(lambda: clock(own)["running"] == 1, "the other's start")
            other.tell("play 0")
            await own.until(lambda: clock(own)["running"] == 0, "the other's stop", 5.0)
            await asyncio.sleep(0.1)
            assert not other.now.playing


async def test_a_start_that_still_waits_is_taken_back_with_the_others(own: Rig, other: Other) -> None:
    own.box.values.set("/clock/source", "link")
    async with own.client() as hub:
        await stand_together(own, hub, other)
        bar = 4 * 60 / 131
        await own.until(lambda: 0.1 < other.now.beat / 4 % 1.0 < 0.5, "a place within a bar")
        other.tell("play 1")
        await asyncio.sleep(0.2 * bar)
        other.tell("play 0")
        end = time.monotonic() + 1.2 * bar
        while time.monotonic() < end:
            assert clock(own)["running"] == 0, "it has started on the bar line, though all others have stopped"
            await asyncio.sleep(0.005)
        assert not other.now.playing


async def test_the_tempo_holds_when_the_session_goes(own: Rig, other: Other) -> None:
    own.box.values.set("/clock/source", "link")
    async with own.client() as hub:
        await meets(own, hub)
        await together(own, other)
        other.tell("quit")
        await own.until(lambda: clock(own)["following"] == 0, "the box to notice")
        await own.until(lambda: abs(clock(own)["bpm"] / 131 - 1) < 1e-4, "its tempo")
        own.kill("control")
        await asyncio.sleep(3.0)
        told = clock(own)
        assert told["running"] == 1 and told["bpm"] == pytest.approx(131, rel=1e-4)
        await own.back(hub)
        assert await hub.get("/clock/bpm") == pytest.approx(131, abs=0.01)


async def test_an_offset_moves_the_box(own: Rig, other: Other) -> None:
    own.box.values.set("/clock/source", "link")
    async with own.client() as hub:
        await meets(own, hub)
        await together(own, other)
        await hub.set("/clock/link/offset", 120.0)
        await own.until(lambda: abs(apart_ms(own, other) - 120) < 3, "120 ms early")
        await hub.set("/clock/link/offset", -200.0)
        await own.until(lambda: abs(apart_ms(own, other) + 200) < 3, "200 ms late")


async def test_without_the_library_it_is_said_once_and_all_else_works(rig: Rig, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "aalink.py").write_text("raise ImportError('No module named aalink')\n")
    path = os.pathsep.join((str(hidden), os.environ.get("PYTHONPATH", "")))
    rig.start_control(env={**os.environ, "PYTHONPATH": path})
    rig.start_engine()
    async with rig.client() as hub:
        await hub.set("/clock/source", "link")
        await rig.said("pip install aalink")
        await asyncio.sleep(0.5)
        assert sum("aalink" in message for message in rig.messages) == 1
        assert await hub.get("/clock/link/peers") == 0
        await hub.set("/clock/bpm", 111.0)
        await rig.until(lambda: clock(rig)["bpm"] == 111.0, "the tempo")


# -- heard

jackgear = pytest.importorskip("tests.jackgear", reason="the JACK library is not installed")


@pytest.fixture
def server() -> Iterator[str]:
    with jack_or_skip("link") as name:
        yield name


@pytest.mark.parametrize("source", [pytest.param("link", marks=pytest.mark.soak), "internal"])
async def test_the_beat_is_heard_with_the_others(
    rig: Rig, server: str, source: str, tmp_path: Path, link_network: None
) -> None:
    """A click on each beat, recorded at the master, which goes to a sound card with its latency."""
    rig.config.audio.connect = False
    rig.reboot()
    mark = np.zeros((RATE // 2, 2), np.float32)
    mark[0] = 0.5
    sf.write(tmp_path / "click.wav", mark, RATE, "FLOAT")
    other = Other(124.0)
    other.settle()
    rig.start_control()
    rig.start("engine-a", "--engine", "a", "--backend", "jack", "--server", server)
    await rig.until(lambda: rig.box.engine(0)["ready"], "the engine", 90)
    recorder = jackgear.Recorder(server, 45)
    latency_frames, off = 0, np.zeros(0)
    try:
        async with rig.client() as hub:
            for side in (1, 2):
                recorder.client.connect(f"appliance-a:master_{side}", f"system:playback_{side}")
            await hub.set("/clock/quantize", "1/4")
            await hub.do("/pad/1/load", str(tmp_path / "click.wav"), "bpm=120", "beats=1")
            await hub.set("/clock/link", True)
            await hub.set("/clock/source", source)
            await meets(rig, hub)
            if source == "internal":
                await hub.set("/clock/bpm", 119.0)
            await asyncio.sleep(2.5)
            await hub.do("/pad/1/trigger")
            await asyncio.sleep(0.5)
            recorder.listen("appliance-a:master_1", "appliance-a:cue_1")
            latency_frames = playback_latency(recorder.client)
            for _ in range(6):
                await asyncio.sleep(5.0)
                off = heard_off(recorder, other, latency_frames, float(clock(rig)["bpm"]))
                if len(off) >= 8:
                    break
    finally:
        recorder.close()
        other.close()
    assert latency_frames >= 128, "the dummy card has none"
    if len(off) < 4:
        pytest.skip("this machine loses too many audio cycles")
    print(f"{source}: {len(off)} beats, {np.mean(off):+.3f} ms on average, {np.abs(off).max():.3f} ms at most; "
          f"card {latency_frames} frames")
    assert np.abs(off).max() < 3.0


def playback_latency(client: Any) -> int:
    import ctypes

    import jack

    from appliance.engine.backends.jack import _latency, _Range

    port: Any = client.get_port_by_name("appliance-a:master_1")
    found = _Range()
    _latency("get")(int(jack._ffi.cast("intptr_t", port._ptr)), 1, ctypes.byref(found))
    return int(found.maximum)


def heard_off(recorder: Any, other: Other, latency_frames: int, bpm: float) -> np.ndarray:
    """Of each click: by how many ms it is heard after the other's beat. Where the machine has just lost a cycle of sound, or
    has held up the whole server, the time of all that follows has moved, and the box needs a moment: those are left out."""
    first, heard = recorder.take()
    clicks = np.flatnonzero(np.nan_to_num(heard[:, 0]) > 0.2) + first
    cycles = int(recorder.words[12])
    times = recorder.times[:cycles]
    moved_us = times[:, 3] - (times[:, 0] - first) * 1e6 / RATE
    off: list[float] = []
    for click in clicks:
        before = (times[:, 0] > click - RATE) & (times[:, 0] < click)
        if np.isnan(heard[max(click - first - RATE, 0) : click - first]).any() or np.ptp(moved_us[before]) > 1000:
            continue
        cycle = times[np.searchsorted(times[:, 0], click, "right") - 1]
        ns = cycle[3] * 1000 + round((click - cycle[0] + latency_frames) * 1e9 / RATE)
        beat = other.beat_at(int(ns))
        off.append((beat - round(beat)) * 60e3 / bpm)
    return np.array(off)
