# SPDX-License-Identifier: GPL-3.0-or-later
"""Integrated loudness of a clip and a peak limiter for loops."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from appliance.gen.maths import fast_length

Samples = NDArray[np.float32]
_BLOCK_S, _HOP_S = 0.4, 0.1
_ABSOLUTE_GATE_LUFS, _RELATIVE_GATE_LU = -70.0, -10.0


def integrated_lufs(audio: Samples, sample_rate: int) -> float:
    """Gated loudness of (frames, 2) by ITU-R BS.1770-4 (K-weighting, 400 ms blocks every 100 ms, gates at -70 LUFS and
    10 LU below the mean); -inf for silence. The clip is weighted as the loop it is, so its start is not a transient.

    Clips shorter than a block count as one block.
    """
    frames = len(audio)
    wrap = min(frames, sample_rate // 4)
    length = fast_length(frames + 2 * wrap)
    padded = np.zeros((2, length), np.float32)
    padded[:, wrap : wrap + frames] = audio.T
    padded[:, :wrap] = audio[frames - wrap :].T
    padded[:, wrap + frames : 2 * wrap + frames] = audio[:wrap].T
    spectrum = np.fft.rfft(padded, axis=-1)
    gain = _k_weighting(length, sample_rate)
    spectrum.real *= gain
    spectrum.imag *= gain
    weighted = np.fft.irfft(spectrum, length, axis=-1)[:, wrap : wrap + frames]
    energy = np.square(weighted[0], dtype=np.float64)
    energy += np.square(weighted[1], dtype=np.float64)
    return _gated(_block_energies(energy, sample_rate))


def _block_energies(energy: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    block, hop = round(_BLOCK_S * sample_rate), round(_HOP_S * sample_rate)
    total = np.concatenate((np.zeros(1), np.cumsum(energy)))
    if len(energy) < block:
        return np.array([total[-1] / len(energy)])
    starts = np.arange(0, len(energy) - block + 1, hop)
    return (total[starts + block] - total[starts]) / block


def _gated(energies: NDArray[np.float64]) -> float:
    floor = 10 ** ((_ABSOLUTE_GATE_LUFS + 0.691) / 10)
    heard = energies[energies > floor]
    if not len(heard):
        return -math.inf
    heard = heard[heard > float(np.mean(heard)) * 10 ** (_RELATIVE_GATE_LU / 10)]
    return -0.691 + 10 * math.log10(float(np.mean(heard)))


@lru_cache(maxsize=8)
def _k_weighting(length: int, sample_rate: int) -> Samples:
    """Magnitude of the K-weighting at the bins of an rfft.

    The two filters of BS.1770-4 as analogue prototypes under the bilinear transform, so that any rate can be used:
    shelf 1681.97 Hz, +3.9998 dB, Q 0.70718; high-pass 38.135 Hz, Q 0.50033, whose numerator the standard leaves unscaled
    (parameters after B. De Man, "Evaluation of Implementations of the EBU R128 Loudness Measurement", AES 2018).
    """
    angle = np.pi * np.arange(length // 2 + 1) / length
    tangent = np.tan(np.minimum(angle, np.pi / 2 * (1 - 1e-9)))
    scale = math.tan(math.pi * 1681.974450955533 / sample_rate)
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    s = 1j * tangent / scale
    shelf = (high * s * s + band * s / 0.7071752369554196 + 1) / (s * s + s / 0.7071752369554196 + 1)
    scale = math.tan(math.pi * 38.13547087602444 / sample_rate)
    s = 1j * tangent / scale
    quality = 0.5003270373238773
    high_pass = s * s / (s * s + s / quality + 1) * (1 + scale / quality + scale * scale)
    return np.abs(shelf * high_pass).astype(np.float32)


def limit_curve(audio: Samples, ceiling: float, sample_rate: int, look_ahead_s: float = 0.004) -> Samples | None:
    """Gain (frames,) that keeps a loop (frames, 2) under ``ceiling``, circular and smooth; None when nothing is over.

    The gain each sample needs, its minimum over the window before and after, averaged over the window: never above need.
    """
    peak = np.maximum(np.abs(audio[:, 0]), np.abs(audio[:, 1]))
    if float(peak.max(initial=0.0)) <= ceiling:
        return None
    frames = len(peak)
    window = max(min(int(look_ahead_s * sample_rate), frames // 4), 1)
    need = np.minimum(1.0, ceiling / np.maximum(peak, 1e-12)).astype(np.float32)
    padded = np.concatenate((need[frames - window :], need, need[:window]))
    lowest = _running_minimum(padded, window + 1)  # window + 1 samples from each start
    total = np.concatenate((np.zeros(1), np.cumsum(lowest, dtype=np.float64)))
    smooth = (total[window + 1 : window + 1 + frames] - total[:frames]) / (window + 1)
    return np.minimum(smooth.astype(np.float32), np.float32(1.0))


def _running_minimum(x: Samples, width: int) -> Samples:
    """Minimum of ``x[i : i + width]`` for every i with a full window, by doubling."""
    span = 1
    while span * 2 <= width:
        x = np.minimum(x[: len(x) - span], x[span:])
        span *= 2
    rest = width - span
    return np.minimum(x[: len(x) - rest], x[rest:]) if rest else x
