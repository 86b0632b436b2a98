# SPDX-License-Identifier: GPL-3.0-or-later
"""A loop brought to another length and key, its attacks where they belong: what conform does with tempo and pitch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.errors import Unavailable
from appliance.library.stretch.loop import stretched

Samples = NDArray[np.float32]
_REACH_S = 0.012
_STEPS_A_SECOND = 4000
_LOUD = 0.2


def retuned(stack: list[Samples], frames: int, rate: int, semitones: float, notes: list[str]) -> list[Samples]:
    """Loops (n, 2) of one length, a mix and its stems, as loops of ``frames``, ``semitones`` higher.

    Tempo and pitch are apart where Rubber Band is there and the ratio is within its range; else all is played faster or slower,
    which ``notes`` tells. Stretched stems do not add up to a stretched mix: what is missing goes to the last one.
    """
    speed = len(stack[0]) / frames
    if speed == 1.0 and semitones == 0.0:
        return stack
    try:
        made = [_aligned(layer, stretched(layer, rate, speed, semitones), rate) for layer in stack]
    except (Unavailable, ValueError) as error:
        notes.append(f"played {speed:.2f} times as fast, pitch and all: {error}")
        return [_resampled(layer, frames) for layer in stack]
    if len(made) > 1:
        made[-1] += made[0] - np.sum(made[1:], axis=0)
    return made


def folded_tempo(source_bpm: float, bpm: float) -> float:
    """``source_bpm``, its double or its half: the one that needs the least stretching to ``bpm``."""
    return min((source_bpm, 2.0 * source_bpm, 0.5 * source_bpm), key=lambda tempo: abs(np.log(tempo / bpm)))


def _aligned(before: Samples, after: Samples, rate: int) -> Samples:
    """Turn a stretched loop so that its attacks lie where they lay: Rubber Band moves them by some milliseconds. The one that
    begins the loop decides; where none does, all of them."""
    wanted, found = _first_attack(before, rate), _first_attack(after, rate)
    if wanted is not None and found is not None:
        return np.roll(after, wanted - found, axis=0)
    hop = max(rate // _STEPS_A_SECOND, 1)
    wanted, found = _rises(before, hop), _rises(after, hop)
    count = len(found)
    if not len(wanted) or not count:
        return after
    places = np.arange(count) * len(before) / len(after)
    wanted = np.interp(places, np.arange(len(wanted)), wanted, period=len(wanted))
    alike = np.fft.irfft(np.fft.rfft(wanted) * np.fft.rfft(found).conj(), count)
    reach = min(round(_REACH_S * rate / hop), count // 4)
    lags = np.arange(-reach, reach + 1)
    return np.roll(after, int(lags[np.argmax(alike[lags])]) * hop, axis=0)


def _first_attack(loop: Samples, rate: int) -> int | None:
    """Frames from the loop point to where, near it, a fifth of the peak is passed; None where it was loud before."""
    reach = min(int(_REACH_S * rate), len(loop) // 4)
    level = np.abs(np.concatenate((loop[-reach:], loop[: 2 * reach]))).max(axis=1)
    loud = level > _LOUD * max(float(level.max()), _LOUD * float(np.abs(loop).max()))
    first = int(np.argmax(loud))
    return None if first < reach // 8 or first > 2 * reach else first - reach


def _rises(loop: Samples, hop: int) -> NDArray[np.float64]:
    """How much louder each hop of a loop is than the one before (square root of its level), 0 where it is not."""
    count = len(loop) // hop
    energy = np.square(loop[: count * hop], dtype=np.float64).reshape(count, -1).sum(axis=1)
    level = energy**0.25  # where a sound begins counts, more than where it is loudest
    return np.maximum(level - np.roll(level, 1), 0.0)


def _resampled(audio: Samples, frames: int) -> Samples:
    """To exactly ``frames``; the loop's own beginning follows its end, so that the filter rings into it."""
    import soxr

    context = min(len(audio), 4096)
    around = np.concatenate((audio[-context:], audio, audio[:context]))
    made = np.asarray(soxr.resample(around, len(audio), frames, quality="HQ"), np.float32)
    begin = round(context * frames / len(audio))
    return np.ascontiguousarray(made[begin : begin + frames])
