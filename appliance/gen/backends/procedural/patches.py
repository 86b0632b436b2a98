# SPDX-License-Identifier: GPL-3.0-or-later
"""Patches: how one note of a tonal part sounds. Each takes a note and returns (n,) or (2, n) float32, level near 0.5."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.gen.backends.procedural.oscillators import fm, octaves_of, subtractive
from appliance.gen.backends.procedural.shaping import attack_decay
from appliance.gen.maths import decay, exp2_of, note_hz, saturate, sin_turns

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Tone:
    """One note as a patch plays it. ``bright`` 0…1 opens it, ``colour`` 0…1 is the clip's own shade."""

    note: float
    gate_s: float
    velocity: float
    bright: float
    colour: float
    sample_rate: int

    @property
    def hz(self) -> float:
        return note_hz(self.note)

    def frames(self, seconds: float) -> int:
        return max(int(seconds * self.sample_rate), 16)


def gated(tone: Tone, frames: int, attack_s: float, half_life_s: float, release_s: float) -> Samples:
    """Attack (smooth at both ends: no kink where a loop begins) and decay while the gate is open, then a short release."""
    envelope = attack_decay(frames, attack_s, half_life_s, tone.sample_rate, 0.004)
    attack = min(tone.frames(attack_s), frames)
    ramp = np.arange(attack, dtype=np.float32) * np.float32(1 / attack)
    envelope[:attack] *= ramp * (3 - 2 * ramp)
    open_frames = min(tone.frames(tone.gate_s), frames)
    if open_frames < frames:
        envelope[open_frames:] *= decay(frames - open_frames, release_s / 4, tone.sample_rate)
    return envelope


def falling(tone: Tone, frames: int, high_hz: float, low_hz: float, half_life_s: float) -> Samples:
    """A cutoff that falls from ``high_hz`` towards ``low_hz``, in octaves."""
    top, bottom = octaves_of(high_hz), octaves_of(low_hz)
    return bottom + (top - bottom) * decay(frames, half_life_s, tone.sample_rate)


def round_bass(tone: Tone) -> Samples:
    """A sine with a filtered square on it: felt more than heard."""
    frames = tone.frames(tone.gate_s + 0.05)
    cutoff = falling(tone, frames, 320 + 1500 * tone.bright * tone.velocity, 180, 0.05)
    body = subtractive("square", tone.hz, cutoff, tone.sample_rate, resonance=0.8) * np.float32(0.5)
    turns = np.arange(frames) * (tone.hz / tone.sample_rate)
    body += sin_turns(turns).astype(np.float32) * np.float32(0.55)
    return saturate(body * gated(tone, frames, 0.003, 0.35, 0.05) * np.float32(1.3)) * np.float32(0.7)


def reese_bass(tone: Tone) -> Samples:
    """Two saws a few cents apart over a sine of the same note."""
    frames = tone.frames(tone.gate_s + 0.06)
    cutoff = falling(tone, frames, 500 + 1700 * tone.bright, 260, 0.12)
    cents = 5 + 9 * tone.colour
    body = subtractive("saw", tone.hz * exp2_of(cents / 1200), cutoff, tone.sample_rate, resonance=0.9, phase=0.13)
    body += subtractive("saw", tone.hz * exp2_of(-cents / 1200), cutoff, tone.sample_rate, resonance=0.9, phase=0.61)
    body *= np.float32(0.3)
    body += sin_turns(np.arange(frames) * (tone.hz / tone.sample_rate)).astype(np.float32) * np.float32(0.45)
    return saturate(body * gated(tone, frames, 0.004, 0.5, 0.06) * np.float32(1.2)) * np.float32(0.7)


def acid_bass(tone: Tone) -> Samples:
    """A resonant saw whose filter closes fast; harder notes open it further."""
    frames = tone.frames(tone.gate_s + 0.04)
    high = 400 + (900 + 3200 * tone.bright) * tone.velocity * tone.velocity
    cutoff = falling(tone, frames, high, 260, 0.045 + 0.05 * tone.colour)
    body = subtractive("saw", tone.hz, cutoff, tone.sample_rate, resonance=3.2 + 3.5 * tone.colour)
    return saturate(body * gated(tone, frames, 0.003, 0.3, 0.03) * np.float32(1.1)) * np.float32(0.62)


def rubber_bass(tone: Tone) -> Samples:
    """Two-operator FM with a short index: a plucked rubber band."""
    frames = tone.frames(tone.gate_s + 0.06)
    index = decay(frames, 0.03 + 0.03 * tone.colour, tone.sample_rate) * np.float32(1.3 + 4.0 * tone.bright * tone.velocity)
    body = fm(tone.hz, 1.0 if tone.colour < 0.6 else 2.0, index, tone.sample_rate)
    return body * gated(tone, frames, 0.003, 0.22, 0.05) * np.float32(0.75)


def dub_chord(tone: Tone) -> Samples:
    """Detuned saws, one a side, through a filter that closes: the chord that the echo lives on."""
    frames = tone.frames(tone.gate_s + 0.25)
    cutoff = falling(tone, frames, 1100 + 5200 * tone.bright * tone.velocity, 450, 0.09 + 0.08 * tone.colour)
    envelope = gated(tone, frames, 0.004, 0.16, 0.18)
    sides = [
        subtractive("saw", tone.hz * exp2_of(cents / 1200), cutoff, tone.sample_rate, resonance=1.3, high_pass_hz=210, phase=p)
        for cents, p in ((-6.0, 0.1), (6.0, 0.55))
    ]
    return np.stack(sides) * envelope * np.float32(0.5)


def glass_chord(tone: Tone) -> Samples:
    """An electric piano's tine by FM: a soft body and a bright stroke."""
    frames = tone.frames(tone.gate_s + 0.5)
    index = decay(frames, 0.05, tone.sample_rate) * np.float32((0.4 + 1.2 * tone.bright) * tone.velocity)
    body = fm(tone.hz, 1.0, index, tone.sample_rate)
    stroke = decay(frames, 0.02, tone.sample_rate) * np.float32(0.9 * tone.bright)
    tine = fm(tone.hz, 7.0 if tone.note < 72 else 4.0, stroke, tone.sample_rate, 0.25)
    envelope = gated(tone, frames, 0.003, 0.22, 0.3)
    sides = np.stack((body * np.float32(0.7) + tine * np.float32(0.3), body * np.float32(0.75) + tine * np.float32(0.12)))
    return (sides * (envelope * np.float32(0.5))).astype(np.float32, copy=False)


def organ_chord(tone: Tone) -> Samples:
    """Drawbars through a low-pass: short and woody."""
    frames = tone.frames(tone.gate_s + 0.06)
    cutoff = falling(tone, frames, 1400 + 3600 * tone.bright, 900, 0.1)
    body = subtractive("organ", tone.hz, cutoff, tone.sample_rate, resonance=0.8, high_pass_hz=180, phase=tone.note * 0.37)
    return body * gated(tone, frames, 0.004, 0.4, 0.05) * np.float32(0.42)


def wash_chord(tone: Tone) -> Samples:
    """A slow pad: saws that fade in and breathe."""
    seconds = tone.gate_s + 0.9
    frames = tone.frames(seconds)
    middle = octaves_of(700 + 1900 * tone.bright)
    breath = sin_turns(np.arange(frames) * (1.0 / frames) + tone.colour).astype(np.float32)
    cutoff = np.float32(middle) + breath * np.float32(0.6)
    sides = [
        subtractive("saw", tone.hz * exp2_of(cents / 1200), cutoff, tone.sample_rate, resonance=0.8, high_pass_hz=230, phase=p)
        for cents, p in ((-7.0, 0.3), (7.0, 0.8))
    ]
    rise = np.minimum(1.0, np.arange(frames) / (0.35 * tone.sample_rate)).astype(np.float32)
    fall = np.minimum(1.0, np.arange(frames, 0, -1) / (0.9 * tone.sample_rate)).astype(np.float32)
    return (np.stack(sides) * (rise * fall * np.float32(0.4))).astype(np.float32, copy=False)


def bell_lead(tone: Tone) -> Samples:
    """A struck FM bell with an inharmonic partial."""
    frames = tone.frames(0.6)
    ratio = (3.5, 2.76, 1.41)[int(tone.colour * 2.999)]
    index = decay(frames, 0.06, tone.sample_rate) * np.float32((0.5 + 1.6 * tone.bright) * tone.velocity)
    envelope = attack_decay(frames, 0.002, 0.11, tone.sample_rate, 0.1)
    return fm(tone.hz, ratio, index, tone.sample_rate) * envelope * np.float32(0.5)


def pluck_lead(tone: Tone) -> Samples:
    """A square whose filter shuts at once."""
    frames = tone.frames(0.35)
    cutoff = falling(tone, frames, 1500 + 4000 * tone.bright * tone.velocity, 500, 0.035)
    body = subtractive("square", tone.hz, cutoff, tone.sample_rate, resonance=1.8 + 2 * tone.colour, high_pass_hz=300)
    return body * attack_decay(frames, 0.002, 0.07, tone.sample_rate, 0.05) * np.float32(0.55)


def ping_lead(tone: Tone) -> Samples:
    """A sine with a touch of its octave: sonar."""
    frames = tone.frames(0.5)
    turns = np.arange(frames) * (tone.hz / tone.sample_rate)
    body = sin_turns(turns) + sin_turns(turns * 2) * (0.25 * tone.bright)
    return (body * attack_decay(frames, 0.003, 0.09, tone.sample_rate, 0.1)).astype(np.float32) * np.float32(0.5)


def reed_lead(tone: Tone) -> Samples:
    """A nasal saw held for its gate."""
    frames = tone.frames(tone.gate_s + 0.12)
    cutoff = falling(tone, frames, 1000 + 2200 * tone.bright, 800, 0.1)
    body = subtractive("saw", tone.hz, cutoff, tone.sample_rate, resonance=2.2, high_pass_hz=400)
    body += subtractive("saw", tone.hz * 1.004, cutoff, tone.sample_rate, resonance=2.2, high_pass_hz=400, phase=0.4)
    return body * gated(tone, frames, 0.008, 0.25, 0.1) * np.float32(0.3)


SYNTHETIC: dict[str, Callable[[Tone], Samples]] = {
    "round": round_bass, "reese": reese_bass, "acid": acid_bass, "rubber": rubber_bass,
    "dub": dub_chord, "glass": glass_chord, "organ": organ_chord, "wash": wash_chord,
    "bell": bell_lead, "pluck": pluck_lead, "ping": ping_lead, "reed": reed_lead,
}  # fmt: skip
