# SPDX-License-Identifier: GPL-3.0-or-later
"""What the picture hears: bands, levels, hits and accumulated time from the last moments of the master.

Everything is computed per hop of 512 frames on the engine's own frame counter, so the result depends neither on the
picture rate nor on when it is asked for: the same sound gives the same numbers. Pure numpy, no clock of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

WINDOW_FRAMES = 1024
HOP_FRAMES = 512
BINS = WINDOW_FRAMES // 2
BANDS = 64
HISTORY_HOPS = 43
"""Hops that a hit must stand out from: 0.46 s at 48 kHz, one beat at 130."""
KICK_HZ = (30.0, 160.0)
HAT_HZ = (6000.0, 20000.0)
PARTS_HZ = ((20.0, 160.0), (160.0, 2500.0), (2500.0, 20000.0))
"""What low, mid and high mean."""
GAIN_S = 12.0
"""Levels are told beside the loudest of about this long, so a quiet set moves the picture as a loud one does …"""
GAIN_FLOOR = np.array([0.02, 0.01, 0.005, 0.002])
"""… but nothing below these amplitudes is lifted to full: hum and hiss are not music."""
REFRACTORY_S = 0.1
"""No drum is hit twice within this time, but its spectrum may rise twice."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Listening:
    """What the engine told at one moment.

    `ring` is mono float32; its last sample is the frame before `frame`, the engine's frame counter. `beat` counts
    beats since the start (with fraction), `beats_per_bar` the metre, `bpm` the tempo.
    """

    ring: Floats
    frame: int
    rate_hz: float = 48000.0
    beat: float = 0.0
    beats_per_bar: float = 4.0
    bpm: float = 120.0
    playing: bool = False


@dataclass(frozen=True)
class Heard:
    """What scenes are told. Levels, hits and phases are 0…1; times in seconds; `beat` counts with fraction.

    `kick` and `hat` are 1 at a hit and fall to 0 within about 0.3 s; `kick_hit` and `hat_hit` are True in the one picture
    after it. `low_time`, `mid_time` and `high_time` run only while there is sound in that band. `bands` are 64
    logarithmic bands 0…1, `spectrum` 512 linear bins 0…1, `wave` the last 512 frames -1…1.
    """

    level: float = 0.0
    low: float = 0.0
    mid: float = 0.0
    high: float = 0.0
    kick: float = 0.0
    hat: float = 0.0
    kick_hit: bool = False
    hat_hit: bool = False
    low_time: float = 0.0
    mid_time: float = 0.0
    high_time: float = 0.0
    beat: float = 0.0
    beat_phase: float = 0.0
    bar_phase: float = 0.0
    phrase_phase: float = 0.0
    bpm: float = 120.0
    playing: bool = False
    bands: Floats = field(default_factory=lambda: np.zeros(BANDS, np.float32))
    spectrum: Floats = field(default_factory=lambda: np.zeros(BINS, np.float32))
    wave: Floats = field(default_factory=lambda: np.zeros(512, np.float32))


SILENCE = Heard()
BARS_IN_PHRASE = 8


class _Hits:
    """Finds the hits of one drum: log spectral flux that stands out from its last 43 hops."""

    def __init__(self, low_hz: float, high_hz: float, rate_hz: float) -> None:
        frequencies = np.fft.rfftfreq(WINDOW_FRAMES, 1 / rate_hz)[1:]
        self._bins = np.flatnonzero((frequencies > low_hz) & (frequencies < high_hz))
        self._before: Floats | None = None
        self._history: list[float] = []
        self._rest_hops = 0
        # A rise must amount to something in most of the drum's bins, or any click out of silence would be one.
        self._floor = 0.5 + 0.01 * self._bins.size
        self._refractory_hops = max(1, round(REFRACTORY_S * rate_hz / HOP_FRAMES))

    def hop(self, magnitudes: Floats) -> bool:
        """True when a drum was hit in this hop. `magnitudes` are of the plain FFT, 512 bins without the first."""
        loudness = np.log1p(10 * magnitudes[self._bins])
        flux = 0.0 if self._before is None else float(np.maximum(loudness - self._before, 0).sum())
        self._before = loudness
        past = np.array(self._history or [0.0])
        self._history = [*self._history[-(HISTORY_HOPS - 1) :], flux]
        self._rest_hops = max(0, self._rest_hops - 1)
        if self._rest_hops or flux <= past.mean() + 2.5 * past.std() + self._floor:
            return False
        self._rest_hops = self._refractory_hops
        return True


class Analysis:
    """Listens hop by hop; `hear` is called once a picture."""

    def __init__(self, rate_hz: float = 48000.0) -> None:
        self._start(rate_hz)

    def _start(self, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self._hop_s = HOP_FRAMES / rate_hz
        self._window = np.hanning(WINDOW_FRAMES).astype(np.float32)
        self._weights = _band_weights(rate_hz)
        frequencies = np.fft.rfftfreq(WINDOW_FRAMES, 1 / rate_hz)[1:]
        # Music falls about 3 dB an octave; lifted by as much above 200 Hz, its highs move the picture as its lows do.
        self._tilt = np.sqrt(np.maximum(frequencies / 200.0, 1.0)).astype(np.float32)
        self._kick = _Hits(*KICK_HZ, rate_hz)
        self._hat = _Hits(*HAT_HZ, rate_hz)
        self._hop = -1
        self._parts = [np.flatnonzero((frequencies >= low) & (frequencies < high)) for low, high in PARTS_HZ]
        self._levels = np.zeros(4)
        self._peaks = np.full(4, GAIN_FLOOR)
        self._bands = np.zeros(BANDS, np.float32)
        self._spectrum = np.zeros(BINS, np.float32)
        self._envelopes = np.zeros(2)
        self._times = np.zeros(3)

    def hear(self, listening: Listening) -> Heard:
        """Takes in all hops since the last call that the ring still holds, and tells what there is to see."""
        if listening.rate_hz != self.rate_hz or listening.frame < self._hop * HOP_FRAMES:
            self._start(listening.rate_hz)
        ring = np.clip(np.nan_to_num(np.asarray(listening.ring, np.float32), posinf=0.0, neginf=0.0), -4.0, 4.0)
        newest = listening.frame // HOP_FRAMES
        oldest = -(-(listening.frame - ring.size + WINDOW_FRAMES) // HOP_FRAMES)
        hits = np.zeros(2, bool)
        for hop in range(max(self._hop + 1, oldest), newest + 1):
            end = ring.size - (listening.frame - hop * HOP_FRAMES)
            hits |= self._take(ring[end - WINDOW_FRAMES : end])
        self._hop = newest
        return self._tell(listening, ring, hits)

    def _take(self, frames: Floats) -> NDArray[np.bool_]:
        magnitudes = np.abs(np.fft.rfft(frames * self._window))[1:].astype(np.float32)
        hits = np.array([self._kick.hop(magnitudes), self._hat.hop(magnitudes)])
        # 0 dBFS sine has a magnitude of a quarter of the window's length under a Hann window.
        shown = _unit_db(magnitudes * self._tilt * (4.0 / WINDOW_FRAMES))
        self._spectrum = _follow(self._spectrum, shown, self._hop_s, 0.005, 0.12)
        self._bands = _follow(self._bands, self._weights @ shown, self._hop_s, 0.005, 0.15)
        power = np.square(magnitudes * (4.0 / WINDOW_FRAMES))
        amplitudes = np.sqrt([power.sum(), *(power[part].sum() for part in self._parts)])
        self._peaks = np.maximum(self._peaks * np.exp(-self._hop_s / GAIN_S), np.maximum(amplitudes, GAIN_FLOOR))
        self._levels = _follow(self._levels, amplitudes / self._peaks, self._hop_s, 0.010, 0.20)
        self._envelopes = np.where(hits, 1.0, self._envelopes * np.exp(-self._hop_s / 0.09))
        self._times += self._levels[1:] * self._hop_s
        return hits

    def _tell(self, listening: Listening, ring: Floats, hits: NDArray[np.bool_]) -> Heard:
        level, low, mid, high = (float(v) for v in self._levels)
        beat = listening.beat if np.isfinite(listening.beat) else 0.0
        bar = beat / max(listening.beats_per_bar, 1.0)
        wave = ring[-512:] if ring.size >= 512 else np.zeros(512, np.float32)
        return Heard(
            level, low, mid, high,
            float(self._envelopes[0]), float(self._envelopes[1]), bool(hits[0]), bool(hits[1]),
            float(self._times[0]), float(self._times[1]), float(self._times[2]),
            beat, beat % 1.0, bar % 1.0, bar / BARS_IN_PHRASE % 1.0, listening.bpm, listening.playing,
            self._bands.copy(), self._spectrum.copy(), wave.copy(),
        )  # fmt: skip


def _band_weights(rate_hz: float) -> Floats:
    """64 × 512: each band's share of the bins between its edges, or of the two bins around it where it is narrower."""
    edges = np.geomspace(40.0, min(16000.0, rate_hz / 2 * 0.95), BANDS + 1) / (rate_hz / WINDOW_FRAMES) - 1
    bins = np.arange(BINS)
    weights = np.zeros((BANDS, BINS), np.float32)
    for band, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        centre, reach = (low + high) / 2, max(1.0, (high - low) / 2)
        weights[band] = np.maximum(0.0, 1.0 - np.abs(bins - max(centre, 0.0)) / reach)
    return weights / weights.sum(axis=1, keepdims=True)


def _unit_db(amplitude: Floats | np.float32) -> Floats:
    """-60…0 dBFS as 0…1."""
    return np.clip(1.0 + np.log10(np.maximum(amplitude, 1e-6)) / 3.0, 0.0, 1.0).astype(np.float32)


def _follow(now: NDArray[Any], then: NDArray[Any], step_s: float, attack_s: float, release_s: float) -> NDArray[Any]:
    """One step of an envelope with time constants for rising and falling."""
    rise, fall = 1 - np.exp(-step_s / attack_s), 1 - np.exp(-step_s / release_s)
    return (now + (then - now) * np.where(then > now, rise, fall)).astype(now.dtype)
