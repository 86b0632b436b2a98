# SPDX-License-Identifier: GPL-3.0-or-later
"""JACK's transport on a real server: followed to the frame, and led, with a second client."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.bus.commit import committed
from appliance.engine.dsp.limiter import LOOK_AHEAD_FRAMES as DELAY
from benchmarks.boxes import EngineBox, wait_for
from tests.signals import RATE, onset

jackgear = pytest.importorskip("tests.jackgear", reason="the JACK library is not installed")
jack = jackgear.jack

ROLLING, STOPPED = jack.ROLLING, jack.STOPPED


@pytest.fixture
def conductor(server: str) -> Iterator[Any]:
    """Another client; the transport stands at 0."""
    client = jack.Client("conductor", servername=server, no_start_server=True)
    client.activate()
    client.transport_stop()
    client.transport_frame = 0
    time.sleep(0.1)
    yield client
    client.transport_stop()
    client.deactivate()
    client.close()


def clock(live: EngineBox) -> Any:
    return live.box.telemetry.snapshot()["clock"].copy()


def places(live: EngineBox, conductor: Any) -> list[tuple[int, float]]:
    """``(frame of the transport, our beat as it is heard there)``, several looks."""
    found: list[tuple[int, float]] = []
    while len(found) < 20:
        before = conductor.last_frame_time
        state = committed(live.box.segment).copy()[0]
        transport, position = conductor.transport_query_struct()
        if conductor.last_frame_time != before or transport != ROLLING or before != int(state["audio_time"]) & 0xFFFFFFFF:
            time.sleep(0.0005)
            continue
        c = state["clock"]
        first = int(state["frame"]) - int(state["block_frames"]) - DELAY
        beat = float(c["anchor_beat"]) + (first - int(c["anchor_frame"])) * float(c["bpm"]) / 60 / RATE
        found.append((int(position.frame), beat))
        time.sleep(0.003)
    return found


def steadily(live: EngineBox, conductor: Any) -> list[tuple[int, float]]:
    """The same, a while after the last cycle that this machine has lost: a lost cycle moves clock and transport apart, and a
    tick is needed until they agree to the frame again."""
    for _ in range(5):
        lost = float(live.box.telemetry.snapshot()["system"]["skipped_frames"])
        time.sleep(0.8)
        found = places(live, conductor)
        if float(live.box.telemetry.snapshot()["system"]["skipped_frames"]) == lost:
            return found
    pytest.skip("this machine loses too many audio cycles")


def to_the_frame(live: EngineBox, conductor: Any, bpm: float) -> tuple[float, float]:
    """Least and largest distance in frames from a song at ``bpm`` that began at 0. A master in Python is late now and then on a
    busy machine, and tells the beat of another cycle: what counts is that the clock gets to the frame, and stays there."""
    for _ in range(6):
        off = [beat * 60 * RATE / bpm - frame for frame, beat in steadily(live, conductor)]
        if max(abs(one) for one in off) < 1.5:
            break
    return min(off), max(off)


class Master:
    """A timebase master in the client ``conductor``: ``bpm`` quarter notes a minute, 4/4, from frame 0."""

    def __init__(self, client: Any, bpm: float, ticks: float = 480.0) -> None:
        self.bpm, self.ticks = bpm, ticks
        client.set_timebase_callback(self._fill)

    def beat(self, frame: int) -> float:
        return frame * self.bpm / 60 / RATE

    def _fill(self, _state: int, _frames: int, position: Any, _new: bool) -> None:
        beat = self.beat(int(position.frame))
        bar, into = divmod(beat, 4.0)
        position.valid = 0x10
        position.bar, position.beat = int(bar) + 1, int(into) + 1
        position.tick = int((into - int(into)) * self.ticks)
        position.bar_start_tick = bar * 4 * self.ticks
        position.beats_per_bar, position.beat_type = 4.0, 4.0
        position.ticks_per_beat, position.beats_per_minute = self.ticks, self.bpm


def test_position_as_laid_out_is_the_headers() -> None:
    """Against the declaration that the binding compiles with."""
    from appliance.engine.backends.jacktransport import JACK_POSITION

    kind = jack._ffi.typeof("jack_position_t")
    offsets = {name: field.offset for name, field in kind.fields}
    assert JACK_POSITION.itemsize >= jack._ffi.sizeof("jack_position_t") - 8
    for name in JACK_POSITION.names or ():
        assert (JACK_POSITION.fields or {})[name][1] == offsets[name], name
        assert (JACK_POSITION.fields or {})[name][0].itemsize == jack._ffi.sizeof(dict(kind.fields)[name].type), name


def test_without_a_timebase_the_position_is_counted_in_our_tempo(live: EngineBox, conductor: Any) -> None:
    live.box.values.set("/clock/bpm", 126.0)
    live.box.values.set("/clock/source", "jack")
    wait_for(lambda: clock(live)["running"] == 0, 2, "the clock stands as the transport does")
    assert live.box.values.get("/clock/play") is False
    conductor.transport_start()
    wait_for(lambda: clock(live)["running"] == 1, 2, "the clock runs")
    time.sleep(0.2)
    for frame, beat in places(live, conductor):
        assert abs(beat * 60 * RATE / 126 - frame) < 0.01
    conductor.transport_frame = RATE * 100
    time.sleep(0.2)
    for frame, beat in places(live, conductor):
        assert frame >= RATE * 100
        assert abs(beat * 60 * RATE / 126 - frame) < 0.01
    conductor.transport_stop()
    wait_for(lambda: clock(live)["running"] == 0, 2, "the clock stands")


@pytest.mark.parametrize("ticks", [480.0, 1920.0])
def test_a_timebase_master_is_followed_to_the_frame(live: EngineBox, conductor: Any, ticks: float) -> None:
    master = Master(conductor, 133.7, ticks)
    live.box.values.set("/clock/source", "jack")
    conductor.transport_start()
    wait_for(lambda: clock(live)["running"] == 1, 2, "the clock runs")
    wait_for(lambda: live.box.values.get("/clock/bpm") == pytest.approx(133.7), 2, "its tempo")
    least, most = to_the_frame(live, conductor, 133.7)
    print(f"{ticks:.0f} ticks: {least:+.2f} … {most:+.2f} frames")
    assert least > -1.5 and most < 1.5
    steady = [clock(live)["bpm"] for _ in range(20) if not time.sleep(0.01)]
    assert set(steady) == {133.7}, "a constant tempo is constant"
    told = clock(live)
    assert told["following"] == 1
    master.bpm = 91.3
    wait_for(lambda: clock(live)["bpm"] == 91.3, 2, "the new tempo")
    least, most = to_the_frame(live, conductor, 91.3)
    assert least > -1.5 and most < 1.5
    conductor.release_timebase()


def test_the_box_has_a_hand_on_the_transport_that_it_follows(live: EngineBox, conductor: Any) -> None:
    live.box.values.set("/clock/source", "jack")
    wait_for(lambda: live.box.values.get("/clock/play") is False, 2, "it stands")
    live.box.values.set("/clock/play", True)
    wait_for(lambda: conductor.transport_state == ROLLING, 2, "play rolls the transport")
    time.sleep(0.3)
    assert live.box.values.get("/clock/play") is True
    live.do("/clock/restart")
    wait_for(lambda: conductor.transport_frame < RATE // 5, 2, "restart goes to the beginning")
    time.sleep(0.2)
    assert 0 < clock(live)["beat"] < 2
    live.box.values.set("/clock/play", False)
    wait_for(lambda: conductor.transport_state == STOPPED, 2, "and stops it")


def test_an_offset_moves_the_box_against_the_transport(live: EngineBox, conductor: Any) -> None:
    live.box.values.set("/clock/source", "jack")
    live.box.values.set("/clock/jack/offset", 150.0)
    conductor.transport_start()
    wait_for(lambda: clock(live)["running"] == 1, 2, "the clock runs")
    time.sleep(0.2)
    for frame, beat in places(live, conductor):
        assert abs(beat * 60 * RATE / 120 - frame - 0.15 * RATE) < 0.01


def test_the_box_leads_with_its_tempo_bars_and_beats(live: EngineBox, conductor: Any) -> None:
    live.box.values.set("/clock/bpm", 100.0)
    live.box.values.set("/clock/metre", "3/4")
    live.box.values.set("/clock/play", False)
    time.sleep(0.3)
    live.do("/clock/restart")
    live.box.values.set("/clock/jack", True)
    wait_for(lambda: clock(live)["timebase"] == 1, 3, "the box is timebase master")
    assert conductor.transport_state == STOPPED
    live.box.values.set("/clock/play", True)
    wait_for(lambda: conductor.transport_state == ROLLING, 2, "the transport rolls")
    time.sleep(0.3)
    worst = 0.0
    seen = 0
    while seen < 20:
        before = conductor.last_frame_time
        state = committed(live.box.segment).copy()[0]
        transport, position = conductor.transport_query_struct()
        if conductor.last_frame_time != before or before != int(state["audio_time"]) & 0xFFFFFFFF:
            time.sleep(0.0005)
            continue
        assert transport == ROLLING and int(position.valid) & 0x10
        assert (position.beats_per_bar, position.beat_type, position.beats_per_minute) == (3.0, 4.0, 100.0)
        told = (position.bar - 1) * 3 + position.beat - 1 + position.tick / position.ticks_per_beat
        told += position.bbt_offset * 100 / 60 / RATE
        c = state["clock"]
        first = int(state["frame"]) - int(state["block_frames"]) - DELAY
        heard = float(c["anchor_beat"]) + (first - int(c["anchor_frame"])) * float(c["bpm"]) / 60 / RATE
        worst = max(worst, abs(told - heard) * 60 * RATE / 100)
        seen += 1
        time.sleep(0.003)
    print(f"told against heard: {worst:.2f} frames at most")
    assert worst <= 1.0
    live.box.values.set("/clock/bpm", 140.0)
    wait_for(lambda: conductor.transport_query_struct()[1].beats_per_minute == 140.0, 2, "the new tempo")
    live.do("/clock/restart")
    wait_for(lambda: conductor.transport_frame < RATE // 5, 2, "a restart goes to the beginning")
    live.box.values.set("/clock/play", False)
    wait_for(lambda: conductor.transport_state == STOPPED, 2, "the transport stops")
    live.box.values.set("/clock/jack", False)
    wait_for(lambda: clock(live)["timebase"] == 0, 2, "it gives the timebase back")
    conductor.set_timebase_callback(lambda *_: None, conditional=True)
    conductor.release_timebase()


def test_a_timebase_that_another_client_has_is_left_to_it(live: EngineBox, conductor: Any) -> None:
    Master(conductor, 77.0)
    live.box.values.set("/clock/jack", True)
    conductor.transport_start()
    time.sleep(1.5)
    assert clock(live)["timebase"] == 0
    assert conductor.transport_query_struct()[1].beats_per_minute == 77.0
    conductor.release_timebase()
    wait_for(lambda: clock(live)["timebase"] == 1, 4, "it is free")


def test_a_standby_goes_on_leading(live: EngineBox, conductor: Any, server: str) -> None:
    live.start("jack", server, "b")
    live.box.values.set("/clock/jack", True)
    wait_for(lambda: clock(live)["timebase"] == 1 and conductor.transport_state == ROLLING, 4, "the box leads")
    before = conductor.transport_frame
    live.kill("a")
    wait_for(lambda: live.playing == "b", 3, "b plays")
    wait_for(lambda: clock(live)["timebase"] == 1, 4, "b leads")
    assert conductor.transport_state == ROLLING and conductor.transport_frame > before


def test_the_click_is_heard_at_the_transports_beat(live: EngineBox, conductor: Any, server: str) -> None:
    """Measured at the port: a click on each beat comes out at the frame at which the transport has that beat."""
    master = Master(conductor, 150.0)
    live.box.values.set("/clock/source", "jack")
    live.box.values.set("/clock/quantize", "1/4")
    mark = np.zeros((RATE * 60 // 150, 2), np.float32)
    mark[0] = 0.5
    live.load_pad(1, live.clip(mark, bpm=150, beats=1))
    conductor.transport_start()
    wait_for(lambda: clock(live)["running"] == 1, 2, "the clock runs")
    live.do("/pad/1/trigger")
    time.sleep(1.5)
    recorder = jackgear.Recorder(server, 6)
    try:
        recorder.listen("appliance-a:master_1")
        time.sleep(2.5)
        base = None
        while base is None:
            begun = conductor.last_frame_time
            frame = conductor.transport_query_struct()[1].frame
            base = begun - frame if conductor.last_frame_time == begun else None
        first, heard = recorder.take()
    finally:
        recorder.close()
    clicks = np.flatnonzero(np.nan_to_num(heard[:, 0]) > 0.2) + first - base
    off = [one - round(master.beat(one)) * 60 * RATE / 150 for one in clicks]
    lost = int(np.isnan(heard[:, 0]).sum())
    print(f"clicks from the transport's beat: {[round(one, 1) for one in off]} frames; {lost} frames not recorded")
    assert len(off) >= 4 and max(abs(one) for one in off) <= 1.5, (off, lost)
    assert not math.isnan(onset(np.nan_to_num(heard[:, :1])))
    conductor.release_timebase()


def test_the_tempo_holds_when_the_server_goes(tmp_path: Path) -> None:
    """The clock runs on by itself, and is the transport's again when there is one."""
    from tests.engine.test_server_loss import Server

    server = Server()
    server.name = f"gone-{os.getpid()}"
    server.start()
    made = EngineBox(tmp_path / "data")
    made.box.config.audio.connect = False
    client = None
    try:
        wait_for(lambda: _opens(server.name), 5, "the server")
        made.start("jack", server.name)
        client = jack.Client("conductor", servername=server.name, no_start_server=True)
        client.activate()
        Master(client, 141.0)
        made.box.values.set("/clock/source", "jack")
        client.transport_start()
        wait_for(lambda: clock(made)["bpm"] == 141.0 and clock(made)["running"] == 1, 3, "the transport is followed")
        beat = float(clock(made)["beat"])
        server.kill()
        wait_for(lambda: clock(made)["following"] == 0, 3, "it is gone")
        time.sleep(0.5)
        told = clock(made)
        assert told["bpm"] == 141.0 and told["running"] == 1 and told["beat"] > beat + 0.5
        server.start()
        wait_for(lambda: clock(made)["following"] == 1, 8, "another transport")
        wait_for(lambda: clock(made)["running"] == 0, 2, "which stands")
        assert clock(made)["bpm"] == 141.0
    finally:
        if client is not None:
            client.close(ignore_errors=True)
        made.close()
        server.kill()


def _opens(name: str) -> bool:
    try:
        jack.Client("probe", servername=name, no_start_server=True).close()
    except jack.JackError:
        return False
    return True
