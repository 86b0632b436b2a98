# SPDX-License-Identifier: GPL-3.0-or-later
"""Drum voices by synthesis. Each function returns one hit, float32, peak near 1, mono (n,) or stereo (2, n)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.gen.backends.procedural.shaping import attack_decay, band_noise, sweep_hz
from appliance.gen.maths import decay, noise, saturate, sin_turns

Samples = NDArray[np.float32]
#: Ratios of the six square oscillators that make the metal of a cymbal.
_METAL = (1.0, 1.483, 1.801, 2.546, 2.631, 3.897)


def kick(rng: np.random.Generator, sample_rate: int, end_hz: float, punch: float, drive: float) -> Samples:
    """A sine that falls to ``end_hz``, with a click. ``punch`` 0…1 sets height and speed of the fall."""
    frames = int((0.30 + 0.1 * float(rng.random())) * sample_rate)
    body = sin_turns(sweep_hz(frames, 170 + 190 * punch, end_hz, 0.010 + 0.008 * (1 - punch), sample_rate))
    body = body.astype(np.float32) * attack_decay(frames, 0.0004, 0.065, sample_rate, 0.03)
    snap = int(0.012 * sample_rate)
    click = band_noise(rng, 1, snap, 1500, min(8000, 0.4 * sample_rate), sample_rate)[0]
    body[:snap] += click * attack_decay(snap, 0.0003, 0.0012, sample_rate) * np.float32(0.5 + 0.4 * punch)
    return saturate(body * np.float32(1.1 + 1.6 * drive)).astype(np.float32)


def clap(rng: np.random.Generator, sample_rate: int, tone: float) -> Samples:
    """Three short bursts and a tail of band noise, a little different on both sides."""
    frames = int(0.22 * sample_rate)
    centre = 950 + 700 * tone
    sound = band_noise(rng, 2, frames, centre * 0.7, min(centre * 2.6, 0.42 * sample_rate), sample_rate)
    envelope = np.zeros(frames, np.float32)
    for start_s, level, half_life in ((0.0, 0.8, 0.003), (0.0095, 0.7, 0.003), (0.0195, 1.0, 0.028)):
        start = int(start_s * sample_rate)
        envelope[start:] += level * attack_decay(frames - start, 0.0006, half_life, sample_rate)
    return sound * envelope * np.float32(1.8)


def rim(rng: np.random.Generator, sample_rate: int, tone: float) -> Samples:
    """Two short inharmonic sines and a click: a stick on the edge of a drum."""
    frames = int(0.06 * sample_rate)
    turns = np.arange(frames) / sample_rate
    low = 430 + 160 * tone
    body = sin_turns(turns * low) * decay(frames, 0.006, sample_rate)
    body += sin_turns(turns * low * 3.86) * decay(frames, 0.004, sample_rate) * 0.7
    body += noise(rng, frames) * decay(frames, 0.0012, sample_rate) * 0.5
    return (body * attack_decay(frames, 0.0003, 0.02, sample_rate)).astype(np.float32)


def hat(rng: np.random.Generator, sample_rate: int, half_life_s: float, tone: float, seconds: float) -> Samples:
    """Metal (six square waves' upper harmonics) and air (noise above 7 kHz); stereo by two noises."""
    frames = int(seconds * sample_rate)
    top = min(16_000.0, 0.45 * sample_rate)
    base = 480 + 220 * tone
    turns = np.arange(frames) / sample_rate
    metal = np.zeros(frames)
    for ratio in _METAL:
        harmonic = 1
        while base * ratio * harmonic < top:
            hz = base * ratio * harmonic
            if hz > 5200 and harmonic % 2:
                metal += sin_turns(turns * hz + float(rng.random())) * (6.0 / harmonic)
            harmonic += 2
    level = float(np.sqrt(np.mean(metal * metal)))
    metal *= 0.28 / max(level, 1e-6)
    air = band_noise(rng, 2, frames, min(7200 + 1500 * tone, 0.3 * sample_rate), top, sample_rate)
    sound = (air * np.float32(0.8) + metal.astype(np.float32) * np.float32(0.75)).astype(np.float32, copy=False)
    sound *= attack_decay(frames, 0.0005, half_life_s, sample_rate, min(0.02, seconds / 3))
    return sound


def shaker(rng: np.random.Generator, sample_rate: int, tone: float) -> Samples:
    """A soft grain of noise around 6 kHz."""
    frames = int(0.075 * sample_rate)
    sound = band_noise(rng, 2, frames, min(4200 + 1500 * tone, 0.25 * sample_rate), min(9500, 0.42 * sample_rate), sample_rate)
    return sound * attack_decay(frames, 0.014, 0.014, sample_rate, 0.02)


def conga(rng: np.random.Generator, sample_rate: int, hz: float, slap: float) -> Samples:
    """A tuned skin: a sine that falls a little, a second mode, and the hand."""
    frames = int(0.26 * sample_rate)
    phase = sweep_hz(frames, hz * 1.35, hz, 0.014, sample_rate)
    body = sin_turns(phase) * decay(frames, 0.042, sample_rate)
    body += sin_turns(phase * 1.59) * decay(frames, 0.016, sample_rate) * 0.45
    hand = int(0.02 * sample_rate)
    body[:hand] += band_noise(rng, 1, hand, 700, 4200, sample_rate)[0] * decay(hand, 0.003, sample_rate) * slap
    return (body * attack_decay(frames, 0.0008, 0.2, sample_rate, 0.03)).astype(np.float32) * np.float32(0.8)


def blip(sample_rate: int, hz: float, ratio: float, index: float) -> Samples:
    """A short metallic FM drop."""
    frames = int(0.12 * sample_rate)
    turns = np.arange(frames) / sample_rate
    depth = decay(frames, 0.012, sample_rate) * (index / 6.2832)
    body = sin_turns(turns * hz + depth * sin_turns(turns * hz * ratio))
    return (body * attack_decay(frames, 0.0006, 0.022, sample_rate, 0.02)).astype(np.float32) * np.float32(0.7)
