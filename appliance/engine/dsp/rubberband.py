# SPDX-License-Identifier: GPL-3.0-or-later
"""Pitch shifters for the audio thread: the Rubber Band library's real-time mode through its C interface.

A shifter takes a cell's worth of sound at any tempo and gives a cell; when it is full (:func:`fill_cells`) it always has one.
It allocates when it is made, and while :func:`_warm` drives it through what it will be asked for. Where the library is missing
there are no shifters (handles are 0), and nothing is called.
"""

from __future__ import annotations

import ctypes
import math
import weakref
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from appliance.bus.layout import CELL_FRAMES
from appliance.bus.lean import types
from appliance.engine.jit import kernel

LIBRARY = "librubberband.so.2"
R2, R3 = 1, 2
"""The library's engines by their number in the state: "faster" and "finer", both with the short window. 0: none."""
LEVEL = 2
"""Added to the number: the same without its resampler. It leaves the pitch as it is, and costs half."""
ENGINES = 4
LOWEST_PITCH, HIGHEST_PITCH = 1 / 3, 3.0
SLOWEST, FASTEST = 0.4, 2.4
MOST_FRAMES = 4 * CELL_FRAMES
"""That may be fed at once."""
FILL_CELLS = ((22, 34), (52, 82), (22, 34), (52, 82))
"""Cells that are fed before the first one is taken, at rates around 48 kHz: more than it ever keeps back. By engine, for the
usual speeds and pitches and for all. Measured with version 3.1.2, as what follows."""
SMEAR_CELLS = (8, 20, 8, 20)
"""So many of the first cells miss what was before them."""
SPARE_FRAMES = (256, 512, 256, 512)
"""So much is to be in it, made and not taken, on average."""
EARLY_CELLS = (3, 6, 3, 6)
"""So far ahead of its time it may be fed: somewhat less than two windows are apart."""
DELAY_PITCHES, DELAY_SPEEDS = (-1.0, -0.415, 0.0, 0.485, 1.0), (0.5, 0.7, 0.85, 0.95, 1.0, 1.05, 1.2, 1.5)
_R2_DELAY, _R3_DELAY = (
    ((1824, 1890, 1732, 1604, 1536, 1479, 1367, 1270),
     (1600, 1346, 1304, 1305, 1296, 1285, 1216, 1052),
     (1470, 1125, 1001, 992, 970, 975, 980, 944),
     (1342, 1007, 869, 773, 735, 687, 652, 636),
     (1207, 960, 810, 730, 695, 660, 580, 490)),
    ((4645, 4059, 3787, 3570, 3508, 3401, 3270, 2932),
     (3838, 3265, 2990, 2859, 2797, 2748, 2603, 2374),
     (3366, 2786, 2534, 2406, 2316, 2295, 2177, 1986),
     (3449, 2381, 2094, 1992, 1935, 1898, 1770, 1594),
     (3316, 2472, 2028, 1771, 1648, 1605, 1494, 1330)),
)
_RESAMPLER_DELAY = 32
_BENDING_DELAY = (_R2_DELAY, _R3_DELAY)
DELAY_FRAMES = (*_BENDING_DELAY, *(tuple(tuple(frames - _RESAMPLER_DELAY for frames in row) for row in engine)
                                   for engine in _BENDING_DELAY))
"""Frames between the sound that goes in and the one that is just made from it: by engine, pitch in octaves, and speed."""
_USUAL_SPEED, _USUAL_PITCHES = 0.85, (0.7, 1.9)
_NEVER_ONE = 1.0 + 1e-6
"""At a ratio of exactly 1 the library passes the sound on as it is, and loses the phase on the way there and back."""
FILLS = len(FILL_CELLS[0])
DELAY_SHAPE = (ENGINES, len(DELAY_PITCHES), len(DELAY_SPEEDS))

_REAL_TIME, _HIGH_CONSISTENCY, _FINER, _SHORT = 0x1, 0x04000000, 0x20000000, 0x00100000
_NO_THREADS, _SMOOTH = 0x00010000, 0x00000200
_OPTIONS = tuple(_REAL_TIME | _NO_THREADS | _SHORT | engine
                 for engine in (_SMOOTH | _HIGH_CONSISTENCY, _FINER | _HIGH_CONSISTENCY, _SMOOTH, _FINER))
"""Engine r2 takes steady tones for a row of transients and would tear their phases: a bass wavers by 100 cents. Without its
transient detection it does not, and drums were as sharp."""
_NAMES = ("process", "available", "retrieve", "set_pitch_scale", "set_time_ratio", "reset")


def _load() -> Any:
    try:
        library: Any = ctypes.CDLL(LIBRARY)
    except OSError:
        nothing = ctypes.cast(ctypes.pythonapi.Py_IsInitialized, ctypes.c_void_p).value
        for name in _NAMES:  # compiled code names them; without a shifter it does not call them
            llvm.add_symbol(f"rubberband_{name}", nothing)
        return None
    llvm.load_library_permanently(LIBRARY)
    handle, number, real = ctypes.c_void_p, ctypes.c_uint, ctypes.c_double
    for name, returns, arguments in (
        ("new", handle, (number, number, ctypes.c_int, real, real)), ("delete", None, (handle,)),
        ("reset", None, (handle,)), ("set_max_process_size", None, (handle, number)),
        ("set_pitch_scale", None, (handle, real)), ("set_time_ratio", None, (handle, real)),
        ("process", None, (handle, handle, number, ctypes.c_int)),
        ("available", ctypes.c_int, (handle,)), ("retrieve", number, (handle, handle, number)),
    ):
        function = getattr(library, f"rubberband_{name}")
        function.restype, function.argtypes = returns, arguments
    return library


_LIBRARY = _load()

_process = types.ExternalFunction("rubberband_process", types.void(types.intp, types.intp, types.uint32, types.int32))
_available = types.ExternalFunction("rubberband_available", types.int32(types.intp))
_retrieve = types.ExternalFunction("rubberband_retrieve", types.uint32(types.intp, types.intp, types.uint32))
_set_pitch_scale = types.ExternalFunction("rubberband_set_pitch_scale", types.void(types.intp, types.float64))
_set_time_ratio = types.ExternalFunction("rubberband_set_time_ratio", types.void(types.intp, types.float64))
_reset = types.ExternalFunction("rubberband_reset", types.void(types.intp))


def is_there() -> bool:
    """Whether the library is installed."""
    return _LIBRARY is not None


class Shifters:
    """``count`` shifters of each engine for stereo at ``rate``; ``handles``: int64 of shape (``count``, ``ENGINES``).

    ``warm``: with all the memory that they will want; off line that does not matter.
    """

    def __init__(self, count: int, rate: float, *, warm: bool = True) -> None:
        self.rate = rate
        self.handles = np.zeros((count, ENGINES), np.int64)
        if _LIBRARY is None:
            return
        for place in range(count):
            for engine, options in enumerate(_OPTIONS):
                handle = _LIBRARY.rubberband_new(round(rate), 2, options, 1.0, 1.0)
                _LIBRARY.rubberband_set_max_process_size(handle, MOST_FRAMES)
                if warm:
                    _warm(handle)
                self.handles[place, engine] = handle
        weakref.finalize(self, _delete, self.handles.ravel().tolist())

    def give_to(self, context: np.ndarray, preferred: int) -> None:
        """Let the callback use them. ``preferred``: the engine of decks that do not choose one."""
        times = max(1, round(self.rate / 48000.0))
        context["shifter_frame"] = -1
        context["shifter_fill"] = np.array(FILL_CELLS) * times
        context["shifter_smear"] = np.array(SMEAR_CELLS) * times
        context["shifter_early"] = np.array(EARLY_CELLS) * times
        context["shifter_spare"] = np.array(SPARE_FRAMES) * times
        context["shifter_delay"] = np.array(DELAY_FRAMES) * times
        context["keylock_engine"] = preferred
        context["shifter"] = self.handles


def _warm(handle: int) -> None:
    """Drive it through what it will be asked for: it makes windows and buffers for a ratio when that first comes. Afterwards
    it is as new: that takes a reset after each pitch, for one does not forget that the pitch has moved."""
    audio = np.zeros((2, 16 * CELL_FRAMES), np.float32)
    pointers = np.array([side.ctypes.data for side in audio])
    every = [(1.0, ratio) for ratio in np.geomspace(1 / FASTEST, 1 / SLOWEST, 40)]
    for pitch, ratio in ((LOWEST_PITCH, 1 / SLOWEST), (HIGHEST_PITCH, 1 / FASTEST), *every, (1.0, _NEVER_ONE)):
        _LIBRARY.rubberband_set_pitch_scale(handle, pitch)
        _LIBRARY.rubberband_set_time_ratio(handle, ratio)
        for _ in range(8):
            _LIBRARY.rubberband_process(handle, pointers.ctypes.data, CELL_FRAMES, 0)
            count = min(max(_LIBRARY.rubberband_available(handle), 0), audio.shape[1])
            _LIBRARY.rubberband_retrieve(handle, pointers.ctypes.data, count)
        _LIBRARY.rubberband_set_pitch_scale(handle, 1.0)
        _LIBRARY.rubberband_set_time_ratio(handle, 1.0)
        _LIBRARY.rubberband_reset(handle)


def _delete(handles: list[int]) -> None:
    for handle in handles:
        _LIBRARY.rubberband_delete(handle)


@kernel
def fill_cells(ctx: Any, engine: int, speed: float, pitch: float) -> int:
    """Cells to feed before the first is taken."""
    usual = speed >= _USUAL_SPEED and _USUAL_PITCHES[0] <= pitch <= _USUAL_PITCHES[1]
    return ctx.shifter_fill[engine - 1, 0 if usual else 1]


@kernel
def delay_frames(ctx: Any, engine: int, speed: float, pitch: float) -> float:
    """Frames between the sound that goes in and the one that is just made from it."""
    delay = ctx.shifter_delay[engine - 1]
    row, down = _between(DELAY_PITCHES, math.log2(pitch))
    column, along = _between(DELAY_SPEEDS, speed)
    above = delay[row, column] + along * (delay[row, column + 1] - delay[row, column])
    below = delay[row + 1, column] + along * (delay[row + 1, column + 1] - delay[row + 1, column])
    return above + down * (below - above)


@kernel
def _between(points: Any, x: float) -> tuple[int, float]:
    """The point before ``x``, but for the last, and how far ``x`` is from it to the next one, 0 … 1."""
    place = 0
    while place < len(points) - 2 and x > points[place + 1]:
        place += 1
    return place, min(max((x - points[place]) / (points[place + 1] - points[place]), 0.0), 1.0)


@kernel
def reset(handle: int) -> None:
    """Forget all that was fed. The ratio is a part of what the library begins with: let it be always the same."""
    _set_time_ratio(handle, 1.0)
    _set_pitch_scale(handle, 1.0)
    _reset(handle)


@kernel
def feed(
    handle: int, ratio: float, pitch: float, pointers: np.ndarray, left: np.ndarray, right: np.ndarray, count: int
) -> None:
    """Give it ``count`` frames, to be ``ratio`` times as long and at ``pitch`` times their frequencies. ``pointers``: room for
    two addresses."""
    if abs(ratio - 1.0) < _NEVER_ONE - 1.0:
        ratio = _NEVER_ONE
    _set_time_ratio(handle, ratio)
    _set_pitch_scale(handle, min(max(pitch, LOWEST_PITCH), HIGHEST_PITCH))
    pointers[0], pointers[1] = left.ctypes.data, right.ctypes.data
    _process(handle, pointers.ctypes.data, np.uint32(count), np.int32(0))


@kernel
def spare_frames(handle: int) -> int:
    """What is made and not taken."""
    return _available(handle)


@kernel
def take(handle: int, pointers: np.ndarray, left: np.ndarray, right: np.ndarray) -> bool:
    """The next cell. False when it has none."""
    if _available(handle) < CELL_FRAMES:
        return False
    pointers[0], pointers[1] = left.ctypes.data, right.ctypes.data
    return _retrieve(handle, pointers.ctypes.data, np.uint32(CELL_FRAMES)) == CELL_FRAMES
