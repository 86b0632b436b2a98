# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine without an audio server: paced by the monotonic clock, heard by nobody, but everything else is real.

A compiled loop on a thread of its own; Python starts and stops it and is not on its way.
"""

from __future__ import annotations

import threading
import time

import numpy as np
from numba import carray, types

from appliance.bus.atomic import load_acquire, pointer, store_release
from appliance.engine.backends.floating import flush_denormals_at
from appliance.engine.backends.midiout import discard_midi_out
from appliance.engine.block import enter, leave
from appliance.engine.context import CONTEXT
from appliance.engine.jit import kernel
from appliance.engine.standby import take_part

_gettime = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.intp))
_sleep = types.ExternalFunction("clock_nanosleep", types.int32(types.int32, types.int32, types.intp, types.intp))

MONOTONIC, THREAD_CPU = 1, 3
_ABSOLUTE = 1
_fields = CONTEXT.fields or {}
_STOP, _TIMESPEC, _FLOATING = (_fields[name][1] for name in ("stop", "timespec", "floating_env"))
BLOCKS_BEHIND = 64


@kernel
def now(context: int, clock: int) -> int:
    """Nanoseconds of a clock of the system."""
    spec = carray(pointer(context + _TIMESPEC), (2,), np.int64)
    _gettime(clock, context + _TIMESPEC)
    return spec[0] * 1_000_000_000 + spec[1]


@kernel
def run_clock(context: int, frames: int) -> None:
    """Render a block of ``frames`` whenever one is due, until ``stop``. What cannot be caught up is jumped over."""
    ctx = carray(pointer(context), (1,), CONTEXT)[0]
    flush_denormals_at(context + _FLOATING)
    spec = carray(pointer(context + _TIMESPEC), (2,), np.int64)
    start = now(context, MONOTONIC)
    block = 0
    while load_acquire(context + _STOP) == 0:
        began = now(context, MONOTONIC)
        due = int((began - start) * 1e-9 * ctx.rate / frames)
        if due > block + BLOCKS_BEHIND:
            block = due
        cpu = now(context, THREAD_CPU)
        enter(ctx, began)
        ctx.midi_count = 0
        ctx.transport.known = 0
        ctx.cycle_time = (block * frames) & 0xFFFFFFFF
        ctx.cycle_ns = start + int(block * frames * 1e9 / ctx.rate)
        played = take_part(ctx, frames, (block * frames) & 0xFFFFFFFF, began)
        discard_midi_out(ctx)
        done = now(context, MONOTONIC)
        leave(ctx, played, frames, began, done, now(context, THREAD_CPU) - cpu)
        block += 1
        wake = start + int(block * frames * 1e9 / ctx.rate)
        if wake > done:
            spec[0] = wake // 1_000_000_000
            spec[1] = wake % 1_000_000_000
            _sleep(MONOTONIC, _ABSOLUTE, context + _TIMESPEC, 0)


class ClockBackend:
    """Plays blocks of ``period`` frames at ``rate``."""

    name = "clock"

    def __init__(self, context: np.ndarray, rate: float, period: int) -> None:
        self.rate = rate
        self.period = period
        self._context = context
        context["stop"] = 0
        context["playback_latency"] = context["freewheel"] = context["timebase"] = 0
        run_clock.compile((types.int64, types.int64))
        self._thread = threading.Thread(target=run_clock, args=(context.ctypes.data, period), name="clock", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def tend(self, *, playing: bool) -> None:
        """There is nothing to connect."""

    def take_xruns(self) -> int:
        """There is no server that could lose cycles."""
        return 0

    def lead(self, *, wanted: bool) -> None:
        """There is no transport."""

    def stop(self) -> None:
        field = _fields["stop"][1]
        _set_stop(self._context.ctypes.data + field)
        deadline = time.monotonic() + 1.0
        while self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)


@kernel
def _set_stop(address: int) -> None:
    store_release(address, 1)
