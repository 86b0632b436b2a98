# SPDX-License-Identifier: GPL-3.0-or-later
"""What the callback carries along: an engine process's private memory, as one record.

It holds addresses (of the box, of ports, of clips in this process), scratch buffers and the log of block costs. Nothing in it
has to survive the process.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from appliance.bus import layout
from appliance.bus.layout import (
    CELL_FRAMES,
    CLIPS,
    CLOCK_MESSAGES,
    DECKS,
    HEARD_MIDI,
    MAX_BLOCK_FRAMES,
    MIDI_EVENT,
    MIDI_PORTS,
)
from appliance.bus.loudness import k_weighting
from appliance.engine.dsp.curve import CURVE_FRAMES, CURVE_LINE, CURVE_SHAPE, curve_weights
from appliance.engine.dsp.lanes import LANE_SOUND, LANE_TABLE
from appliance.engine.dsp.padlanes import BATCH, PAD_LANES, PAD_SOUND, PAD_TABLE
from appliance.engine.dsp.rubberband import DELAY_SHAPE, ENGINES, FILLS, MOST_FRAMES
from appliance.engine.dsp.sinc import SINC_SHAPE, TAPS, sinc_tables
from appliance.engine.jit import record_at
from appliance.nodes.mixer import CHANNELS

OUTPUTS = 6
"""Master, cue, booth; left and right of each."""
INPUTS = 2
MIDI_EVENTS = HEARD_MIDI
COST_BLOCKS = 1 << 16
ISOLATOR_HZ = (250.0, 2500.0)

i4, i8, f4, f8 = np.int32, np.int64, np.float32, np.float64

TRANSPORT = np.dtype([
    ("known", i8), ("rolling", i8), ("frame", i8), ("bbt", i8), ("beat", f8), ("grain_beats", f8), ("bpm", f8),
    ("wish", i8), ("locate", i8), ("told_running", i8), ("told_beat", f8), ("told_frame", i8),
], align=True)
"""JACK's transport at this cycle's first frame. ``bbt``: a timebase master tells ``beat`` (quarter notes, exact to
``grain_beats``) and ``bpm``. ``wish`` 1: it is to start, -1: to stop; ``locate``: where it is to go, -1 nowhere. The rest is
what it was told last."""

CONTEXT = np.dtype([
    ("base", i8), ("state", i8), ("engine", i8), ("epoch", i8), ("rate", f8), ("first", i8), ("offline", i8), ("stop", i8),
    ("own_commits", i8), ("server", i8),
    ("cycle_time", i8), ("cycle_ns", i8), ("server_clock_ns", i8),
    ("playback_latency", i8), ("freewheel", i8), ("timebase", i8),
    ("transport", TRANSPORT), ("jack_position", i8, (20,)),
    ("stale_cycles", i8), ("attended", i8), ("last_time", i8), ("heard_cycles", i8), ("hush_until_ns", i8),
    ("peer_port", i8, (OUTPUTS,)), ("peer_midi_port", i8, (MIDI_PORTS + 1,)),
    ("client", i8), ("out_port", i8, (OUTPUTS,)), ("in_port", i8, (INPUTS,)), ("midi_in_port", i8, (MIDI_PORTS,)),
    ("midi_out_port", i8, (MIDI_PORTS,)),
    ("clock_out_port", i8), ("clock_out_late", i8), ("clock_out_again", i8),
    ("clock_out_count", i8), ("clock_out", i8, (CLOCK_MESSAGES, 3)),
    ("clip_address", i8, (CLIPS,)), ("clip_generation", i8, (CLIPS,)), ("windows", i8),
    ("isolator", f8, (2, 5)), ("k_weighting", f8, (2, 5)),
    ("peak_line", f4, (CELL_FRAMES + TAPS,)), ("peak_curve", f4, (CELL_FRAMES,)),
    ("curve_line", f4, (CURVE_LINE,)), ("curve", f4, (4, CURVE_FRAMES)), ("curve_peak", f4, (CELL_FRAMES,)),
    ("limiter_gains", f4, (CELL_FRAMES,)), ("curve_weights", f4, CURVE_SHAPE),
    ("midi_count", i8), ("midi", MIDI_EVENT, (MIDI_EVENTS,)),
    ("jack_event", i8, (4,)), ("timespec", i8, (2,)), ("floating_env", np.uint32, (16,)),
    ("cost_count", i8), ("cost_ns", np.int32, (COST_BLOCKS,)), ("block_frames", np.int32, (COST_BLOCKS,)),
    ("shifter", i8, (DECKS, ENGINES)), ("shifter_frame", i8, (DECKS,)), ("shifter_fill", i8, (ENGINES, FILLS)),
    ("shifter_smear", i8, (ENGINES,)), ("shifter_early", i8, (ENGINES,)), ("shifters_rest", f8),
    ("shifter_spare", f8, (ENGINES,)),
    ("shifter_delay", f8, DELAY_SHAPE), ("feed", f4, (2, MOST_FRAMES)), ("keylock_engine", i8), ("pointers", i8, (2,)),
    ("wet", f4, (DECKS, 2, CELL_FRAMES)),
    ("left", f4, (CELL_FRAMES,)), ("right", f4, (CELL_FRAMES,)), ("speech", f4, (2, CELL_FRAMES)),
    ("tap_place", f8, (CELL_FRAMES,)), ("tap_base", i8, (CELL_FRAMES,)), ("tap_row", i8, (CELL_FRAMES,)),
    ("tap_share", f4, (CELL_FRAMES,)),
    ("heard", f4, (2 * TAPS,)), ("faded", f4, (2, CELL_FRAMES)), ("sinc", f4, SINC_SHAPE),
    ("channel", f4, (CHANNELS, 2, CELL_FRAMES)), ("channel_used", i8, (CHANNELS,)), ("channel_heard", i8, (CHANNELS,)),
    ("lane", *LANE_TABLE), ("lane_sound", *LANE_SOUND),
    ("pad_lane", *PAD_TABLE), ("pad_lanes", *PAD_LANES), ("pad_sound", *PAD_SOUND), ("pad_cell", i8, (BATCH,)),
    ("out", f4, (OUTPUTS, MAX_BLOCK_FRAMES)),
], align=True)


def isolator_coefficients(rate: float) -> np.ndarray:
    """Butterworth low-pass sections b0 b1 b2 a1 a2 at 250 and 2500 Hz; two in a row are one Linkwitz-Riley side of 24 dB an
    octave. Formulae: R. Bristow-Johnson, Audio EQ Cookbook, Q = 1/√2."""
    rows: list[list[float]] = []
    for hz in ISOLATOR_HZ:
        omega = 2 * math.pi * hz / rate
        alpha, cosine = math.sin(omega) / math.sqrt(2), math.cos(omega)
        a0, b1 = 1 + alpha, 1 - cosine
        rows.append([b1 / 2 / a0, b1 / a0, b1 / 2 / a0, -2 * cosine / a0, (1 - alpha) / a0])
    return np.array(rows)


def make_context(base: int, rate: float, engine: int = 0) -> np.ndarray:
    """A fresh context of shape (1,) for the box mapped at ``base``."""
    context: Any = np.zeros(1, CONTEXT)
    context["base"] = base
    context["engine"] = engine
    context["rate"] = rate
    context["first"] = 1
    context["transport"]["locate"] = -1
    context["transport"]["told_running"] = -1
    context["isolator"][0] = isolator_coefficients(rate)
    context["k_weighting"][0] = k_weighting(rate)
    context["sinc"][0] = sinc_tables()
    context["curve_weights"][0] = curve_weights()
    return context


context_at, state_at = record_at(CONTEXT), record_at(layout.STATE)
"""For units: the context and a state at their addresses."""

BOX_OFFSETS = {name: layout.offset(name) for name in layout.BOX.names or ()}
