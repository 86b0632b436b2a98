# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions whose every bit is the same on all processors of one architecture.

numpy picks other code for ``sin``, ``exp``, ``tanh``, complex products and dot products on processors with AVX2, FMA or
AVX-512, and their last bits differ. Sums, products, ``floor``, ``sqrt`` and FFTs of one array do not; everything here
is made of those, so that a request gives the same bytes on every machine.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
_SIN = (6.283185306487834, -41.34170192985391, 81.60520943726655, -76.70366802920061, 41.99999277432999,
        -14.337040606958464)  # fmt: skip
_EXP2 = (0.6931471804150552, 0.24022651118776114, 0.05550406454953457, 0.009618356556720636, 0.0013327002467394742,
         0.00015513943735228028, 1.4180530042377964e-05, 1.8670734783622307e-06)  # fmt: skip


def sin_turns(turns: Floats) -> Floats:
    """sin(2 pi x) of ``turns`` (any shape, float32 or float64, kept); error below 2e-7. Odd least-squares polynomial."""
    x = turns - np.floor(turns + 0.5)
    x = np.minimum(x, 0.5 - x)
    x = np.maximum(x, -0.5 - x)
    square = x * x
    result = square * _SIN[5] + _SIN[4]
    for coefficient in _SIN[3::-1]:
        result *= square
        result += coefficient
    result *= x
    return result


def exp2(x: Floats) -> NDArray[np.float64]:
    """2^x, float64, x clipped to -1000 … 1000; relative error below 1e-11."""
    x = np.clip(np.asarray(x, np.float64), -1000.0, 1000.0)
    whole = np.floor(x)
    part = x - whole
    result = np.full_like(part, _EXP2[7])
    for coefficient in _EXP2[6::-1]:
        result *= part
        result += coefficient
    result = result * part + 1.0
    power = ((whole.astype(np.int64) + 1023) << 52).view(np.float64)
    return result * power


def exp2_of(x: float) -> float:
    """2^x of one number, by the same polynomial."""
    return float(exp2(np.array([x]))[0])


def decibels(db: float) -> float:
    """The factor for a level in dB."""
    return exp2_of(db * 0.16609640474436813)


def note_hz(note: float) -> float:
    """Frequency of a MIDI note; 69 is 440 Hz, equal temperament."""
    return 440.0 * exp2_of((note - 69) / 12)


def saturate(x: Floats) -> Floats:
    """A soft limit at +-1 that is linear around zero: the Padé approximant x(27+x²)/(27+9x²) of tanh, clipped at 3."""
    x = np.clip(x, -3.0, 3.0)
    square = x * x
    return x * (square + 27.0) / (square * 9.0 + 27.0)


def decay(frames: int, half_life_s: float, sample_rate: int) -> NDArray[np.float32]:
    """An exponential from 1 that halves every ``half_life_s``; shape (frames,)."""
    return exp2(np.arange(frames) * (-1.0 / (half_life_s * sample_rate))).astype(np.float32)


@lru_cache(maxsize=64)
def fast_length(at_least: int) -> int:
    """The smallest 2^a 3^b 5^c >= ``at_least`` that is a multiple of 16: lengths that the FFT likes."""
    best = 1 << max(at_least - 1, 15).bit_length()
    five = 16
    while five < best:
        three = five
        while three < best:
            two = three
            while two < at_least:
                two *= 2
            best = min(best, two)
            three *= 3
        five *= 5
    return best


def generator(seed: int, *labels: object) -> np.random.Generator:
    """A random generator that depends on ``seed`` and ``labels`` and nothing else."""
    digest = hashlib.sha256(":".join([str(seed), *map(str, labels)]).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def noise(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    """White noise in -1 … 1, uniform (no libm in it), float32."""
    result = rng.random(shape, dtype=np.float32)
    result *= 2.0
    result -= 1.0
    return result
