# SPDX-License-Identifier: GPL-3.0-or-later
"""The ring of MIDI messages that control wants sent, read by the playing engine."""

from __future__ import annotations

from typing import Any

from numba import carray

from appliance.bus import layout
from appliance.bus.atomic import load_acquire, pointer, store_release
from appliance.bus.layout import MIDI_MESSAGE, MIDI_OUT_MESSAGES
from appliance.engine.jit import kernel

HEAD, TAIL, RING = (layout.offset(name) for name in ("midi_out_head", "midi_out_tail", "midi_out"))


@kernel
def message_at(ctx: Any, position: int) -> Any:
    """The message at a position of the ring."""
    return carray(pointer(ctx.base + RING), (MIDI_OUT_MESSAGES,), MIDI_MESSAGE)[position % MIDI_OUT_MESSAGES]


@kernel
def discard_midi_out(ctx: Any) -> None:
    """Where there are no MIDI ports, nothing waits for one."""
    store_release(ctx.base + TAIL, load_acquire(ctx.base + HEAD))
