# SPDX-License-Identifier: GPL-3.0-or-later
"""MIDI clock out on a real JACK port, as a second client hears it: each tick at its frame."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.bus.events import Kind
from appliance.errors import Unavailable
from benchmarks.boxes import EngineBox, jack_server
from tests.signals import RATE

jackgear = pytest.importorskip("tests.jackgear", reason="the JACK library is not installed")

TICK, BPM = 0xF8, 127.3


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[EngineBox, str]]:
    made = EngineBox(tmp_path / "data")
    made.box.config.audio.connect = False
    try:
        with jack_server(f"clockout-{os.getpid()}") as server:
            try:
                made.box.values.set("/clock/bpm", BPM)
                made.start("jack", server)
                yield made, server
            finally:
                made.close()
    except Unavailable as error:
        pytest.skip(error.message)


def jitter_frames(live: tuple[EngineBox, str], seconds: float) -> tuple[np.ndarray, int]:
    """Of each tick: by how many frames it came off the grid of the first one; and how many cycles the machine lost."""
    box, server = live
    listener = jackgear.MidiListener(server, round(seconds * BPM / 60 * 24) + 1000)
    lost = 0
    try:
        listener.listen("appliance-a:clock_out")
        time.sleep(0.3)
        begin = len(listener.heard)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.5)
            lost += sum(event.kind == Kind.JUMP for event in box.box.events.read())
        heard = listener.heard[begin:]
    finally:
        listener.close()
    at = heard[heard[:, 1] == TICK, 0]
    length = 60 * RATE / BPM / 24
    place = (at - at[0]) / length
    ideal = np.round(place) * length
    # which fraction of a frame the first one stood for is not heard: the grid lies within one frame
    off = at - at[0] - ideal
    return np.floor(off - off.min() + 1e-6), lost


def judge(off: np.ndarray, lost: int, seconds: float) -> None:
    print(f"{len(off)} ticks in {seconds:.0f} s, jitter {off.max():.0f} frames, {lost} lost cycles")
    assert len(off) == pytest.approx(seconds * BPM / 60 * 24, abs=30 + 3 * lost)
    assert set(off) == {0.0}


def test_ticks_come_out_at_their_frames(live: tuple[EngineBox, str]) -> None:
    judge(*jitter_frames(live, 6), 6)


@pytest.mark.soak
def test_ten_minutes_of_ticks(live: tuple[EngineBox, str]) -> None:
    judge(*jitter_frames(live, 600), 600)
