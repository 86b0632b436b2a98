# SPDX-License-Identifier: GPL-3.0-or-later
"""Pitch shifters for the audio thread: the Rubber Band library's real-time mode through its C interface.

A shifter takes a cell and gives a cell; after so many cells as :func:`fill_cells` says it always has one. It allocates when it is made and
while :func:`_warm` drives it through all it will be asked for, then no more. Where the library is missing there are no
shifters (handles are 0), and nothing is called.
"""

from __future__ import annotations

import ctypes
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
ENGINES = 2
LOWEST_PITCH, HIGHEST_PITCH = 1 / 3, 3.0
FILL_CELLS = ((22, 34), (43, 43))
"""Cells that are fed before the first one is taken, at rates around 48 kHz: more than it ever keeps back. By engine, for
pitches up to an octave away and for the others. Measured with version 3.1.2, as what follows."""
BEHIND_CELLS = (8, 20)
"""A pitch that is set is that of what was fed so many cells before, by engine."""
LONGER_AT = (-0.75, -0.5, -0.23, 0.0, 0.43, 1.0, 2.0)
"""Values of 1/pitch - 1 …"""
LONGER_FRAMES = ((-170.0, -170.0, -157.0, 0.0, 286.0, 645.0, 1070.0), (-780.0, -720.0, -385.0, 0.0, 618.0, 1135.0, 2250.0))
"""… and by how much longer a sound takes through the shifter there than at pitch 1."""

FILLS, PLACES = len(FILL_CELLS[0]), len(LONGER_AT)

_REAL_TIME, _HIGH_CONSISTENCY, _FINER, _SHORT = 0x1, 0x04000000, 0x20000000, 0x00100000
_NO_THREADS, _SMOOTH = 0x00010000, 0x00000200
_OPTIONS = tuple(_REAL_TIME | _HIGH_CONSISTENCY | _NO_THREADS | _SHORT | engine for engine in (_SMOOTH, _FINER))
"""Engine r2 takes steady tones for a row of transients and would tear their phases: a bass wavers by 100 cents. Without its
transient detection it does not, and drums were as sharp."""
_NAMES = ("process", "available", "retrieve", "set_pitch_scale", "reset")


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
        ("set_pitch_scale", None, (handle, real)), ("process", None, (handle, handle, number, ctypes.c_int)),
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
_reset = types.ExternalFunction("rubberband_reset", types.void(types.intp))


def is_there() -> bool:
    """Whether the library is installed."""
    return _LIBRARY is not None


class Shifters:
    """``count`` shifters of each engine for stereo at ``rate``; ``handles``: int64 of shape (``count``, ``ENGINES``)."""

    def __init__(self, count: int, rate: float) -> None:
        self.rate = rate
        self.handles = np.zeros((count, ENGINES), np.int64)
        if _LIBRARY is None:
            return
        for place in range(count):
            for engine, options in enumerate(_OPTIONS):
                handle = _LIBRARY.rubberband_new(round(rate), 2, options, 1.0, 1.0)
                _LIBRARY.rubberband_set_max_process_size(handle, CELL_FRAMES)
                _warm(handle)
                self.handles[place, engine] = handle
        weakref.finalize(self, _delete, self.handles.ravel().tolist())

    def give_to(self, context: np.ndarray, preferred: int) -> None:
        """Let the callback use them. ``preferred``: the engine of decks that do not choose one."""
        times = max(1, round(self.rate / 48000.0))
        context["shifter"] = self.handles
        context["shifter_frame"] = -1
        context["shifter_fill"] = np.array(FILL_CELLS) * times
        context["shifter_behind"] = np.array(BEHIND_CELLS) * times
        context["shifter_longer"] = np.array(LONGER_FRAMES) * times
        context["keylock_engine"] = preferred


def _warm(handle: int) -> None:
    audio = np.zeros((2, 16 * CELL_FRAMES), np.float32)
    pointers = np.array([side.ctypes.data for side in audio])
    for pitch in (LOWEST_PITCH, HIGHEST_PITCH, 1.0):
        _LIBRARY.rubberband_set_pitch_scale(handle, pitch)
        for _ in range(100):
            _LIBRARY.rubberband_process(handle, pointers.ctypes.data, CELL_FRAMES, 0)
            count = min(max(_LIBRARY.rubberband_available(handle), 0), audio.shape[1])
            _LIBRARY.rubberband_retrieve(handle, pointers.ctypes.data, count)
    _LIBRARY.rubberband_reset(handle)


def _delete(handles: list[int]) -> None:
    for handle in handles:
        _LIBRARY.rubberband_delete(handle)


@kernel
def fill_cells(ctx: Any, engine: int, pitch: float) -> int:
    """Cells to feed before the first is taken."""
    return ctx.shifter_fill[engine - 1, 0 if 0.5 <= pitch <= 2.0 else 1]


@kernel
def lead_frames(ctx: Any, engine: int, fill: int, pitch: float) -> float:
    """Frames between a sound's way in and its way out, when ``fill`` cells were fed before the first was taken."""
    x, longer = 1.0 / pitch - 1.0, ctx.shifter_longer[engine - 1]
    place = 0
    while place < PLACES - 2 and x > LONGER_AT[place + 1]:
        place += 1
    share = (x - LONGER_AT[place]) / (LONGER_AT[place + 1] - LONGER_AT[place])
    return CELL_FRAMES * (fill - 1.0) + longer[place] + share * (longer[place + 1] - longer[place])


@kernel
def reset(handle: int) -> None:
    """Forget all that was fed."""
    _reset(handle)


@kernel
def feed(handle: int, pitch: float, pointers: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """Give it a cell, to be heard at ``pitch`` times its frequencies. ``pointers``: room for two addresses."""
    _set_pitch_scale(handle, min(max(pitch, LOWEST_PITCH), HIGHEST_PITCH))
    pointers[0], pointers[1] = left.ctypes.data, right.ctypes.data
    _process(handle, pointers.ctypes.data, np.uint32(CELL_FRAMES), np.int32(0))


@kernel
def take(handle: int, pointers: np.ndarray, left: np.ndarray, right: np.ndarray) -> bool:
    """The next cell. False when it has none."""
    if _available(handle) < CELL_FRAMES:
        return False
    pointers[0], pointers[1] = left.ctypes.data, right.ctypes.data
    return _retrieve(handle, pointers.ctypes.data, np.uint32(CELL_FRAMES)) == CELL_FRAMES


__all__ = ["ENGINES", "FILLS", "LIBRARY", "PLACES", "R2", "R3", "Shifters", "feed", "fill_cells", "lead_frames", "is_there", "reset", "take"]
