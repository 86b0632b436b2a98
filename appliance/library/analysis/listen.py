# SPDX-License-Identifier: GPL-3.0-or-later
"""One file from its first frame to its last, through everything that listens."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import soxr

from appliance.errors import BadFile
from appliance.library.analysis.key import KeyFinder
from appliance.library.analysis.loudness import LoudnessMeter
from appliance.library.analysis.onsets import RATE, OnsetDetector
from appliance.library.analysis.result import Analysis
from appliance.library.analysis.rhythm import LONGEST_S, find_rhythm
from appliance.library.analysis.told import told_tempos
from appliance.library.decode import decode_chunks, probe

_SHORTEST_DAMAGED_S = 10.0


def analyse(path: Path) -> Analysis:
    """Listen to a file. Damage further on ends it there, as it ends when it is played.

    Raises :class:`BadFile` for a file that cannot be read, or not for ten seconds.
    """
    info = probe(path)
    meter, onsets, keys = LoudnessMeter(info.rate), OnsetDetector(), KeyFinder()
    to_mono = soxr.ResampleStream(info.rate, RATE, 1, dtype="float32", quality="MQ")
    frames = 0
    try:
        for chunk in decode_chunks(path, info.rate):
            frames += len(chunk)
            meter.feed(chunk)
            mono = to_mono.resample_chunk(np.ascontiguousarray(chunk.mean(axis=1)))
            keys.feed(mono)
            if frames <= LONGEST_S * info.rate:
                onsets.feed(mono)
    except BadFile:
        if frames < _SHORTEST_DAMAGED_S * info.rate:
            raise
    rest = to_mono.resample_chunk(np.zeros(0, np.float32), last=True)
    keys.feed(rest)
    onsets.feed(rest)
    seconds = frames / info.rate
    rhythm = find_rhythm(onsets.onsets(), seconds, told_tempos(path))
    key, likeness = keys.key()
    loudness = meter.lufs()
    return Analysis(
        seconds=round(seconds, 4), grid=rhythm.grid if rhythm else None, steady=rhythm.steady if rhythm else True,
        beats=rhythm.beats if rhythm else 0.0, key=key, key_likeness=round(likeness, 3),
        loudness=round(loudness, 2) if math.isfinite(loudness) else None,
    )
