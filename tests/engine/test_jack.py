# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine on a real JACK server: what goes in as MIDI comes out as sound at its frame, and equals the off-line engine."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from appliance.bus.binding import BindingFlag, BindingKind, Bindings
from appliance.bus.clips import ClipState
from appliance.bus.commands import Source
from appliance.bus.commit import committed
from appliance.bus.enginestate import freeze
from appliance.bus.eventfile import ClipFile, EventFile, FileEvent
from appliance.bus.events import Event, Kind
from appliance.config import Config
from appliance.engine.dsp.limiter import LOOK_AHEAD_FRAMES as DELAY
from appliance.nodes import NAMESPACE
from appliance.rendering import Performance
from benchmarks.boxes import EngineBox, wait_for
from tests.signals import RATE, onset, ramp, sine
from tests.threads import audio_thread, page_faults

jackgear = pytest.importorskip("tests.jackgear", reason="the JACK library is not installed")


TRIGGER = NAMESPACE.command("pad", "trigger")


def bind_notes(live: EngineBox) -> None:
    """Notes 36…51 on any channel are pads 1…16, as the generic profile has it."""
    bindings = Bindings(live.box.record["binding"][0])
    for channel in range(16):
        for pad in range(16):
            bindings.bind(0, 0x90 + channel, 36 + pad, BindingKind.COMMAND, code=TRIGGER, index=pad,
                          flags=BindingFlag.BANK)


def play_notes(live: EngineBox, server: str, count: int) -> tuple[list[int], int, int]:
    """Hit pads ``count`` times; returns deviations in frames on the cue bus, hits that were lost to a lost cycle, misses."""
    bind_notes(live)
    for pad in range(16):
        mark = np.zeros((2400, 2), np.float32)
        mark[0] = (pad + 1) / 64
        live.load_pad(pad + 1, live.clip(mark))
        live.box.values.set(f"/pad/{pad + 1}/mode", "oneshot")
    for channel in range(5, 9):
        live.box.values.set(f"/channel/{channel}/cue", True)
    time.sleep(0.3)
    recorder = jackgear.Recorder(server, count * 21 * 128 / RATE + 20)
    player = jackgear.NotePlayer(server, count)
    try:
        recorder.listen("appliance-a:cue_1", "appliance-a:cue_2", "appliance-a:master_1", "appliance-a:master_2")
        player.client.connect("keys:out", "appliance-a:midi_in")
        time.sleep(0.2)
        player.go()
        wait_for(lambda: player.done, count * 0.1 + 10, "all notes are played")
        time.sleep(0.3)
        first, heard = recorder.take()
        events = live.box.events.read(20000)
    finally:
        player.close()
        recorder.close()
    obeyed = [e for e in events if e.kind == Kind.COMMAND and e.code == TRIGGER and e.source == Source.MIDI]
    assert [e.index for e in obeyed] == list(player.sent[:, 1]), "notes are lost or out of order"
    deviations, lost, missed = [], 0, 0
    for when, pad in player.sent:
        at, wanted = int(when) - first, (pad + 1) / 64
        near = heard[max(at - 200, 0) : at + 300, 0]
        if np.isnan(near).any():
            lost += 1
            continue
        hits = np.flatnonzero(np.abs(near - wanted) < 1e-4) + max(at - 200, 0) - at
        if not len(hits):
            missed += 1
            continue
        deviations.append(int(hits[np.argmin(np.abs(hits))]))
        late = heard[at + DELAY, 2]
        assert abs(late - wanted) < 1e-3, "the master is not exactly the look-ahead later"
    return deviations, lost, missed


def test_every_note_sounds_at_its_own_frame(live: EngineBox, server: str) -> None:
    deviations, lost, missed = play_notes(live, server, 60)
    assert missed == 0
    assert set(deviations) == {0}
    assert len(deviations) >= 50, f"{lost} of 60 fell into cycles that this machine lost"


def test_a_block_has_its_time_by_the_monotonic_clock(live: EngineBox) -> None:
    """Link and the surfaces reckon with it; the server's own clock may be far away after hours."""
    ages_ms = []
    for _ in range(21):
        told = committed(live.box.segment).copy()[0]
        ages_ms.append((time.monotonic_ns() - int(told["block_ns"])) / 1e6)
        time.sleep(0.02)
    assert 0 <= np.median(ages_ms) < 10, ages_ms


@pytest.mark.soak
def test_a_thousand_notes(live: EngineBox, server: str) -> None:
    """A thousand that can be measured: those in cycles that a virtual machine lost are not in the recording."""
    deviations, lost, missed = play_notes(live, server, 1050)
    print(f"notes {len(deviations)}, deviations {sorted(set(deviations))}, lost cycles {lost}, missed {missed}")
    assert (missed, set(deviations)) == (0, {0})
    assert len(deviations) >= 1000


def test_a_loop_launched_on_the_bar_is_the_clip_on_the_grid(live: EngineBox, server: str) -> None:
    clip = ramp(2 * RATE)
    live.box.values.set("/clock/quantize", "1 bar")
    live.load_pad(1, live.clip(clip, bpm=120, beats=4))
    recorder = jackgear.Recorder(server, 8)
    try:
        recorder.listen("appliance-a:master_1", "appliance-a:master_2")
        live.do("/pad/1/trigger")
        launched: list[int] = []
        wait_for(lambda: launched.extend(e.frame for e in live.box.events.read() if e.kind == Kind.LAUNCHED) or launched)
        time.sleep(2.5)
        heard = recorder.take()[1][:, :2]
    finally:
        recorder.close()
    assert launched[0] % (2 * RATE) == 0, "not on the bar line"
    start = onset(np.nan_to_num(heard))
    piece = heard[start : start + 2 * RATE]
    # cycles that the machine lost, and the limiter's line after them; the rest stands where it belongs all the same
    lost = np.convolve(np.isnan(piece[:, 0]), np.ones(128), "full")[: len(piece)] > 0
    assert lost.mean() < 0.5
    np.testing.assert_allclose(piece[~lost], clip[: len(piece)][~lost], atol=1e-6)


def is_cause(event: Event) -> bool:
    return event.kind == Kind.VALUE or (event.kind == Kind.COMMAND and event.code == TRIGGER)


def as_file_event(event: Event) -> FileEvent:
    if event.kind == Kind.VALUE:
        found = NAMESPACE.by_slot[event.index]
        return FileEvent(frame=event.frame, address=found.address, value=found.node.from_slot(event.a))
    return FileEvent(frame=event.frame, address=f"/bank/1/pad/{event.index + 1}/trigger", args=[event.a])


def test_live_and_off_line_are_equal_to_the_bit(live: EngineBox, server: str) -> None:
    """Everything the engine logs, rendered again, gives what came out of JACK."""
    box, files = live.box, {}
    for pad in range(4):
        audio = sine(2.0, 110 * (pad + 1), 0.25)
        clip = live.clip(audio, bpm=120, beats=4)
        live.load_pad(pad + 1, clip)
        files[clip.handle] = live.data / f"{pad}.wav"
        sf.write(files[clip.handle], audio, RATE, "FLOAT")
    bind_notes(live)
    live.do("/pad/1/trigger")
    time.sleep(0.5)
    recorder = jackgear.Recorder(server, 10)
    player = jackgear.NotePlayer(server, 20, gap=37)
    try:
        recorder.listen("appliance-a:master_1", "appliance-a:master_2")
        player.client.connect("keys:out", "appliance-a:midi_in")
        time.sleep(0.3)
        box.events.read()
        state = committed(box.segment).copy()[0]
        frozen = freeze(box.segment, state, {handle: str(handle) for handle in files})
        player.go()
        for step in range(40):
            box.values.set("/mixer/crossfader", step / 20 - 1)
            box.values.set("/channel/5/filter", (step % 10) / 10 - 0.5)
            if step % 8 == 0:
                box.values.set("/clock/bpm", 110 + step)
            time.sleep(0.05)
        time.sleep(0.2)
        heard = recorder.take()[1][:, :2]
        events = box.events.read(20000)
    finally:
        player.close()
        recorder.close()
    assert not any(event.kind == Kind.JUMP for event in events) or pytest.skip("this machine lost audio cycles")
    file = EventFile(
        rate=RATE, start_frame=int(state["frame"]), state=frozen,
        clips={str(handle): ClipFile(file=str(path), bpm=120, beats=4) for handle, path in files.items()},
        events=[as_file_event(event) for event in events if event.frame >= int(state["frame"]) and is_cause(event)],
    )
    assert len(file.events) > 80
    frames = 2 * RATE
    rendered = np.concatenate(Performance(file).render(frames))[:frames]
    # where the rendering begins in the recording: the only place where a long piece of it fits exactly
    probe = rendered[: RATE // 10]
    starts = np.flatnonzero((heard[:-frames] == probe[0]).all(axis=1))
    fits = [start for start in starts if np.array_equal(heard[start : start + len(probe)], probe)]
    lost = np.isnan(heard).any(axis=1)
    assert fits or (lost.any() and pytest.skip("this machine lost audio cycles")), "its beginning is not in the recording"
    there = ~lost[fits[0] : fits[0] + frames]
    assert there.mean() > 0.9
    np.testing.assert_array_equal(rendered[there], heard[fits[0] : fits[0] + frames][there])


@pytest.mark.parametrize("backend", ["jack", "clock"])
def test_clips_come_and_go_without_a_page_fault_in_the_callback(server: str, tmp_path: Path, backend: str) -> None:
    engine = EngineBox(tmp_path / "data", Config.model_validate({"audio": {"connect": False}}))
    try:
        engine.start(backend, server)
        assert engine.process
        pid, box = engine.process.pid, engine.box
        thread = audio_thread(pid)
        box.values.set("/clock/quantize", "off")
        held = engine.clip(sine(1.0), bpm=120, beats=2)
        engine.load_pad(1, held)
        engine.do("/pad/1/trigger")
        time.sleep(0.5)
        before = page_faults(pid, thread)
        for turn in range(20):
            clip = engine.clip(np.tile(sine(1.0, 100 + turn), (5, 1)), bpm=120, beats=10)
            engine.load_pad(2, clip)
            engine.do("/pad/2/trigger")
            time.sleep(0.05)
            engine.do("/pad/2/cut")
            engine.load_pad(2, None)
            box.clips.retire(clip.handle)
        wait_for(lambda: box.clips.collect() is not None and len(box.clips.held) == 1, 10, "retired clips are given back")
        assert page_faults(pid, thread) - before == 0
        assert box.clips.table["state"][held.place] == ClipState.READY
        assert box.telemetry.snapshot()["pad"]["sounding"][0] == 1
    finally:
        engine.close()
