# SPDX-License-Identifier: GPL-3.0-or-later
"""The one definition of the shared memory, as numpy structured dtypes.

``BOX`` is the whole block. Compiled code reads it through records (``state.deck[0].main.position``), Python through a
numpy view of the same dtype. Every word is eight bytes wide and aligned, so that any single one can be read and written
atomically; words that order others (heads, tails, the commit word, sequences) go through :mod:`appliance.bus.atomic`.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from appliance.nodes import ENGINE_VALUES, NAMESPACE
from appliance.nodes.mixer import CHANNELS
from appliance.nodes.pad import BANKS, PADS, SCENES

f4, f8, i4, i8, u1 = np.float32, np.float64, np.int32, np.int64, np.uint8

DECKS = 4
PAD_CELLS = BANKS * PADS
CELL_FRAMES = 64
"""Controls move in cells of this many frames, on an absolute grid, so the sound does not depend on the period."""
MAX_BLOCK_FRAMES = 8192
CLIPS = 512
"""Places for loaded clips; clip 0 is never used, so that 0 means none."""
GRIDS = 32
"""Places for beat grids; place 0 is never used, so that 0 means none."""
GRID_ANCHORS = 1024
COMMANDS = 4096
EVENTS = 16384
PENDING = 256
"""Commands that wait in the engine for their frame."""
MIDI_PORTS = 4
PLANES = 8
"""Of a port's binding table, for the states of a profile's layers."""
MIDI_OUT_MESSAGES = 512
MIDI_MESSAGE_BYTES = 232
CLOCK_TICKS = 96
"""Ticks of another clock that are looked back at."""
CLOCK_MESSAGES = 128
"""MIDI clock messages in a block, more than the longest can have."""
HEARD_CYCLES = 8
HEARD_MIDI = 2048
"""MIDI messages of a cycle that an engine takes: whoever takes the cycle over obeys all of them."""
SCOPE_FRAMES = 8192
"""Length of the ring with the last frames of the master, for visuals and meters."""
LOUDNESS_STEPS = 1 << 18
"""Tenths of a second whose loudness is kept: seven hours."""
LINE_FRAMES = 32768
"""Length of delay and look-ahead lines: longer than the longest delay plus two blocks."""
TAPE_FRAMES = 1 << 20
"""Length of the tape, the master as the recorder reads it: 21 s at 48 kHz."""
FEED_FRAMES = 1 << 19
"""Length of the live channel's ring: 11 s at 48 kHz."""
LIMITERS = 2
"""The master's and the booth's."""
ENGINES = 2
SLOTS = 2 * ENGINES
PROCESSES = ("engine-a", "engine-b", "control", "gen", "visuals", "supervisor")


def _record(*fields: tuple[Any, ...]) -> np.dtype[Any]:
    return np.dtype(list(fields), align=True)


GLIDE = _record(("stage", f8), ("now", f8), ("step", f8), ("end", f8), ("source", f8), ("goal", f8))
"""A smoothed control: two one-pole stages stepped once a cell, a straight line within it (engine/dsp/glide.py): in frame i of
the cell, from 0, it is ``now + step * (i + 1)``. ``goal`` is what ``source``, the value that a person set, was last translated
to."""

FADE = _record(("level", f8), ("step", f8), ("left", i8))
"""A straight ramp of ``left`` more frames."""

VOICE = _record(("clip", i8), ("position", f8), ("step", f8), ("slope", f8), ("table", i8), ("begin", f8), ("end", f8),
                ("loop", i8), ("gain", f8), ("fade", FADE))
"""A reading head in a clip. ``clip`` 0: silent. Positions in frames of the clip, ``step`` clip frames a frame,
``slope`` by how much ``step`` changes a frame; ``table`` is the interpolator's."""

SVF = _record(("cutoff", GLIDE), ("mix", GLIDE), ("high", i8), ("crossing", i8), ("z", f8, (4,)))
"""One-knob filter: state-variable, ``z`` two integrators a side. ``crossing``: on its way from low- to high-pass or back, past
silence."""

CLOCK_STATE = _record(("anchor_frame", i8), ("anchor_beat", f8), ("bpm", f8), ("running", i8), ("bar_beat", f8),
                      ("bar_number", i8), ("bar_length", f8), ("metre", i8), ("taps", i8, (4,)), ("tap_count", i8),
                      ("told_bpm", f8), ("ramping", i8), ("ramp_from", f8), ("ramp_to", f8), ("ramp_begin", i8),
                      ("ramp_frames", f8), ("tick", i8), ("ticking", i8),
                      ("in_ticks", i8, (CLOCK_TICKS,)), ("in_count", i8), ("in_beat", f8), ("in_port", i8),
                      ("in_waits", i8), ("in_bpm", f8), ("source", i8), ("followed", i8), ("held_until", i8),
                      ("rolling", i8), ("transport_frame", i8), ("transport_at", i8))
"""``bpm`` holds from ``anchor_frame`` on; ``told_bpm`` is the value that it was made from: another one is a person's.
``in_bpm``: tempo of the clock that is followed, without what is added to catch up with it. ``transport_frame``: JACK's position
at frame ``transport_at``."""

LOCK_STATE = _record(("engine", i8), ("fed", i8), ("fill", i8), ("haste", i8), ("early", i8), ("rest", f8), ("spare", f8),
                     ("taken", i8), ("placed", i8), ("ahead", VOICE), ("tail", VOICE), ("hidden", FADE), ("wet", FADE),
                     ("key", GLIDE), ("hold", GLIDE))
"""A deck's pitch shifter: ``engine`` that is in use (0: none), cells ``fed`` since it began, ``fill`` of them before the first
was taken, ``haste`` of them in one cell, ``early``: cells fed before their time; ``rest``: frames that it is owed,
``spare``: made and not taken, on average, less what is early; ``taken``: cells, up to some;
``placed``: it is fed from the right place. ``ahead`` reads for it; ``hold`` is 1 while the key is locked."""

DECK_STATE = _record(
    ("clip", i8), ("grid", i8), ("playing", i8), ("previewing", i8), ("main", VOICE), ("tail", VOICE, (2,)),
    ("rate", GLIDE), ("velocity", f8), ("spin", f8), ("spin_step", f8), ("bend", f8), ("reversed", i8), ("censoring", i8),
    ("synced", i8), ("beat_ratio", f8), ("beat_offset", f8),
    ("looping", i8), ("rolling", i8), ("roll_begin", f8), ("roll_end", f8),
    ("away", i8), ("ghost", f8), ("ghost_frame", i8), ("ghost_offset", f8), ("ghost_synced", i8),
    ("touched", i8), ("running_out", i8), ("hand", f8), ("motion", GLIDE), ("lock", LOCK_STATE),
)
"""``velocity``: speed at the end of the last cell, 1 forward as recorded. ``spin``: share of the motor's speed, while it brakes
or starts. ``ghost``: with slip, where the deck would be at ``ghost_frame``."""

PAD_STATE = _record(("clip", i8), ("playing", i8), ("held", i8), ("pending", i8), ("pending_beat", f8), ("velocity", f8),
                    ("group", i8),
                    ("origin_beat", f8), ("settings", f8, (4,)), ("ringing", i8), ("main", VOICE), ("tail", VOICE),
                    ("left", GLIDE), ("right", GLIDE), ("filter", SVF))

CHANNEL_STATE = _record(("idle_frames", i8), ("trim", GLIDE), ("low", GLIDE), ("mid", GLIDE), ("high", GLIDE),
                        ("eq_mix", GLIDE), ("z", f8, (24,)), ("filter", SVF), ("left", GLIDE), ("right", GLIDE),
                        ("cue", GLIDE), ("peak", f8),
                        ("k_z", f8, (2, 4)), ("k_sum", f8), ("loudness", f8), ("known_s", f8), ("silent_s", f8),
                        ("correction", f8), ("held", i8), ("hand", f8, (2,)))
"""From ``k_z`` on: auto-balance (engine/balance.py). ``loudness``: mean energy without the ``correction`` (dB)."""

LIMITER = _record(("quiet_frames", i8), ("near_sum", f8), ("far_sum", f8), ("gain_sum", f8), ("window_low", f8),
                  ("reduction", f8))

MIXER_STATE = _record(("left", GLIDE), ("right", GLIDE), ("cue_mix", GLIDE), ("cue_level", GLIDE), ("mute", FADE),
                      ("muted", i8), ("ceiling", GLIDE), ("ceiling_before", f8), ("limiter", LIMITER, (LIMITERS,)),
                      ("booth", GLIDE), ("booth_mono", GLIDE), ("booth_idle", i8), ("talked_over", i8), ("balancing", i8),
                      ("balance_frames", i8), ("peak_left", f8), ("peak_right", f8), ("mean_square", f8),
                      ("k_z", f8, (2, 4)), ("k_sum", f8), ("momentary", f8), ("short_term", f8), ("true_peak", f8),
                      ("peak_history", f8, (2, 16)), ("cue_split", GLIDE),
                      ("click_phase", f8), ("click_hz", f8), ("click_level", f8))

SPEECH_STATE = _record(("main", VOICE), ("tail", VOICE, (2,)), ("duck", GLIDE), ("gain", GLIDE))
"""``tail``: what was cut off rings out; ``duck``: gain of all else in the headphones."""

FEED_STATE = _record(("stream", i8), ("position", i8), ("phase", i8), ("fade", FADE), ("gain", GLIDE), ("channel", i8),
                     ("stalls", i8))
"""The live channel's stream (engine/feed.py): ``position`` is the frame of the ring that comes next, ``channel`` the strip that
it plays on, from 0."""

COMMAND = _record(("code", i8), ("index", i8), ("frame", i8), ("a", f8), ("b", f8), ("c", f8), ("source", i8), ("id", i8))
"""``frame`` 0: at once; else the engine's frame at which it happens. ``id`` comes back in the event."""

EVENT = _record(("kind", i8), ("index", i8), ("frame", i8), ("a", f8), ("b", f8), ("c", f8), ("source", i8), ("id", i8))

STATE = _record(
    ("frame", i8), ("rate", f8), ("server", i8), ("audio_time", i8), ("block_frames", i8), ("monotonic_ns", i8), ("cycles", i8),
    ("block_begin", i8), ("block_ns", i8), ("command_tail", i8), ("event_head", i8), ("pending_count", i8),
    ("skipped_frames", i8), ("awake", i8, (PAD_CELLS // 64,)), ("changed", i8, (PAD_CELLS // 64,)),
    ("values", ENGINE_VALUES), ("clock", CLOCK_STATE), ("deck", DECK_STATE, (DECKS,)), ("pad", PAD_STATE, (PAD_CELLS,)),
    ("channel", CHANNEL_STATE, (CHANNELS,)), ("mixer", MIXER_STATE), ("speech", SPEECH_STATE),
    ("feed", FEED_STATE), ("midi_plane", i8, (MIDI_PORTS,)), ("pending", COMMAND, (PENDING,)),
)
"""Everything the engine knows that is not in a clip or a line: copied, advanced and committed once a block.

``audio_time`` is the frame time of the last block's first frame as the audio server of generation ``server`` counts; ``frame``
is the one after it. ``block_begin`` is the engine's number of that first frame, ``block_ns`` the monotonic time at which it
leaves the ports."""

TELEMETRY = _record(
    ("sequence", i8),
    ("clock", _record(("frame", i8), ("monotonic_ns", i8), ("beat", f8), ("bpm", f8), ("running", f8), ("bar", f8),
                      ("beat_in_bar", f8), ("bar_phase", f8), ("phrase_bar", f8), ("bar_length", f8), ("ramping", f8),
                      ("following", f8), ("timebase", f8), ("heard_ns", i8))),
    ("deck", _record(("clip", f8), ("loaded", f8), ("playing", f8), ("cueing", f8), ("looping", f8), ("rolling", f8),
                     ("braking", f8), ("touched", f8), ("censoring", f8), ("locked", f8), ("in_key", f8), ("away", f8),
                     ("position_s", f8), ("duration_s", f8), ("progress", f8), ("beat", f8), ("bpm", f8),
                     ("speed", f8)), (DECKS,)),
    ("pad", _record(("clip", f8), ("state", f8), ("sounding", f8), ("progress", f8)), (PAD_CELLS,)),
    ("channel", _record(("peak", f8), ("correction", f8), ("held", f8)), (CHANNELS,)),
    ("master", _record(("peak_left", f8), ("peak_right", f8), ("rms", f8), ("reduction_db", f8),
                        ("true_peak", f8), ("momentary", f8), ("short_term", f8))),
    ("system", _record(("rate", f8), ("period", f8), ("cycles", f8), ("overruns", f8), ("xruns", f8), ("load_pct", f8),
                       ("skipped_frames", f8))),
    ("voice", _record(("speaking", f8))),
    ("live", _record(("playing", f8), ("ahead_s", f8), ("stalls", f8))),
)

CLIP = _record(
    ("generation", i8), ("state", i8), ("frames", i8), ("readable", i8), ("rate", f8), ("bpm", f8), ("beats", f8),
    ("gain", f8), ("mapped", i8, (ENGINES,)), ("placed_ns", i8), ("segment", "S64"),
)
"""A clip's audio lies in its own shared segment as float32, ``frames`` × 2. ``mapped[e]`` is the generation that engine e
has mapped and locked. ``placed_ns``: when it was placed, by the monotonic clock. A handle is ``generation << 16 | place``."""

GRID = _record(("count", i8), ("bpm", f8), ("frame", f8, (GRID_ANCHORS,)), ("beat", f8, (GRID_ANCHORS,)))
"""Beats of a clip: ``count`` anchors in rising order, straight in between; after the last one ``bpm``. A place is written
before a command names it, and not again while a deck may read it."""

BINDING = _record(("kind", i4), ("flags", i4), ("code", i4), ("index", i4), ("minimum", f4), ("maximum", f4))
"""What the engine does at once with a MIDI message; ``kind`` 0: hand it to control."""

MIDI_MESSAGE = _record(("port", i4), ("size", i4), ("frame", i8), ("data", u1, (MIDI_MESSAGE_BYTES,)))

MIDI_EVENT = _record(("offset", i4), ("port", i4), ("status", i4), ("data1", i4), ("data2", i4), ("spare", i4))
"""A channel message in a cycle, ``offset`` frames after its beginning."""

HEARD = _record(("audio_time", i8), ("server", i8), ("frames", i8), ("midi_count", i8), ("midi", MIDI_EVENT, (HEARD_MIDI,)))
"""What came in with a cycle. Each engine keeps its last ones: what one missed, or did not live to obey, the other has."""

SCENE_ROW = _record(("gain", f8), ("pan", f8), ("filter", f8), ("pitch", f8), ("launch", f8))
"""What a scene does to a pad: ``launch`` 1 starts it, -1 stops it, 0 leaves it; a setting that is NaN is left."""

LINK = _record(("sequence", i8), ("monotonic_ns", i8), ("beat", f8), ("bpm", f8), ("peers", i8))
"""Ableton Link's session, as control sees it, under a sequence lock: at this monotonic time it is this beat. Beats count from
anywhere, but bars of the clock's length begin where they are whole multiples of it. Time 0: there is no session."""

PROCESS = _record(("pid", i8), ("started_ns", i8), ("beat_ns", i8), ("restarts", i8), ("role", i8), ("safe", i8))

ENGINE = _record(("epoch", i8), ("entered_ns", i8), ("left_ns", i8), ("cycles", i8), ("overruns", i8), ("xruns", i8),
                 ("faults", i8), ("ready", i8), ("server", i8), ("takeovers", i8))
"""An engine's own words, outside the committed state: for the supervisor's eyes. ``server``: ``audio_generation`` of the audio
server that calls it, 0 while it paces itself by the clock, KNOCKS while a new one waits to be let in. ``takeovers``: how often
it took over from a silent peer."""

KNOCKS = -1

BOX = _record(
    ("magic", i8), ("layout", i8), ("rate", f8), ("period", i8), ("closing", i8), ("audio_generation", i8),
    ("audio", "S64"),
    ("process", PROCESS, (len(PROCESSES),)),
    ("engine", ENGINE, (ENGINES,)),
    ("commit", i8), ("commit_pad", i8, (7,)),
    ("command_head", i8), ("command_pad", i8, (7,)),
    ("event_head", i8), ("event_tail", i8), ("event_pad", i8, (6,)),
    ("tape_head", i8), ("tape_gap_begin", i8), ("tape_gap_end", i8), ("tape_pad", i8, (5,)),
    ("loudness_head", i8), ("loudness_pad", i8, (7,)),
    ("clip_changes", i8),
    ("feed_stream", i8), ("feed_begin", i8), ("feed_origin", i8), ("feed_ended", i8), ("feed_head", i8), ("feed_pad", i8, (3,)),
    ("midi_out_head", i8), ("midi_out_tail", i8), ("midi_out_pad", i8, (5,)),
    ("link", LINK),
    ("values", NAMESPACE.values),
    ("telemetry", TELEMETRY),
    ("commands", COMMAND, (COMMANDS,)),
    ("events", EVENT, (EVENTS,)),
    ("clip", CLIP, (CLIPS,)),
    ("grid", GRID, (GRIDS,)),
    ("scene", SCENE_ROW, (SCENES, PAD_CELLS)),
    ("binding", BINDING, (MIDI_PORTS, PLANES, 112, 128)),
    ("midi_pressed", u1, (MIDI_PORTS, 16, 128)),
    ("midi_last", u1, (MIDI_PORTS, 16, 128)),
    ("midi_out", MIDI_MESSAGE, (MIDI_OUT_MESSAGES,)),
    ("heard", HEARD, (ENGINES, HEARD_CYCLES)),
    ("scope", f4, (SCOPE_FRAMES,)),
    ("tape", f4, (TAPE_FRAMES, 2)),
    ("feed", f4, (FEED_FRAMES, 2)),
    ("loudness", f8, (LOUDNESS_STEPS,)),
    ("limiter_line", f4, (2 * LIMITERS, LINE_FRAMES)),
    ("limiter_gain", f4, (LIMITERS, LINE_FRAMES)),
    ("limiter_hold", f4, (LIMITERS, LINE_FRAMES)),
    ("slot", STATE, (SLOTS,)),
)

MAGIC = 0x617070_6C69616E
LAYOUT_HASH = int.from_bytes(hashlib.sha256(str(BOX.descr).encode()).digest()[:7], "little")
"""Two processes whose layouts differ must not share a block; attach compares this."""


def offset(*path: str) -> int:
    """Byte offset of a nested field from the start of the box: ``offset("telemetry", "clock")``."""
    dtype: np.dtype[Any] = BOX
    total = 0
    for name in path:
        dtype, at = (dtype.fields or {})[name][:2]
        total += at
    return total
