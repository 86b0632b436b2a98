# SPDX-License-Identifier: GPL-3.0-or-later
"""One clip from its first frame to its last, through everything that listens."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import soxr

from appliance.errors import BadFile
from appliance.library.analysis.embedding import embedding
from appliance.library.analysis.energy import energy, energy_curve
from appliance.library.analysis.key import KeyFinder
from appliance.library.analysis.loudness import LoudnessMeter
from appliance.library.analysis.onsets import RATE, OnsetDetector
from appliance.library.analysis.result import VERSION, Analysis
from appliance.library.analysis.rhythm import LONGEST_S, find_rhythm
from appliance.library.analysis.spectrum import SpectrumMeter
from appliance.library.analysis.told import told_tempos
from appliance.library.analysis.waveform import Waveform, packed
from appliance.library.decode import CHUNK_FRAMES, Samples, decode_chunks, probe

_SHORTEST_DAMAGED_S = 10.0


def analyse(path: Path) -> Analysis:
    """Listen to a file. Damage further on ends it there, as it ends when it is played.

    Raises :class:`BadFile` for a file that cannot be read, or not for ten seconds.
    """
    info = probe(path)
    listener = Listener(info.rate)
    try:
        for chunk in decode_chunks(path, info.rate):
            listener.feed(chunk)
    except BadFile:
        if listener.seconds < _SHORTEST_DAMAGED_S:
            raise
    return listener.analysis(told_tempos(path))


def analyse_frames(audio: Samples, rate: int, hints: tuple[float, ...] = ()) -> Analysis:
    """Listen to (frames, 2) float32 at ``rate`` Hz. ``hints``: tempos in BPM that it may have."""
    listener = Listener(rate)
    for begin in range(0, len(audio), CHUNK_FRAMES):
        listener.feed(audio[begin : begin + CHUNK_FRAMES])
    return listener.analysis(hints)


class Listener:
    """Feed (n, 2) float32 at ``rate`` Hz; ``analysis`` at the end, once."""

    def __init__(self, rate: int) -> None:
        self._rate, self._frames = rate, 0
        self._meter, self._onsets, self._keys = LoudnessMeter(rate), OnsetDetector(), KeyFinder()
        self._spectrum, self._waveform = SpectrumMeter(), Waveform()
        self._to_mono = soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality="MQ")

    @property
    def seconds(self) -> float:
        return self._frames / self._rate

    def feed(self, audio: Samples) -> None:
        self._frames += len(audio)
        self._meter.feed(audio)
        self._hear(audio, self._to_mono.resample_chunk(0.5 * (audio[:, 0] + audio[:, 1])))

    def _hear(self, audio: Samples, mono: np.ndarray) -> None:
        self._keys.feed(mono)
        self._spectrum.feed(mono)
        self._waveform.feed(audio, mono)
        if self._frames <= LONGEST_S * self._rate:
            self._onsets.feed(mono)

    def analysis(self, hints: tuple[float, ...]) -> Analysis:
        self._hear(np.zeros((0, 2), np.float32), self._to_mono.resample_chunk(np.zeros(0, np.float32), last=True))
        self._spectrum.finish()
        onsets = self._onsets.onsets()
        rhythm = find_rhythm(onsets, self.seconds, hints)
        grid = rhythm.grid if rhythm else None
        key, likeness = self._keys.key()
        lufs = self._meter.lufs()
        loudness = round(lufs, 2) if math.isfinite(lufs) else None
        balance = self._spectrum.balance()
        vector = embedding(*self._spectrum.timbre(), onsets, grid, self._keys.chroma)
        return Analysis(
            version=VERSION, seconds=round(self.seconds, 4), grid=grid, steady=rhythm.steady if rhythm else True,
            beats=rhythm.beats if rhythm else 0.0, key=key, key_likeness=round(likeness, 3), loudness=loudness,
            energy=round(energy(loudness, onsets, balance), 1), energy_curve=energy_curve(self._meter.tenths()),
            balance=tuple(round(share, 4) for share in balance),
            embedding=tuple(round(float(value), 5) for value in vector) if vector.any() else (),
            waveform=packed(self._waveform.columns()),
        )  # fmt: skip
