# SPDX-License-Identifier: GPL-3.0-or-later
"""Events files: the same off line as live, from any moment of a set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from appliance.bus.commit import committed
from appliance.bus.enginestate import freeze
from appliance.bus.eventfile import ClipFile, EventFile, FileEvent
from appliance.engine.backends.offline import OfflineEngine
from appliance.engine.dsp.limiter import LOOK_AHEAD_FRAMES as DELAY
from appliance.errors import ApplianceError, BadFile
from appliance.rendering import Performance, render_file
from tests.signals import RATE, onset, sine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sf.write(tmp_path / "a.wav", sine(2.0, 220), RATE, "FLOAT")
    sf.write(tmp_path / "b.wav", sine(2.0, 330), RATE, "FLOAT")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "EVENTS.yaml"
    path.write_text(text)
    return path


def test_a_file_written_by_hand(folder: Path) -> None:
    events = write(folder, """
rate: 48000
values: {/clock/bpm: 120, /clock/quantize: off}
clips: {loop: {file: a.wav, bpm: 120, beats: 4}}
pads: {/pad/1: loop}
length: {beat: 8}
events:
- {beat: 1, address: /pad/1/trigger}
- {at: 2.0, address: /deck/2/load, args: [b.wav]}
- {at: 2.0, address: /deck/2/play}
- {beat: 6, address: /pad/1/gain, value: -60}
""")
    assert "4.0 s" in render_file(events, folder / "out.wav")
    heard, rate = sf.read(folder / "out.wav", dtype="float32")
    assert (rate, len(heard)) == (RATE, 4 * RATE)
    assert onset(heard) in (RATE // 2 + DELAY, RATE // 2 + DELAY + 1)
    late = heard[3 * RATE + 4800 : 3 * RATE + 9600]
    np.testing.assert_allclose(late, sine(2.0, 330)[RATE + 4800 - DELAY :][:4800], atol=1e-6)
    render_file(events, folder / "again.wav")
    np.testing.assert_array_equal(sf.read(folder / "again.wav", dtype="float32")[0], heard)  # the header holds a time stamp


@pytest.mark.parametrize(("text", "says"), [
    ("events: [{beat: 0, address: /pad/1/triger}]", "did you mean"),
    ("events: [{address: /pad/1/trigger}]", "frame, at, beat"),
    ("pads: {/pad/1: missing.wav}\nevents: []", "missing.wav"),
    ("events: [{beat: 0, address: /mixer/crossfader}]", "which value"),
    ("values: {/deck/1/rate: .nan}\nevents: []", "finite"),
    ("- 1", "tree"),
    ("events: {", "not YAML"),
])
def test_a_broken_file_says_what_is_wrong(folder: Path, text: str, says: str) -> None:
    with pytest.raises(ApplianceError, match=says) as caught:
        render_file(write(folder, text), folder / "out.wav")
    assert "\n" not in caught.value.message
    assert "EVENTS.yaml" in caught.value.message


def test_a_missing_events_file(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="no such events file"):
        render_file(tmp_path / "none.yaml", tmp_path / "out.wav")


def test_from_the_middle_of_a_set_it_goes_on_bit_for_bit(folder: Path) -> None:
    """What an engine plays after a moment equals what its state at that moment renders."""
    engine = OfflineEngine()
    clips = {name: engine.load(sf.read(folder / f"{name}.wav", dtype="float32")[0], bpm=120, beats=4) for name in "ab"}
    engine.set("/clock/bpm", 133.7)
    engine.set("/channel/5/low", -20)
    engine.set("/mixer/master", 6)
    for pad, name in ((1, "a"), (2, "b"), (3, "b")):
        engine.load_pad(pad, clips[name])
        engine.do(f"/pad/{pad}/trigger", frame=pad * 4001)
    engine.load_deck(1, clips["a"])
    engine.do("/deck/1/play")
    engine.run(3 * RATE + 37, 96)
    state = committed(engine.segment).copy()[0]
    file = EventFile(
        rate=RATE, start_frame=engine.frame,
        clips={name: ClipFile(file=str(folder / f"{name}.wav"), bpm=120, beats=4) for name in "ab"},
        state=freeze(engine.segment, state, {clip.handle: name for name, clip in clips.items()}),
        events=[FileEvent(frame=engine.frame + 5000, address="/pad/2/trigger", args=[1.0]),
                FileEvent(frame=engine.frame + 7001, address="/channel/5/filter", value=-0.7)],
    )
    file.save(folder / "EVENTS.yaml")
    engine.do("/pad/2/trigger", frame=engine.frame + 5000)
    from appliance.bus.commands import Code
    from appliance.nodes import NAMESPACE

    engine.commands.send(Code.SET, NAMESPACE.find("/channel/5/filter").slot, -0.7, frame=engine.frame + 7001)
    live = engine.run(2 * RATE, 128)[:, :2]
    rendered = np.concatenate(Performance(EventFile.load(folder / "EVENTS.yaml")).render(2 * RATE))
    assert np.abs(live).max() > 0.3
    np.testing.assert_array_equal(rendered, live)


def test_what_happens_right_after_lost_cycles_is_on_time(folder: Path) -> None:
    """The jump over lost cycles stands at the frame where they begin; a change in the next block was heard in that block."""
    from appliance.bus.commands import Code
    from appliance.nodes import NAMESPACE

    lost, fader = 4800, NAMESPACE.find("/channel/1/fader").slot
    engine = OfflineEngine()
    engine.load_deck(1, engine.load(sf.read(folder / "a.wav", dtype="float32")[0]))
    engine.do("/deck/1/play")
    before = engine.run(1024, 128)
    engine.commands.send(Code.SKIP, 0, float(lost))
    engine.commands.send(Code.SET, fader, 0.3, frame=1024 + lost + 5)
    live = np.concatenate([before, engine.run(4096, 128)])[:, :2]
    file = EventFile(rate=RATE, clips={"a": ClipFile(file=str(folder / "a.wav"))}, decks={"/deck/1": "a"}, events=[
        FileEvent(frame=0, address="/deck/1/play", value=1), FileEvent(frame=1024, address="skip", value=lost),
        FileEvent(frame=1024 + lost + 5, address="/channel/1/fader", value=0.3)])
    performance = Performance(file)
    pieces = performance.render(1024) + performance.render(4096 + lost)
    np.testing.assert_array_equal(np.concatenate(pieces)[: len(live)], live)
