# SPDX-License-Identifier: GPL-3.0-or-later
"""A loop at another tempo and pitch, as good as it can be had where time does not press: Rubber Band off line, through its C
library. (pyrubberband hands the audio to a program in 16 bits, and through a file each way.)

So that the end leads back to the beginning, what is around the loop is stretched along: its own end and beginning.
"""

from __future__ import annotations

import contextlib
import ctypes as c
from functools import cache

import numpy as np

from appliance.errors import Unavailable

LIBRARY = "librubberband.so.2"
PACKAGE = "librubberband2"
"""Debian's."""
SLOWEST, FASTEST = 0.5, 2.0
MOST_SEMITONES = 24.0
_CONTEXT_S = 0.25
_SEAM_S = 0.03
"""A tone that was whole in the loop seldom is in another length: its phase has to turn somewhere."""
_PIECE_FRAMES = 4096
_FINER, _SHORT_WINDOW, _TOGETHER = 0x20000000, 0x00100000, 0x10000000
"""RubberBandOptionEngineFiner (R3), …WindowShort, …ChannelsTogether; off line is the default."""


def is_there() -> bool:
    """Whether the library is installed."""
    with contextlib.suppress(Unavailable):
        return bool(_library())
    return False


def stretched(audio: np.ndarray, rate: int, speed: float, semitones: float = 0.0, *, quick: bool = False) -> np.ndarray:
    """``audio`` (frames × 2, float32), a loop, ``speed`` times as fast and ``semitones`` higher; float32,
    round(frames / speed) × 2. ``quick`` takes a third of the time and makes attacks softer.

    Raises ValueError outside ``SLOWEST`` … ``FASTEST`` and ``MOST_SEMITONES``, Unavailable without the library.
    """
    if not SLOWEST <= speed <= FASTEST or abs(semitones) > MOST_SEMITONES:
        raise ValueError(f"speed {speed:g} and {semitones:g} semitones are out of range")
    frames = len(audio)
    wanted = max(round(frames / speed), 1)
    speed = frames / wanted
    context, seam = round(_CONTEXT_S * rate), min(round(_SEAM_S * rate), wanted)
    around = audio[np.arange(-context, frames + 2 * context) % frames]
    made = _stretch(around, rate, speed, semitones, quick)
    begin = round(context / speed)
    loop, after = made[begin : begin + wanted].copy(), made[begin + wanted : begin + wanted + seam]
    share = (np.arange(seam, dtype=np.float32)[:, None] + 1) / (seam + 1)
    loop[:seam] = share * loop[:seam] + (1 - share) * after
    return loop


def _stretch(audio: np.ndarray, rate: int, speed: float, semitones: float, quick: bool) -> np.ndarray:
    """All of it, at least round(frames / speed) × 2 (silence where the library gives less)."""
    library = _library()
    sides = np.ascontiguousarray(audio.T, np.float32)
    frames = sides.shape[1]
    made = np.zeros((2, round(frames / speed) + _PIECE_FRAMES), np.float32)
    pieces = [(at, min(_PIECE_FRAMES, frames - at)) for at in range(0, frames, _PIECE_FRAMES)]
    options = _FINER | _TOGETHER | (_SHORT_WINDOW if quick else 0)
    handle = library.rubberband_new(rate, 2, options, 1.0 / speed, 2.0 ** (semitones / 12.0))
    try:
        library.rubberband_set_expected_input_duration(handle, frames)
        library.rubberband_set_max_process_size(handle, _PIECE_FRAMES)
        for at, count in pieces:
            library.rubberband_study(handle, _pointers(sides, at), count, at + count == frames)
        done = 0
        for at, count in pieces:
            library.rubberband_process(handle, _pointers(sides, at), count, at + count == frames)
            while (ready := min(library.rubberband_available(handle), made.shape[1] - done)) > 0:
                done += library.rubberband_retrieve(handle, _pointers(made, done), ready)
    finally:
        library.rubberband_delete(handle)
    return made.T


def _pointers(sides: np.ndarray, at: int) -> c.Array[c.c_void_p]:
    """To frame ``at`` of both sides."""
    return (c.c_void_p * 2)(*(side.ctypes.data + side.itemsize * at for side in sides))


@cache
def _library() -> c.CDLL:
    """Raises Unavailable where it is not installed."""
    try:
        library = c.CDLL(LIBRARY)
    except OSError:
        raise Unavailable(f"loops cannot be stretched: {LIBRARY} is not installed (Debian: {PACKAGE})") from None
    state, sides = c.c_void_p, c.POINTER(c.c_void_p)
    library.rubberband_new.argtypes = (c.c_uint, c.c_uint, c.c_int, c.c_double, c.c_double)
    library.rubberband_new.restype = state
    library.rubberband_set_expected_input_duration.argtypes = (state, c.c_uint)
    library.rubberband_set_max_process_size.argtypes = (state, c.c_uint)
    library.rubberband_study.argtypes = library.rubberband_process.argtypes = (state, sides, c.c_uint, c.c_int)
    library.rubberband_available.argtypes = (state,)
    library.rubberband_retrieve.argtypes = (state, sides, c.c_uint)
    library.rubberband_retrieve.restype = c.c_uint
    library.rubberband_delete.argtypes = (state,)
    return library
