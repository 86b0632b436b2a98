# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance bench library``: how fast files become clips, and clips are stored and found."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile as sf

from appliance.gen.stems.filters import separate
from appliance.library.analysis.listen import analyse_frames
from appliance.library.decode import decode, probe
from appliance.library.store import AudioStore
from benchmarks.report import Row

RATE = 48000
SECONDS = 60.0


def rows() -> list[Row]:
    rng = np.random.default_rng(1)
    audio = (0.1 * rng.standard_normal((round(SECONDS * RATE), 2))).astype(np.float32)
    made: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, rate, subtype in (("wav", RATE, "FLOAT"), ("flac", 44100, "PCM_16"), ("ogg", RATE, "VORBIS"),
                                    ("mp3", RATE, "MPEG_LAYER_III")):
            path = folder / f"a.{kind}"
            with sf.SoundFile(path, "w", rate, 2, subtype) as file:  # in pieces: the Vorbis encoder's stack is small
                for at in range(0, len(audio), RATE):
                    file.write(audio[at : at + RATE])
            limit = None if rate == RATE else 40.0
            peer = SECONDS / _seconds(lambda path=path: sf.read(path, dtype="float32"))
            speed = SECONDS / _seconds(lambda path=path: decode(path, RATE))
            made.append(Row(f"decode_{kind}_x_realtime", speed, "×", limit, peer, at_least=True))
        made.append(Row("probe_ms", 1e3 * _seconds(lambda: probe(folder / "a.flac")), "ms", 5.0))
        made.append(Row("analyse_ms_per_minute", 1e3 * 60.0 / SECONDS * _seconds(lambda: analyse_frames(audio, RATE)), "ms"))
        made.append(Row("stems_x_realtime", 10.0 / _seconds(lambda: separate(audio[: 10 * RATE], RATE), 1), "×", at_least=True))
        store, loop = AudioStore(folder / "data"), audio[: 8 * RATE]
        made.append(Row("store_put_ms", 1e3 * _seconds(lambda: store.put(loop, RATE, name="a", role="drums", bpm=120.0)), "ms"))
        store.close()
    return made


def _seconds(work: Callable[[], object], times: int = 3) -> float:
    """The quickest of a few."""
    taken: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)
