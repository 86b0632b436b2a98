# SPDX-License-Identifier: GPL-3.0-or-later
"""Pitched sound: subtractive voices read from band-limited tables, and two-operator FM.

A subtractive note is a stack of single-cycle tables, one a cutoff of its low-pass: harmonics times the filter's magnitude,
cut below the Nyquist frequency, so nothing aliases. The note reads it at its phase and at its cutoff.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from appliance.gen.maths import exp2, sin_turns

Samples = NDArray[np.float32]
TABLE = 2048
CUTOFFS = 14
CUTOFF_LOW_HZ = 80.0
CUTOFF_OCTAVES = 7.5


@lru_cache(maxsize=256)
def _tables(wave: str, hz: float, resonance: float, high_pass_hz: float, sample_rate: int) -> Samples:
    """(CUTOFFS, TABLE + 1) float32: one cycle of ``wave`` at each cutoff, the first value repeated at the end."""
    count = min(int(0.46 * sample_rate / hz), TABLE // 8)
    number = np.arange(1, count + 1, dtype=np.float64)
    level = 1.0 / number
    if wave == "square":
        level[1::2] = 0.0
    elif wave == "triangle":
        level = level / number
        level[1::2] = 0.0
    elif wave == "organ":
        level = np.where(np.isin(number, (1, 2, 3, 4, 6, 8)), 1.0 / np.sqrt(number), 0.0)
    elif wave != "saw":
        raise ValueError(f"no wave {wave}")
    high = number * hz / max(high_pass_hz, 1.0)
    high *= high
    level = level * (high / np.sqrt(1.0 + high * high))
    cutoff_hz = CUTOFF_LOW_HZ * exp2(np.arange(CUTOFFS) * (CUTOFF_OCTAVES / (CUTOFFS - 1)))
    ratio = (number * hz)[None, :] / cutoff_hz[:, None]
    ratio *= ratio
    # Four poles: one resonant pair of quality ``resonance`` and one pair of quality 0.6.
    gain = 1.0 / np.sqrt((1.0 - ratio) * (1.0 - ratio) + ratio / (resonance * resonance))
    gain /= np.sqrt((1.0 - ratio) * (1.0 - ratio) + ratio / 0.36)
    spectrum = np.zeros((CUTOFFS, TABLE // 2 + 1), np.complex128)
    spectrum.imag[:, 1 : count + 1] = -gain * level * (TABLE / 2)
    cycle = np.fft.irfft(spectrum, TABLE, axis=-1)
    result = np.empty((CUTOFFS, TABLE + 1), np.float32)
    result[:, :TABLE] = cycle
    result[:, TABLE] = cycle[:, 0]
    return result


def subtractive(
    wave: str,
    hz: float,
    cutoff_octaves: Samples,
    sample_rate: int,
    *,
    resonance: float = 0.9,
    high_pass_hz: float = 20.0,
    phase: float | NDArray[np.float64] = 0.0,
) -> Samples:
    """One note of a ``saw``, ``square``, ``triangle`` or ``organ`` through a low-pass; shape of ``cutoff_octaves``.

    ``cutoff_octaves`` (frames,) is the cutoff in octaves above 80 Hz (0 … 7.5) a frame. ``phase`` in turns, a number or one
    a frame (vibrato).
    """
    tables = _tables(wave, round(hz, 3), resonance, high_pass_hz, sample_rate)
    depth = np.clip(cutoff_octaves * np.float32((CUTOFFS - 1) / CUTOFF_OCTAVES), 0, CUTOFFS - 1.001)
    return _read(tables, hz, depth, sample_rate, phase)


def plucked(hz: float, frames: int, sample_rate: int, *, pluck: float, ring_s: float, damping: float, tilt: float) -> Samples:
    """A plucked or struck string: Karplus and Strong's loop (1983) solved for its harmonics, (frames,).

    ``pluck`` 0…0.5 is where along the string it is struck, ``ring_s`` the half-life of its fundamental, ``damping`` how much
    faster a harmonic h dies (1 + damping h²), ``tilt`` the exponent of their fall at the start (1 is bright, 2 dull).
    """
    seconds = frames / sample_rate
    tables = _string_tables(round(hz, 3), round(seconds, 3), pluck, round(ring_s, 4), damping, tilt, sample_rate)
    depth = np.sqrt(np.arange(frames, dtype=np.float32) * np.float32(1.0 / frames)) * np.float32(CUTOFFS - 1.001)
    return _read(tables, hz, depth, sample_rate, 0.0)


@lru_cache(maxsize=128)
def _string_tables(
    hz: float, seconds: float, pluck: float, ring_s: float, damping: float, tilt: float, sample_rate: int
) -> Samples:
    """(CUTOFFS, TABLE + 1) float32: one cycle of the string at moments that lie closer at the start."""
    count = max(min(int(0.46 * sample_rate / hz), 90), 1)
    number = np.arange(1, count + 1, dtype=np.float64)
    steps = np.arange(count)
    level = sin_turns(number * (0.5 * pluck))
    level *= 1.0 / (number if tilt < 1.5 else number * np.sqrt(number) if tilt < 2 else number * number)
    moment = np.arange(CUTOFFS) * (1.0 / (CUTOFFS - 1))
    moment *= moment * seconds
    fading = exp2(moment[:, None] * ((1.0 + damping * number * number) * (-1.0 / ring_s))[None, :])
    turn = (steps * steps * 0.381966) % 1.0  # the harmonics start at scattered phases: no click of all of them at once
    spectrum = np.zeros((CUTOFFS, TABLE // 2 + 1), np.complex128)
    spectrum.real[:, 1 : count + 1] = fading * (level * sin_turns(turn)) * (TABLE / 2)
    spectrum.imag[:, 1 : count + 1] = fading * (level * sin_turns(turn + 0.25)) * (-TABLE / 2)
    cycle = np.fft.irfft(spectrum, TABLE, axis=-1)
    cycle *= 1.0 / np.abs(cycle[0]).max()
    result = np.empty((CUTOFFS, TABLE + 1), np.float32)
    result[:, :TABLE] = cycle
    result[:, TABLE] = cycle[:, 0]
    return result


def _read(tables: Samples, hz: float, depth: Samples, sample_rate: int, phase: float | NDArray[np.float64]) -> Samples:
    """Read a stack of cycles at ``hz`` and at a ``depth`` of rows a frame, both interpolated; (frames,)."""
    frames = len(depth)
    turns = np.arange(frames, dtype=np.float64) * (hz / sample_rate) + phase
    turns -= np.floor(turns)
    turns *= TABLE
    column = turns.astype(np.int32)
    part = (turns - column).astype(np.float32)
    np.minimum(column, TABLE - 1, out=column)
    row = depth.astype(np.int32)
    blend = depth - row
    index = row * (TABLE + 1) + column
    flat = tables.reshape(-1)
    low = flat[index]
    low += (flat[index + 1] - low) * part
    index += TABLE + 1
    high = flat[index]
    high += (flat[index + 1] - high) * part
    low += (high - low) * blend
    return low


@lru_cache(maxsize=1024)
def octaves_of(hz: float) -> float:
    """A cutoff in Hz in the octaves that :func:`subtractive` takes (base-2 logarithm by bisection on ``exp2``)."""
    low, high = 0.0, CUTOFF_OCTAVES
    for _ in range(30):
        middle = (low + high) / 2
        if float(exp2(np.array([middle]))[0]) * CUTOFF_LOW_HZ < hz:
            low = middle
        else:
            high = middle
    return low


def fm(hz: float, ratio: float, index: Samples, sample_rate: int, phase: float = 0.0) -> Samples:
    """A carrier at ``hz`` whose phase is moved by a sine of ``ratio`` times its frequency; ``index`` in radians a frame.

    The index is held so low that the upper sidebands (Carson: (index + 1) times the modulator) stay below Nyquist.
    """
    room = (0.45 * sample_rate - hz) / max(hz * ratio, 1.0) - 1.0
    if room <= 0:
        index = np.zeros_like(index)
    frames = len(index)
    turns = np.arange(frames, dtype=np.float64) * (hz / sample_rate) + phase
    carrier = (turns - np.floor(turns)).astype(np.float32)
    modulator = turns * ratio
    modulator = (modulator - np.floor(modulator)).astype(np.float32)
    depth = np.minimum(index, np.float32(max(room, 0.0))) * np.float32(1 / 6.283185307179586)
    return sin_turns(carrier + depth * sin_turns(modulator))
