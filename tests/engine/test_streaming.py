# SPDX-License-Identifier: GPL-3.0-or-later
"""Clips of which only windows are in memory: the same sound where they are, silence elsewhere, and no touch outside."""

from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys

import numpy as np
import pytest

from appliance.bus import layout
from appliance.bus.streamfile import BLOCK_BYTES, BLOCK_FRAMES
from appliance.engine.backends.offline import OfflineEngine
from appliance.engine.dsp.windows import STREAMS, WINDOWS
from tests.signals import RATE

SECONDS = 20.0
PROT_NONE = 0


def noise() -> np.ndarray:
    return (0.2 * np.random.default_rng(5).standard_normal((round(SECONDS * RATE), 2))).astype(np.float32)


class Streaming:
    """An engine off line with a clip on deck 1 of which only ``windows`` (s) are there; the rest cannot even be read."""

    def __init__(self, windows: list[tuple[float, float]] | None) -> None:
        self.engine = OfflineEngine()
        self.clip = self.engine.load(noise())
        self.engine.load_deck(1, self.clip)
        if windows is None:
            return
        blocks = -(-self.clip.frames // BLOCK_FRAMES)
        self.map = mmap.mmap(-1, blocks * BLOCK_BYTES)
        bytes_ = np.frombuffer(self.map, np.uint8)
        bytes_[: self.clip.frames * 8] = self.clip.audio.reshape(-1).view(np.uint8)
        self.address = int(bytes_.ctypes.data)
        self.words = np.zeros((layout.CLIPS, WINDOWS), np.int64)
        self.engine.context["windows"] = self.words.ctypes.data
        self.engine.context["clip_address"][0, self.clip.place] = self.address | STREAMS
        self.there = np.zeros(blocks, bool)
        for place, (begin, end) in enumerate(windows):
            first, last = int(begin * RATE) // BLOCK_FRAMES, min(-(-int(end * RATE) // BLOCK_FRAMES), blocks)
            self.words[self.clip.place, 2 * place + 1] = first << 32 | last
            self.there[first:last] = True
        libc = ctypes.CDLL(None)
        for block in np.flatnonzero(~self.there):
            libc.mprotect(ctypes.c_void_p(self.address + int(block) * BLOCK_BYTES), ctypes.c_size_t(BLOCK_BYTES), PROT_NONE)


def perform(windows: list[tuple[float, float]] | None, seed: int = 0) -> np.ndarray:
    """A busy minute on the deck: jumps anywhere, loops, backwards, odd speeds."""
    streaming = Streaming(windows)
    engine, out, rng = streaming.engine, [], np.random.default_rng(seed)
    engine.do("/deck/1/play")
    for _ in range(150):
        what = rng.integers(8)
        if what < 3:
            engine.do("/deck/1/seek", float(rng.random()))
        elif what < 4:
            engine.set("/deck/1/loop/beats", float(rng.choice([1 / 32, 1 / 4, 1, 4])))
            engine.do("/deck/1/loop/auto", float(rng.integers(2)))
        elif what < 5:
            engine.do("/deck/1/loop/reloop")
        elif what < 6:
            engine.set("/deck/1/reverse", bool(rng.integers(2)))
        elif what < 7:
            engine.set("/deck/1/rate", float(rng.choice([1.0, 0.7, 1.31])))
        else:
            engine.do("/deck/1/play", 1.0)
        out.append(engine.run(int(rng.integers(2000, 30000)), 128))
    return np.concatenate(out)


_PERFORM = """
from tests.engine.test_streaming import perform
import numpy as np
for seed in range(4):
    out = perform({windows}, seed)
    assert np.isfinite(out).all() and bool(np.abs(out).max() > 0.1) is {heard}
"""


def test_with_all_of_it_there_it_is_the_same_sound_to_the_bit() -> None:
    plain = perform(None)
    assert np.abs(plain).max() > 0.1
    np.testing.assert_array_equal(perform([(0, SECONDS)]), plain)


@pytest.mark.parametrize("windows", [[(0, 2)], [(3, 6), (9, 9.5), (15, 17)], []])
def test_what_is_not_there_is_never_touched(windows: list[tuple[float, float]]) -> None:
    """The memory outside the windows cannot be read: a touch ends the process."""
    code = _PERFORM.format(windows=windows, heard=bool(windows))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:] or f"ended by signal {-done.returncode}"


def test_the_playhead_moves_on_unheard_and_comes_back_without_a_click() -> None:
    streaming = Streaming([(4, 6)])
    engine = streaming.engine
    engine.do("/deck/1/play")
    engine.do("/deck/1/seek", 3.5 / SECONDS)
    out = engine.run(2 * RATE, 128)[:, 0]
    first = int(streaming.there.argmax()) * BLOCK_FRAMES - round(3.5 * RATE)
    assert not out[: first - 64].any(), "what is not there is silent"
    plain = Streaming(None).engine
    plain.do("/deck/1/play")
    plain.do("/deck/1/seek", 3.5 / SECONDS)
    heard = plain.run(2 * RATE, 128)[:, 0]
    np.testing.assert_array_equal(out[first + 1000 :], heard[first + 1000 :])  # where it would be had all been heard
    rise = np.abs(out[first - 64 : first + 300])
    assert rise[:100].max() < 0.5 * rise[200:].max(), "it fades in"
