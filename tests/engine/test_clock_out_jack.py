# SPDX-License-Identifier: GPL-3.0-or-later
"""MIDI clock out on a real JACK port, as a second client hears it: each tick at its frame."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from benchmarks.boxes import EngineBox
from tests.servers import jack_or_skip
from tests.signals import RATE

jackgear = pytest.importorskip("tests.jackgear", reason="the JACK library is not installed")

TICK, BPM = 0xF8, 127.3


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[EngineBox, str]]:
    with jack_or_skip("clockout") as server, closing(EngineBox(tmp_path / "data")) as made:
        made.box.config.audio.connect = False
        made.box.values.set("/clock/bpm", BPM)
        made.start("jack", server)
        yield made, server


def jitter_frames(live: tuple[EngineBox, str], seconds: float) -> tuple[np.ndarray, int]:
    """Of each tick whose time is known: by how many frames it came off the grid of the first one; and how many came in all."""
    _box, server = live
    listener = jackgear.MidiListener(server, seconds + 5)
    try:
        listener.listen("appliance-a:clock_out")
        time.sleep(0.3)
        begin, came = len(listener.heard), int(listener.words[10])
        time.sleep(seconds)
        came = int(listener.words[10]) - came
        heard = listener.heard[begin:]
    finally:
        listener.close()
    at = heard[heard[:, 1] == TICK, 0]
    length = 60 * RATE / BPM / 24
    place = (at - at[0]) / length
    ideal = np.round(place) * length
    # which fraction of a frame the first one stood for is not heard: the grid lies within one frame
    off = at - at[0] - ideal
    return np.floor(off - off.min() + 1e-6), came


def judge(off: np.ndarray, came: int, seconds: float) -> None:
    """Ticks come, but for those of cycles that this machine has lost; each whose time is known is where it belongs."""
    sent = seconds * BPM / 60 * 24
    print(f"{came} of {sent:.0f} ticks in {seconds:.0f} s, {len(off)} with a time, jitter {off.max():.0f} frames")
    assert 0.95 * sent < came < sent + 10
    if len(off) < 0.2 * sent:
        pytest.skip("this machine loses too many audio cycles")
    assert set(off) == {0.0}


def test_ticks_come_out_at_their_frames(live: tuple[EngineBox, str]) -> None:
    judge(*jitter_frames(live, 6), 6)


@pytest.mark.soak
def test_ten_minutes_of_ticks(live: tuple[EngineBox, str]) -> None:
    judge(*jitter_frames(live, 600), 600)
