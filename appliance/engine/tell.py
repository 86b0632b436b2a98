# SPDX-License-Identifier: GPL-3.0-or-later
"""Telemetry: what the engine lets everybody see once a block, published under a sequence lock."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import carray

from appliance.bus import layout
from appliance.bus.atomic import fence_release, load_relaxed, pointer, store_relaxed, store_release
from appliance.bus.layout import CHANNELS, DECKS, LINK, PAD_CELLS, SCOPE_FRAMES, TAPE_FRAMES, TELEMETRY
from appliance.engine import feed, pads, transport
from appliance.engine.clocklink import heard_ns
from appliance.engine.decks import grid, speed
from appliance.engine.dsp import voice
from appliance.engine.jit import kernel
from appliance.nodes.clock import SOURCES
from appliance.nodes.pad import PAD_STATES

_TELEMETRY = layout.offset("telemetry")
_LINK = layout.offset("link")
_LINK_SOURCE = SOURCES.index("link")
_SCOPE = layout.offset("scope")
_TAPE = layout.offset("tape")
_TAPE_HEAD, _GAP_BEGIN, _GAP_END = (layout.offset(name) for name in ("tape_head", "tape_gap_begin", "tape_gap_end"))
_REFRESH_CYCLES = 64
"""Every so often all is told: what an engine that died had not said yet."""
_EMPTY, _LOADED, _QUEUED, _PLAYING, _STOPPING = range(PAD_STATES.index("missing"))


@kernel
def pad_state(pad: Any) -> int:
    """Index in PAD_STATES."""
    if pad.clip == 0:
        return _EMPTY
    if pad.playing == 1:
        return _STOPPING if pad.pending == pads.STOP else _PLAYING
    return _QUEUED if pad.pending == pads.START else _LOADED


@kernel
def tell(ctx: Any, state: Any, frames: int, now_ns: int, cost_ns: int, overruns: int, xruns: int) -> None:
    """Publish a snapshot after a block of ``frames`` that began at monotonic time ``now_ns``."""
    address = ctx.base + _TELEMETRY
    told = carray(pointer(address), (1,), TELEMETRY)[0]
    sequence = load_relaxed(address) | 1
    store_relaxed(address, sequence)
    fence_release()
    _tell_clock(ctx, state, told.clock, frames, now_ns)
    for number in range(DECKS):
        _tell_deck(ctx, state, number, told.deck[number])
    everything = state.cycles % _REFRESH_CYCLES == 0
    for cell in range(PAD_CELLS):
        if everything or (state.changed[cell >> 6] >> (cell & 63)) & 1 == 1:
            _tell_pad(ctx, state.pad[cell], told.pad[cell])
    for number in range(CHANNELS):
        told.channel[number].peak = state.channel[number].peak
        told.channel[number].correction = state.channel[number].correction
        told.channel[number].held = float(state.channel[number].held)
    told.master.peak_left = state.mixer.peak_left
    told.master.peak_right = state.mixer.peak_right
    told.master.rms = math.sqrt(max(state.mixer.mean_square, 0.0))
    told.master.reduction_db = -20.0 * math.log10(max(state.mixer.limiter[0].reduction, 1e-3))
    told.master.true_peak = state.mixer.true_peak
    told.master.momentary = state.mixer.momentary
    told.master.short_term = state.mixer.short_term
    told.voice.speaking = 1.0 if state.speech.main.clip != 0 else 0.0
    told.live.playing = 1.0 if state.feed.phase != feed.WAITING else 0.0
    told.live.ahead_s = feed.ahead(ctx, state) / ctx.rate
    told.live.stalls = float(state.feed.stalls)
    told.system.rate = ctx.rate
    told.system.period = float(frames)
    told.system.cycles = float(state.cycles)
    told.system.overruns = float(overruns)
    told.system.xruns = float(xruns)
    told.system.skipped_frames = float(state.skipped_frames)
    load = 100.0 * cost_ns * 1e-9 * ctx.rate / frames
    told.system.load_pct += (load - told.system.load_pct) * 0.02
    store_release(address, sequence + 1)


@kernel
def _tell_clock(ctx: Any, state: Any, told: Any, frames: int, now_ns: int) -> None:
    clock = state.clock
    beat = transport.beat_at(clock, state.frame, ctx.rate)
    bar = transport.bar_of(clock, beat)
    bar_start = clock.bar_beat + (bar - clock.bar_number) * clock.bar_length
    told.frame = state.frame
    told.monotonic_ns = now_ns + int(frames * 1e9 / ctx.rate)
    told.beat = beat
    told.bpm = clock.bpm
    told.running = float(clock.running)
    told.bar = float(bar + 1)
    told.beat_in_bar = math.floor(beat - bar_start + 1e-9) + 1.0
    told.bar_phase = (beat - bar_start) / clock.bar_length
    told.phrase_bar = float(bar % max(int(state.values.clock.phrase), 1) + 1)
    told.bar_length = clock.bar_length
    told.ramping = float(clock.ramping)
    alone = int(state.values.clock.source) == _LINK_SOURCE and carray(pointer(ctx.base + _LINK), (1,), LINK)[0].peers == 0
    told.following = 0.0 if alone else float(clock.followed)
    told.timebase = float(ctx.timebase)
    told.heard_ns = heard_ns(ctx, state, state.frame)


@kernel
def _tell_deck(ctx: Any, state: Any, number: int, told: Any) -> None:
    deck = state.deck[number]
    told.clip = float(deck.clip)
    told.loaded = 1.0 if deck.clip != 0 else 0.0
    told.playing = float(deck.playing)
    told.cueing = 1.0 if deck.previewing != 0 else 0.0
    told.looping = float(deck.looping)
    told.rolling = float(deck.rolling)
    told.braking = 1.0 if deck.spin_step < 0.0 and deck.playing == 1 else 0.0
    told.touched = float(deck.touched)
    told.censoring = float(deck.censoring)
    told.locked = float(deck.synced)
    told.in_key = 1.0 if deck.lock.wet.level == 1.0 else 0.0
    told.away = 1.0 if deck.away != 0 else 0.0
    told.speed = deck.velocity if deck.playing == 1 or deck.touched == 1 else 0.0
    if deck.clip == 0:
        told.position_s = 0.0
        told.duration_s = 0.0
        told.progress = 0.0
        told.beat = 0.0
        told.bpm = 0.0
        return
    told.beat = grid.beat_of(ctx, deck, state.clock, deck.main.position) if grid.known(ctx, deck) else 0.0
    told.bpm = speed.heard_bpm(ctx, state, number)
    row = voice.clip_row(ctx, deck.clip)
    told.position_s = max(deck.main.position, 0.0) / row.rate
    told.duration_s = row.frames / row.rate
    told.progress = min(max(deck.main.position / max(float(row.frames), 1.0), 0.0), 1.0)


@kernel
def _tell_pad(ctx: Any, pad: Any, told: Any) -> None:
    told.clip = float(pad.clip)
    told.state = float(pad_state(pad))
    told.sounding = float(pad.playing)
    length = pad.main.end - pad.main.begin
    place = (pad.main.position - pad.main.begin) / length if pad.playing == 1 and length > 0.0 else 0.0
    told.progress = min(max(place, 0.0), 1.0)


@kernel
def tell_sound(ctx: Any, first: int, frames: int) -> None:
    """Put the block that began at frame ``first`` into the ring of the last sound, as mono."""
    ring = carray(pointer(ctx.base + _SCOPE), (SCOPE_FRAMES,), np.float32)
    half = np.float32(0.5)
    for i in range(frames):
        ring[(first + i) & (SCOPE_FRAMES - 1)] = half * (ctx.out[0, i] + ctx.out[1, i])


@kernel
def tell_tape(ctx: Any, first: int, frames: int) -> None:
    """Put the block that began at frame ``first`` on the tape. What lies between it and the one before was not rendered."""
    head = load_relaxed(ctx.base + _TAPE_HEAD)
    tape = carray(pointer(ctx.base + _TAPE), (TAPE_FRAMES, 2), np.float32)
    if head != first:
        store_relaxed(ctx.base + _GAP_BEGIN, head)
        store_relaxed(ctx.base + _GAP_END, first)
    for i in range(frames):
        place = (first + i) & (TAPE_FRAMES - 1)
        tape[place, 0], tape[place, 1] = ctx.out[0, i], ctx.out[1, i]
    store_release(ctx.base + _TAPE_HEAD, first + frames)
