# SPDX-License-Identifier: GPL-3.0-or-later
"""Patches after instruments of wood, string and wind. Each takes a note and returns (n,) or (2, n) float32, level near 0.5."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from appliance.gen.backends.procedural.oscillators import fm, octaves_of, plucked, subtractive
from appliance.gen.backends.procedural.patches import Tone, falling, gated
from appliance.gen.backends.procedural.shaping import attack_decay, band_noise, smooth
from appliance.gen.maths import decay, exp2_of, generator, saturate, sin_turns

Samples = NDArray[np.float32]


def sub_bass(tone: Tone) -> Samples:
    """A sine with a little of its octave: the floor of dub, jungle and hip hop."""
    frames = tone.frames(tone.gate_s + 0.08)
    turns = np.arange(frames) * (tone.hz / tone.sample_rate)
    body = saturate(sin_turns(turns) * (1.1 + 0.9 * tone.bright)) + sin_turns(turns * 2) * (0.05 + 0.12 * tone.colour)
    return body.astype(np.float32) * gated(tone, frames, 0.006, 1.2, 0.08) * np.float32(0.6)


def electric_bass(tone: Tone) -> Samples:
    """A bass guitar, picked: a string through a warm amplifier."""
    frames = tone.frames(tone.gate_s + 0.06)
    string = plucked(tone.hz, frames, tone.sample_rate, pluck=0.17, ring_s=0.9, damping=0.02, tilt=1.6)
    turns = np.arange(frames) * (tone.hz / tone.sample_rate)
    body = string * np.float32(0.8) + sin_turns(turns).astype(np.float32) * np.float32(0.35)
    return saturate(body * gated(tone, frames, 0.003, 0.5, 0.06) * np.float32(1.2 + tone.velocity)) * np.float32(0.6)


def upright_bass(tone: Tone) -> Samples:
    """A double bass, plucked with the finger: dull, round, and soon over."""
    frames = tone.frames(min(tone.gate_s + 0.12, 1.1))
    string = plucked(tone.hz, frames, tone.sample_rate, pluck=0.31, ring_s=0.32, damping=0.12, tilt=2.0)
    finger = min(int(0.02 * tone.sample_rate), frames)
    string[:finger] += (
        band_noise(generator(0, "finger"), 1, finger, 300, 1500, tone.sample_rate)[0]
        * attack_decay(finger, 0.002, 0.004, tone.sample_rate) * np.float32(0.25 * tone.velocity)
    )  # fmt: skip
    return string * gated(tone, frames, 0.006, 0.4, 0.12) * np.float32(0.8)


def _bowed(tone: Tone, frames: int, vibrato_hz: float, cents: float, cutoff_hz: float, resonance: float) -> Samples:
    """A bowed string: a saw whose vibrato sets in late."""
    seconds = np.arange(frames) * (1.0 / tone.sample_rate)
    onset = np.minimum(seconds / 0.35, 1.0)
    depth = tone.hz * cents * 0.000578 / (6.2832 * vibrato_hz)
    phase = sin_turns(seconds * vibrato_hz + tone.colour) * onset * depth
    cutoff = np.full(frames, octaves_of(cutoff_hz), np.float32)
    return subtractive("saw", tone.hz, cutoff, tone.sample_rate, resonance=resonance, high_pass_hz=tone.hz * 0.7, phase=phase)


def cello(tone: Tone) -> Samples:
    """A cello, bowed."""
    frames = tone.frames(tone.gate_s + 0.15)
    body = _bowed(tone, frames, 5.1, 9.0, 900 + 1800 * tone.bright * tone.velocity, 1.1)
    return body * gated(tone, frames, 0.05, 2.5, 0.2) * np.float32(0.42)


def violin(tone: Tone) -> Samples:
    """A violin, bowed."""
    frames = tone.frames(tone.gate_s + 0.12)
    body = _bowed(tone, frames, 5.7, 14.0, 2200 + 3600 * tone.bright * tone.velocity, 1.3)
    return body * gated(tone, frames, 0.045, 2.0, 0.15) * np.float32(0.4)


def strings(tone: Tone) -> Samples:
    """A string section: three players a side would be six; two a side, out of tune with each other, are heard as many."""
    frames = tone.frames(tone.gate_s + 0.35)
    rise = np.minimum(1.0, np.arange(frames) / (min(0.14, 0.4 * tone.gate_s) * tone.sample_rate)).astype(np.float32)
    cutoff = rise * np.float32(0.8) + np.float32(octaves_of(1100 + 2600 * tone.bright) - 0.8)
    envelope = gated(tone, frames, 0.01, 4.0, 0.35) * rise
    sides = [
        sum(
            subtractive("saw", tone.hz * exp2_of(cents / 1200), cutoff, tone.sample_rate, resonance=0.8, high_pass_hz=170,
                        phase=turn)
            for cents, turn in players
        )
        for players in (((-9.0, 0.12), (4.0, 0.71)), ((9.0, 0.43), (-3.0, 0.9)))
    ]  # fmt: skip
    return (np.stack(sides) * (envelope * np.float32(0.3))).astype(np.float32, copy=False)


def piano(tone: Tone) -> Samples:
    """A piano: two strings a note, struck at an eighth of their length; high notes ring shorter."""
    frames = tone.frames(min(tone.gate_s + 0.6, 2.4))
    ring = 1.1 * exp2_of((60 - tone.note) / 18)
    tilt = 1.0 if tone.bright * tone.velocity > 0.45 else 1.6
    one = plucked(tone.hz, frames, tone.sample_rate, pluck=0.13, ring_s=ring, damping=0.012, tilt=tilt)
    two = plucked(tone.hz * 1.0007, frames, tone.sample_rate, pluck=0.13, ring_s=ring * 1.4, damping=0.012, tilt=1.6)
    envelope = gated(tone, frames, 0.002, 3.0, 0.4) * np.float32(0.42)
    sides = np.stack((one * np.float32(0.65) + two * np.float32(0.35), one * np.float32(0.4) + two * np.float32(0.6)))
    return (sides * envelope).astype(np.float32, copy=False)


def rhodes(tone: Tone) -> Samples:
    """An electric piano: a tine by FM, a bell of its attack, and a tremolo that wanders between the sides."""
    frames = tone.frames(tone.gate_s + 0.45)
    index = decay(frames, 0.22, tone.sample_rate) * np.float32((0.35 + 1.3 * tone.bright) * tone.velocity)
    body = fm(tone.hz, 1.0, index, tone.sample_rate)
    tine = fm(tone.hz * 14.0 if tone.note < 65 else tone.hz * 7.0, 1.0, np.zeros(frames, np.float32), tone.sample_rate)
    body += tine * decay(frames, 0.035, tone.sample_rate) * np.float32(0.1 * tone.velocity)
    sway = sin_turns(np.arange(frames) * (4.6 / tone.sample_rate)).astype(np.float32) * np.float32(0.22)
    envelope = gated(tone, frames, 0.003, 0.75, 0.3) * np.float32(0.45)
    sides = np.stack((body * (1 + sway), body * (1 - sway))) * envelope
    return sides.astype(np.float32, copy=False)


def skank(tone: Tone) -> Samples:
    """The off-beat of reggae: a muted guitar and an organ that play together and stop at once."""
    frames = tone.frames(min(tone.gate_s, 0.16) + 0.05)
    string = plucked(tone.hz, frames, tone.sample_rate, pluck=0.21, ring_s=0.12, damping=0.03, tilt=1.0)
    cutoff = falling(tone, frames, 1500 + 2500 * tone.bright, 700, 0.05)
    reeds = subtractive("organ", tone.hz, cutoff, tone.sample_rate, resonance=0.8, high_pass_hz=260)
    envelope = gated(tone, frames, 0.003, 0.12, 0.04)
    sides = np.stack(
        (string * np.float32(0.6) + reeds * np.float32(0.15), string * np.float32(0.3) + reeds * np.float32(0.3))
    )
    return (sides * envelope).astype(np.float32, copy=False)


def stab(tone: Tone) -> Samples:
    """A house stab: saw and square in octaves, filtered shut at once."""
    frames = tone.frames(tone.gate_s + 0.12)
    cutoff = falling(tone, frames, 1400 + 4200 * tone.bright * tone.velocity, 500, 0.07)
    left = subtractive("saw", tone.hz, cutoff, tone.sample_rate, resonance=1.2, high_pass_hz=190)
    right = subtractive("saw", tone.hz * 1.004, cutoff, tone.sample_rate, resonance=1.2, high_pass_hz=190, phase=0.4)
    upper = subtractive("square", tone.hz * 2, cutoff, tone.sample_rate, resonance=0.9, high_pass_hz=300) * np.float32(0.3)
    sides = np.stack((left + upper, right + upper)) * gated(tone, frames, 0.003, 0.2, 0.1)
    return (sides * np.float32(0.36)).astype(np.float32, copy=False)


def guitar(tone: Tone) -> Samples:
    """A guitar with nylon strings."""
    frames = tone.frames(min(tone.gate_s + 0.4, 1.6))
    string = plucked(tone.hz, frames, tone.sample_rate, pluck=0.24, ring_s=0.4, damping=0.02, tilt=1.6)
    return string * gated(tone, frames, 0.002, 1.0, 0.3) * np.float32(0.55)


def harp(tone: Tone) -> Samples:
    """A harp: plucked in the middle, and left to ring."""
    frames = tone.frames(1.3)
    string = plucked(tone.hz, frames, tone.sample_rate, pluck=0.42, ring_s=0.36, damping=0.03, tilt=1.6)
    return string * attack_decay(frames, 0.003, 0.6, tone.sample_rate, 0.3) * np.float32(0.55)


def harpsichord(tone: Tone) -> Samples:
    """A harpsichord: plucked close to the bridge, bright, as loud whatever the hand does."""
    frames = tone.frames(min(tone.gate_s + 0.12, 1.2))
    string = plucked(tone.hz, frames, tone.sample_rate, pluck=0.07, ring_s=0.7, damping=0.0015, tilt=1.0)
    return string * gated(tone, frames, 0.001, 0.8, 0.1) * np.float32(0.5)


def _amplified(strings_sum: Samples, drive: float) -> Samples:
    """A valve amplifier and its loudspeaker: saturation, then nothing above some 4 kHz."""
    sound = saturate(strings_sum * np.float32(drive))
    for _ in range(5):
        sound = smooth(sound)
    return sound


def power_chord(tone: Tone) -> Samples:
    """Root, fifth and octave of an electric guitar through one amplifier, played twice, once a side."""
    frames = tone.frames(tone.gate_s + 0.05)
    sides = []
    for cents in (-3.0, 4.0):
        whole = np.zeros(frames, np.float32)
        for interval, level in ((0.0, 1.0), (7.02, 0.55), (12.0, 0.7)):
            hz = tone.hz * exp2_of((interval + cents / 100) / 12)
            whole += plucked(hz, frames, tone.sample_rate, pluck=0.11, ring_s=2.2, damping=0.003, tilt=1.0) * np.float32(level)
        sides.append(_amplified(whole, 3.0 + 5.0 * tone.bright))
    return np.stack(sides) * gated(tone, frames, 0.002, 3.0, 0.04) * np.float32(0.45)


def overdrive(tone: Tone) -> Samples:
    """A single string through the same amplifier, held long enough to sing."""
    frames = tone.frames(tone.gate_s + 0.12)
    string = plucked(tone.hz, frames, tone.sample_rate, pluck=0.14, ring_s=3.0, damping=0.002, tilt=1.0)
    return _amplified(string, 4.0 + 5.0 * tone.bright) * gated(tone, frames, 0.003, 2.0, 0.1) * np.float32(0.42)


def brass(tone: Tone) -> Samples:
    """Brass: a saw whose filter opens with the breath."""
    frames = tone.frames(tone.gate_s + 0.1)
    swell = np.minimum(1.0, np.arange(frames) / (0.07 * tone.sample_rate)).astype(np.float32)
    cutoff = np.float32(octaves_of(500)) + swell * np.float32(0.8 + 1.6 * tone.bright * tone.velocity)
    body = subtractive("saw", tone.hz, cutoff, tone.sample_rate, resonance=1.1, high_pass_hz=150)
    body += subtractive("saw", tone.hz * 1.003, cutoff, tone.sample_rate, resonance=1.1, high_pass_hz=150, phase=0.3)
    return body * gated(tone, frames, 0.03, 0.9, 0.1) * np.float32(0.28)


def mallet(tone: Tone) -> Samples:
    """A bar of wood or metal under a mallet: fundamental and fourth harmonic."""
    frames = tone.frames(0.8)
    turns = np.arange(frames) * (tone.hz / tone.sample_rate)
    body = sin_turns(turns) * decay(frames, 0.16, tone.sample_rate)
    body += sin_turns(turns * 3.93) * decay(frames, 0.03, tone.sample_rate) * (0.2 + 0.4 * tone.bright) * tone.velocity
    return (body * attack_decay(frames, 0.002, 0.5, tone.sample_rate, 0.2)).astype(np.float32) * np.float32(0.5)


def flute(tone: Tone) -> Samples:
    """A flute: a sine, its octave, breath around it."""
    frames = tone.frames(tone.gate_s + 0.1)
    seconds = np.arange(frames) * (1.0 / tone.sample_rate)
    turns = seconds * tone.hz + sin_turns(seconds * 5.2) * (tone.hz * 0.00025)
    body = (sin_turns(turns) + sin_turns(turns * 2) * 0.22 + sin_turns(turns * 3) * 0.07).astype(np.float32)
    top_hz = min(tone.hz * 3.5, 0.4 * tone.sample_rate)
    body += band_noise(generator(0, "breath", tone.note), 1, frames, tone.hz, top_hz, tone.sample_rate)[0] * np.float32(0.14)
    return body * gated(tone, frames, 0.05, 2.0, 0.1) * np.float32(0.42)


def melodica(tone: Tone) -> Samples:
    """A melodica: reeds, a little out of tune with each other."""
    frames = tone.frames(tone.gate_s + 0.08)
    cutoff = np.full(frames, octaves_of(1500 + 2200 * tone.bright), np.float32)
    body = subtractive("square", tone.hz, cutoff, tone.sample_rate, resonance=1.4, high_pass_hz=350)
    body += subtractive("saw", tone.hz * 1.0045, cutoff, tone.sample_rate, resonance=1.4, high_pass_hz=350) * np.float32(0.5)
    return body * gated(tone, frames, 0.03, 2.0, 0.08) * np.float32(0.36)


def theremin(tone: Tone) -> Samples:
    """A sine that trembles: nobody touches it."""
    frames = tone.frames(tone.gate_s + 0.25)
    seconds = np.arange(frames) * (1.0 / tone.sample_rate)
    turns = seconds * tone.hz + sin_turns(seconds * 5.9) * (tone.hz * 0.0004) * np.minimum(seconds / 0.3, 1.0)
    body = (sin_turns(turns) + 0.15 * sin_turns(turns * 2)).astype(np.float32)
    return body * gated(tone, frames, 0.09, 3.0, 0.25) * np.float32(0.45)


ACOUSTIC: dict[str, Callable[[Tone], Samples]] = {
    "sub": sub_bass, "electric_bass": electric_bass, "upright": upright_bass, "cello": cello, "violin": violin,
    "strings": strings, "piano": piano, "rhodes": rhodes, "skank": skank, "stab": stab, "guitar": guitar, "harp": harp,
    "harpsichord": harpsichord, "power": power_chord, "overdrive": overdrive, "brass": brass, "mallet": mallet,
    "flute": flute, "melodica": melodica, "theremin": theremin,
}  # fmt: skip
