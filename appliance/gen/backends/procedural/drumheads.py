# SPDX-License-Identifier: GPL-3.0-or-later
"""Skins, wood and metal: the sounds of acoustic kits and of hand percussion. One hit, float32, peak near 1, mono or stereo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.gen.backends.procedural.shaping import attack_decay, band_noise, sweep_hz
from appliance.gen.maths import decay, noise, saturate, sin_turns

Samples = NDArray[np.float32]


def beater(rng: np.random.Generator, sample_rate: int, hz: float, tone: float) -> Samples:
    """The bass drum of a kit: a felt beater on a damped skin, 2 modes, and its click."""
    frames = int(0.24 * sample_rate)
    phase = sweep_hz(frames, hz * 2.3, hz, 0.012, sample_rate)
    body = sin_turns(phase) * decay(frames, 0.045, sample_rate)
    body += sin_turns(phase * 1.72) * decay(frames, 0.018, sample_rate) * 0.35
    snap = int(0.02 * sample_rate)
    click = band_noise(rng, 1, snap, 900, 4500, sample_rate)[0] * decay(snap, 0.0022, sample_rate)
    body[:snap] += click * (0.6 + 0.8 * tone)
    return saturate(body * 1.5).astype(np.float32) * attack_decay(frames, 0.0005, 0.3, sample_rate, 0.04)


def boom(sample_rate: int, hz: float, seconds: float) -> Samples:
    """The long kick of an 808: a sine that hardly falls and rings."""
    frames = int(seconds * sample_rate)
    body = sin_turns(sweep_hz(frames, hz * 2.6, hz, 0.016, sample_rate))
    body = saturate(body * 1.3).astype(np.float32)
    return body * attack_decay(frames, 0.0008, seconds * 0.28, sample_rate, 0.05)


def snare(rng: np.random.Generator, sample_rate: int, hz: float, rattle_s: float, tone: float) -> Samples:
    """Two modes of a skin at ``hz`` and the wires below it, which rattle with a half-life of ``rattle_s``; stereo."""
    frames = int((0.10 + 5.0 * rattle_s) * sample_rate)
    phase = sweep_hz(frames, hz * 1.5, hz, 0.008, sample_rate)
    body = sin_turns(phase) * decay(frames, 0.024, sample_rate) * 0.7
    body += sin_turns(phase * 1.77) * decay(frames, 0.014, sample_rate) * 0.4
    wires = band_noise(rng, 2, frames, 1300 + 700 * tone, min(6500 + 4500 * tone, 0.42 * sample_rate), sample_rate)
    wires *= attack_decay(frames, 0.0008, rattle_s, sample_rate, 0.02) * np.float32(1.9)
    stick = int(0.01 * sample_rate)
    wires[:, :stick] += noise(rng, 2, stick) * decay(stick, 0.0012, sample_rate) * np.float32(0.6)
    return saturate(wires + body.astype(np.float32) * attack_decay(frames, 0.0004, 0.2, sample_rate, 0.02))


def tom(rng: np.random.Generator, sample_rate: int, hz: float) -> Samples:
    """A tom: a skin that falls a third, with a soft stick."""
    frames = int(0.42 * sample_rate)
    phase = sweep_hz(frames, hz * 1.4, hz, 0.03, sample_rate)
    body = sin_turns(phase) * decay(frames, 0.085, sample_rate)
    body += sin_turns(phase * 1.59) * decay(frames, 0.035, sample_rate) * 0.4
    stick = int(0.02 * sample_rate)
    body[:stick] += band_noise(rng, 1, stick, 600, 3500, sample_rate)[0] * decay(stick, 0.003, sample_rate)
    return (body * attack_decay(frames, 0.0008, 1.0, sample_rate, 0.06)).astype(np.float32) * np.float32(0.85)


def timpani(rng: np.random.Generator, sample_rate: int, hz: float) -> Samples:
    """A kettle drum: the preferred modes of a loaded membrane, 1 : 1.5 : 1.98 : 2.44 (Rossing 1982), and a felt head."""
    frames = int(1.3 * sample_rate)
    turns = np.arange(frames) * (hz / sample_rate)
    body = np.zeros(frames)
    for ratio, level, half_life_s in ((1.0, 1.0, 0.28), (1.5, 0.6, 0.34), (1.98, 0.35, 0.2), (2.44, 0.2, 0.14)):
        body += sin_turns(turns * ratio + level) * decay(frames, half_life_s, sample_rate) * level
    thump = int(0.08 * sample_rate)
    body[:thump] += band_noise(rng, 1, thump, 60, 700, sample_rate)[0] * decay(thump, 0.012, sample_rate) * 1.5
    return (body * attack_decay(frames, 0.003, 2.0, sample_rate, 0.3)).astype(np.float32) * np.float32(0.55)


def cymbal(rng: np.random.Generator, sample_rate: int, half_life_s: float, ping: float, seconds: float) -> Samples:
    """A ride (``ping`` towards 1) or a crash (towards 0): air and a dozen partials without a common root; stereo."""
    frames = int(seconds * sample_rate)
    top = min(15_000.0, 0.45 * sample_rate)
    air = band_noise(rng, 2, frames, 3000 + 2500 * ping, top, sample_rate)
    air *= attack_decay(frames, 0.001, half_life_s, sample_rate, seconds / 3) * np.float32(1.4 - 0.9 * ping)
    turns = np.arange(frames, dtype=np.float32) * np.float32(1.0 / sample_rate)
    metal = np.zeros(frames, np.float32)
    for number in range(8):
        hz = 2700.0 + 780.0 * number + 300.0 * float(rng.random())
        metal += sin_turns(turns * np.float32(hz) + np.float32(rng.random())) * np.float32(1.0 / (1 + 0.2 * number))
    metal *= attack_decay(frames, 0.0008, 0.5 * half_life_s, sample_rate, seconds / 3) * np.float32(0.1 + 0.15 * ping)
    return air + metal


def tambourine(rng: np.random.Generator, sample_rate: int, tone: float) -> Samples:
    """Jingles: three grains of high noise, close together; stereo."""
    frames = int(0.16 * sample_rate)
    sound = band_noise(rng, 2, frames, min(6000 + 2000 * tone, 0.3 * sample_rate), min(14_000, 0.45 * sample_rate), sample_rate)
    envelope = np.zeros(frames, np.float32)
    for start_s, level, half_life_s in ((0.0, 0.5, 0.004), (0.012, 0.7, 0.006), (0.022, 1.0, 0.024)):
        start = int(start_s * sample_rate)
        envelope[start:] += attack_decay(frames - start, 0.001, half_life_s, sample_rate, 0.02) * np.float32(level)
    return sound * envelope * np.float32(1.5)


def woodblock(sample_rate: int, hz: float) -> Samples:
    """Two short modes of a hollow block."""
    frames = int(0.09 * sample_rate)
    turns = np.arange(frames) * (hz / sample_rate)
    body = sin_turns(turns) * decay(frames, 0.011, sample_rate)
    body += sin_turns(turns * 1.5) * decay(frames, 0.006, sample_rate) * 0.6
    return (body * attack_decay(frames, 0.0004, 0.1, sample_rate, 0.02)).astype(np.float32) * np.float32(0.7)


def cowbell(sample_rate: int, hz: float) -> Samples:
    """Two squares a fifth and a bit apart, as in the 808, of five harmonics each."""
    frames = int(0.22 * sample_rate)
    turns = np.arange(frames) / sample_rate
    body = np.zeros(frames)
    for root in (hz, hz * 1.48):
        for harmonic in (1, 3, 5, 7):
            body += sin_turns(turns * (root * harmonic)) / harmonic
    return (body * attack_decay(frames, 0.0006, 0.035, sample_rate, 0.04)).astype(np.float32) * np.float32(0.4)


def triangle(sample_rate: int, hz: float) -> Samples:
    """A steel triangle: high partials that ring."""
    frames = int(0.9 * sample_rate)
    turns = np.arange(frames) / sample_rate
    body = np.zeros(frames)
    for ratio, level in ((1.0, 0.6), (1.52, 0.8), (2.17, 0.7), (2.83, 0.5)):
        if hz * ratio < 0.45 * sample_rate:
            body += sin_turns(turns * (hz * ratio) + ratio) * level
    return (body * attack_decay(frames, 0.001, 0.14, sample_rate, 0.2)).astype(np.float32) * np.float32(0.4)


def glitch(rng: np.random.Generator, sample_rate: int, hz: float) -> Samples:
    """A grain of broken data: a tone whose level and pitch jump every few milliseconds."""
    frames = int(0.11 * sample_rate)
    piece = max(int(0.005 * sample_rate * (1 + int(rng.integers(4)))), 8)
    body = np.zeros(frames)
    for start in range(0, frames, piece):
        end = min(start + piece, frames)
        if float(rng.random()) < 0.25:
            continue
        pitch = hz * (1, 1.5, 2, 3, 4.76)[int(rng.integers(5))]
        grain = sin_turns(np.arange(end - start) * (pitch / sample_rate))
        body[start:end] = grain if float(rng.random()) < 0.6 else noise(rng, end - start)
    return (body * attack_decay(frames, 0.001, 0.04, sample_rate, 0.02)).astype(np.float32) * np.float32(0.7)
