# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters, echoes and rooms for loops: everything is circular, so a tail that leaves at the end comes in at the start.

Arrays are channel-major inside the generator: (2, frames) float32.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from appliance.gen.maths import decay, exp2, fast_length, generator, noise, sin_turns

Samples = NDArray[np.float32]


def band_noise(
    rng: np.random.Generator, channels: int, frames: int, low_hz: float, high_hz: float, sample_rate: int
) -> Samples:
    """Noise between two corner frequencies (12 dB/octave below, 24 above); (channels, frames), RMS about 0.3.

    Drawn as a spectrum with random real and imaginary parts; periodic in the next fast length, not in ``frames``.
    """
    length = fast_length(frames)
    bins = length // 2 + 1
    gain = band_gain(length, sample_rate, low_hz, high_hz)
    spectrum = np.empty((channels, bins), np.complex64)
    spectrum.real = noise(rng, channels, bins)
    spectrum.imag = noise(rng, channels, bins)
    energy = float(np.sum(gain * gain, dtype=np.float64))
    gain *= np.float32(0.3 * length / np.sqrt(max(energy, 1e-12) * 4 / 3))
    scale_spectrum(spectrum, gain)
    return np.fft.irfft(spectrum, length, axis=-1)[:, :frames].astype(np.float32, copy=False)


def loop_noise(
    rng: np.random.Generator, channels: int, frames: int, low_hz: float, high_hz: float, sample_rate: int
) -> Samples:
    """:func:`band_noise` that is periodic in ``frames``: its overhang is faded into its head with equal power."""
    overlap = min(frames // 2, sample_rate // 2)
    long = band_noise(rng, channels, frames + overlap, low_hz, high_hz, sample_rate)
    share = np.arange(overlap, dtype=np.float32) / np.float32(overlap)
    result = long[:, :frames].copy()
    result[:, :overlap] *= np.sqrt(share)
    result[:, :overlap] += long[:, frames:] * np.sqrt(1 - share)
    return result


def band_gain(length: int, sample_rate: int, low_hz: float, high_hz: float) -> Samples:
    """Magnitude of a high-pass (2nd order) times a low-pass (4th order Butterworth) at the bins of an rfft."""
    hz = np.arange(length // 2 + 1) * (sample_rate / length)
    low = hz * (1.0 / max(low_hz, 1e-3))
    low *= low
    low *= low
    high = hz * (1.0 / high_hz)
    high *= high
    high *= high
    high *= high
    return np.sqrt(low / (1.0 + low) / (1.0 + high)).astype(np.float32)


def scale_spectrum(spectrum: NDArray[np.complex64], gain: Samples) -> None:
    """Multiply a spectrum by real gains in place, without numpy's complex product (see ``maths``)."""
    spectrum.real *= gain
    spectrum.imag *= gain


def echo(
    dry: Samples, delay_frames: int, feedback: float, taps: int, ping_pong: bool = True, darken: bool = True
) -> Samples:
    """``taps`` repeats of a loop, each later, weaker, darker and, with ``ping_pong``, on the other side; wet only."""
    wet = np.zeros_like(dry)
    tap = dry
    for _ in range(taps):
        tap = np.roll(tap, delay_frames, axis=-1) * np.float32(feedback)
        if ping_pong:
            tap = tap[::-1]
        if darken:
            tap = smooth(tap)
        wet += tap
    return wet


def smooth(x: Samples) -> Samples:
    """The loop through the 3-tap binomial low-pass (-3 dB at about a quarter of the sample rate, zero phase)."""
    result = x * np.float32(0.5)
    quarter = x * np.float32(0.25)
    result[..., 1:] += quarter[..., :-1]
    result[..., 0] += quarter[..., -1]
    result[..., :-1] += quarter[..., 1:]
    result[..., -1] += quarter[..., 0]
    return result


def room(dry: Samples, sample_rate: int, seconds: float, seed: int) -> Samples:
    """A stereo room around the sum of a loop's sides; (2, frames), wet only.

    Linear convolution at a fast FFT length; what is longer than the loop is folded back on it.
    """
    frames = dry.shape[-1]
    tail_frames = int(seconds * sample_rate)
    length = fast_length(frames + tail_frames)
    mono = dry[0] + dry[1]
    source = np.fft.rfft(mono, length)
    real, imag = np.ascontiguousarray(source.real), np.ascontiguousarray(source.imag)
    wet = np.empty_like(dry)
    for side, (ir_real, ir_imag) in enumerate(_room_spectrum(length, tail_frames, sample_rate, seed)):
        source.real = real * ir_real - imag * ir_imag
        source.imag = real * ir_imag + imag * ir_real
        long = np.fft.irfft(source, length)
        wet[side] = fold(long.astype(np.float32, copy=False), frames)
    return wet


def fold(long: Samples, frames: int) -> Samples:
    """Add what lies behind ``frames`` to the front, as often as it takes."""
    result = long[:frames].astype(np.float32)
    for start in range(frames, len(long), frames):
        piece = long[start : start + frames]
        result[: len(piece)] += piece
    return result


@lru_cache(maxsize=8)
def _room_spectrum(length: int, tail_frames: int, sample_rate: int, seed: int) -> list[tuple[Samples, Samples]]:
    """Spectra of a decaying noise tail for the two sides: bright noise that dies early, dark noise that stays."""
    rng = generator(seed, "room")
    seconds = tail_frames / sample_rate
    fade = np.minimum(1.0, np.arange(tail_frames, 0, -1) / (0.2 * tail_frames)).astype(np.float32)
    onset = np.minimum(1.0, np.arange(tail_frames) / (0.012 * sample_rate)).astype(np.float32)
    bright = band_noise(rng, 2, tail_frames, 900.0, min(9_000.0, 0.42 * sample_rate), sample_rate)
    dark = band_noise(rng, 2, tail_frames, 250.0, min(2_200.0, 0.4 * sample_rate), sample_rate)
    tail = bright * decay(tail_frames, seconds / 14, sample_rate) * np.float32(0.8)
    tail += dark * decay(tail_frames, seconds / 7, sample_rate)
    tail *= fade * onset
    tail *= np.float32(1.0 / np.sqrt(float(np.sum(tail[0] * tail[0], dtype=np.float64))))
    spectra = []
    for side in tail:
        spectrum = np.fft.rfft(side, length)
        spectra.append((np.ascontiguousarray(spectrum.real), np.ascontiguousarray(spectrum.imag)))
    return spectra


def chorus(dry: Samples, sample_rate: int, cycles: int) -> Samples:
    """A loop beside itself, delayed by 6 … 14 ms that swing ``cycles`` times a loop, the sides in opposite phase."""
    frames = dry.shape[-1]
    turn = np.arange(frames, dtype=np.float64) * (cycles / frames)
    wet = np.empty_like(dry)
    for side in (0, 1):
        delay_frames = (0.010 + 0.004 * sin_turns(turn + 0.5 * side)) * sample_rate
        position = (np.arange(frames) - delay_frames) % frames
        index = position.astype(np.int64) % frames
        part = (position - np.floor(position)).astype(np.float32)
        low = dry[side][index]
        wet[side] = low + (dry[side][(index + 1) % frames] - low) * part
    return (dry + wet) * np.float32(0.7071)


def duck_curve(frames: int, sample_rate: int, depth: float, release_s: float) -> Samples:
    """Gain over one beat for material that makes room for the kick: down at the beat, back after ``release_s``.

    The last 4 ms glide down again, so that repeating the curve makes no step.
    """
    position = np.arange(frames, dtype=np.float64) / (release_s * sample_rate)
    ramp = np.minimum(position, 1.0)
    curve = 1.0 - depth * (1.0 - ramp * ramp * (3.0 - 2.0 * ramp))
    glide = min(int(0.004 * sample_rate), frames)
    curve[frames - glide :] += (1.0 - depth - curve[frames - 1]) * (np.arange(1, glide + 1) / glide)
    return curve.astype(np.float32)


def attack_decay(frames: int, attack_s: float, half_life_s: float, sample_rate: int, release_s: float = 0.005) -> Samples:
    """An envelope: linear attack, exponential decay, linear release to zero at the end; (frames,)."""
    envelope = decay(frames, half_life_s, sample_rate)
    attack = min(max(int(attack_s * sample_rate), 1), frames)
    envelope[:attack] *= (np.arange(attack) / attack).astype(np.float32)
    release = min(max(int(release_s * sample_rate), 1), frames)
    envelope[frames - release :] *= (np.arange(release, 0, -1) / release).astype(np.float32)
    return envelope


def sweep_hz(frames: int, start_hz: float, end_hz: float, half_life_s: float, sample_rate: int) -> NDArray[np.float64]:
    """Phase in turns of a tone that falls exponentially from ``start_hz`` towards ``end_hz``; (frames,)."""
    steps = exp2(np.arange(frames) * (-1.0 / (half_life_s * sample_rate)))
    hz = end_hz + (start_hz - end_hz) * steps
    return np.cumsum(hz) * (1.0 / sample_rate)
