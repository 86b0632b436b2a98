# SPDX-License-Identifier: GPL-3.0-or-later
"""Pads: loops on the clock, one-shots, held and stuttered clips; launched on the grid, at the exact frame."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from appliance.bus.events import Kind
from appliance.bus.layout import CELL_FRAMES, PAD_CELLS
from appliance.engine.dsp import voice
from appliance.engine.dsp.filters import control_filter, settle_filter
from appliance.engine.dsp.gain import add_scaled, clear
from appliance.engine.dsp.glide import begin_fade, decibels, glide, settle
from appliance.engine.dsp.padlanes import BATCH, filter_pads
from appliance.engine.jit import kernel, leaf
from appliance.engine.journal import log
from appliance.engine.transport import beat_at, next_line
from appliance.nodes.clock import QUANTIZE_BEATS
from appliance.nodes.pad import MODES, PADS

IDLE, START, STOP = 0, 1, 2
"""What a pad waits for."""

_LOOP, _ONESHOT, _GATE, _STUTTER = (MODES.index(mode) for mode in ("loop", "oneshot", "gate", "stutter"))
_STUTTERS = np.array(QUANTIZE_BEATS[1:6])
_LAUNCHED, _STOPPED, _ENDED = int(Kind.LAUNCHED), int(Kind.STOPPED), int(Kind.ENDED)
_DECK_CHANNELS = 4
_CORNER = 1e-4
"""Changes of speed up to this are not rounded: a corner of that size cannot be heard."""
_QUIET = 1e-3
_ON_A_FRAME = 1e-6
"""Rounding of the beat: a loop at its own tempo stands on whole frames and sounds as the file does, bit for bit."""
_OWN_TEMPO = 1e-9
_STAYS = 0.75
"""Frames that a loop at its own tempo may be beside the beat before it goes to the nearest frame."""


@leaf
def is_awake(state: Any, cell: int) -> bool:
    """Whether the pad plays, rings or waits. The others are not even looked at: 128 pads do not fit the nearest cache."""
    return (state.awake[cell >> 6] >> (cell & 63)) & 1 == 1


@kernel
def wake(state: Any, cell: int) -> None:
    """Something happens with this pad: look at it, tell its state, and copy it to the next block's state. Whoever changes a pad
    that may be asleep says so here."""
    state.awake[cell >> 6] |= 1 << (cell & 63)
    state.changed[cell >> 6] |= 1 << (cell & 63)


@kernel
def grid_of(values: Any, cell: int) -> int:
    """Index in QUANTIZES of the pad's launch grid."""
    own = int(values.pad[cell].quantize)
    return int(values.clock.quantize) if own == 0 else own - 1


@kernel
def load(ctx: Any, state: Any, cell: int, handle: int) -> None:
    """Put a clip on the pad. A playing loop goes on in the new clip at the same beat; handle 0 empties the pad."""
    wake(state, cell)
    pad = state.pad[cell]
    pad.clip = handle
    if pad.playing == 1:
        voice.hand_over(pad.main, pad.tail)
        pad.playing = 0
        if handle == 0 or int(state.values.pad[cell].mode) != _LOOP:
            voice.silence(pad.main)
            pad.pending = IDLE
        else:
            _begin_voice(ctx, state, cell, state.frame)
            begin_fade(pad.main.fade, 0.0, 1.0, voice.FADE_FRAMES)
            pad.playing = 1
    elif handle == 0:
        pad.pending = IDLE


@kernel
def trigger(ctx: Any, state: Any, cell: int, velocity: float) -> bool:
    """A hit (velocity > 0) or a release (0). False when the pad is empty."""
    wake(state, cell)
    pad = state.pad[cell]
    mode = int(state.values.pad[cell].mode)
    if velocity <= 0.0:
        release(state, cell)
        return True
    if pad.clip == 0:
        return False
    pad.held = 1
    pad.velocity = min(velocity, 1.0)
    if mode == _LOOP and pad.playing == 1:
        pad.held = 0
        if pad.pending == STOP:
            pad.pending = IDLE
        else:
            queue(ctx, state, cell, STOP)
        return True
    queue(ctx, state, cell, START)
    return True


@kernel
def queue(ctx: Any, state: Any, cell: int, what: int) -> None:
    """Start or stop the pad on its launch grid."""
    wake(state, cell)
    state.pad[cell].pending = what
    state.pad[cell].pending_beat = next_line(
        state.clock, beat_at(state.clock, state.frame, ctx.rate), grid_of(state.values, cell)
    )
    state.pad[cell].settings[:] = np.nan


@kernel
def release(state: Any, cell: int) -> None:
    """Let go of a held pad: gate and stutter end, what waits to start is taken back."""
    wake(state, cell)
    pad = state.pad[cell]
    mode = int(state.values.pad[cell].mode)
    was_held = pad.held == 1
    pad.held = 0
    if not was_held or mode == _LOOP or mode == _ONESHOT:
        return
    if pad.pending == START:
        pad.pending = IDLE
    if pad.playing == 1:
        cut(state, cell)


@kernel
def cut(state: Any, cell: int) -> None:
    """Stop at once (in 5 ms)."""
    wake(state, cell)
    pad = state.pad[cell]
    pad.pending = IDLE
    pad.held = 0
    if pad.playing == 1:
        voice.hand_over(pad.main, pad.tail)
        voice.silence(pad.main)
        pad.playing = 0


@kernel
def _clip_beats(row: Any) -> float:
    """Beats in the clip: as stated, or from its tempo; 0 when neither is known."""
    if row.beats > 0.0:
        return row.beats
    return row.frames * row.bpm / (60.0 * row.rate) if row.bpm > 0.0 and row.rate > 0.0 else 0.0


@kernel
def _follows(values: Any, row: Any) -> bool:
    return values.sync >= 0.5 and int(values.mode) == _LOOP and _clip_beats(row) > 0.0


@kernel
def _begin_voice(ctx: Any, state: Any, cell: int, frame: int) -> None:
    """Set the pad's voice up for ``frame``, its controls where the values stand."""
    pad, values = state.pad[cell], state.values.pad[cell]
    row = voice.clip_row(ctx, pad.clip)
    begin, end = _region(values, row)
    mode = int(values.mode)
    if mode == _STUTTER:
        length = _STUTTERS[min(max(int(values.stutter), 0), _STUTTERS.shape[0] - 1)] * 60.0 * ctx.rate / state.clock.bpm
        end = min(end, begin + max(length, 64.0))
    backwards = values.reverse >= 0.5
    step = _free_step(ctx, values, row)
    gain = (row.gain if row.gain > 0.0 else 1.0) * (1.0 if mode == _LOOP else pad.velocity)
    loop = 1 if mode == _LOOP or mode == _STUTTER else 0
    voice.start(pad.main, pad.clip, end - 1.0 if backwards else begin, step, begin, end, loop, gain)
    if _follows(values, row):
        _place_on_beat(ctx, state, cell, row, frame)
        if pad.main.position < begin + 2.0 and begin < 2.0 and not backwards:
            pad.main.fade.level, pad.main.fade.left = 1.0, 0
    left, right = _sides(pad, values, state.clock.running, _follows(values, row))
    settle(pad.left, left)
    settle(pad.right, right)
    if pad.tail.clip == 0:
        pad.group = int(values.group)
    settle_filter(pad.filter, values.filter, ctx.rate)


@kernel
def _region(values: Any, row: Any) -> tuple[float, float]:
    """First and one past the last frame that is played."""
    frames = float(row.frames)
    begin, end = math.floor(values.start * frames), math.floor(values.end * frames)
    if end - begin < 64.0:
        return 0.0, frames
    return begin, end


@kernel
def _free_step(ctx: Any, values: Any, row: Any) -> float:
    """Clip frames a frame of a pad that does not follow the clock."""
    step = (row.rate if row.rate > 0.0 else ctx.rate) / ctx.rate
    if values.pitch != 0.0:
        step *= 2.0 ** (values.pitch / 12.0)
    return -step if values.reverse >= 0.5 else step


@kernel
def _move_freely(ctx: Any, pad: Any, step: float) -> None:
    """At this speed from the end of the cell on; turned round, the other way at once."""
    if step * pad.main.step < 0.0:
        voice.jump(pad.main, pad.tail, pad.main.position)
        voice.set_speed(pad.main, step, 0.0)
    elif abs(step - pad.main.step) > _CORNER:
        voice.set_speed(pad.main, pad.main.step, (step - pad.main.step) / CELL_FRAMES)
    else:
        voice.set_speed(pad.main, step, 0.0)


@kernel
def _place_on_beat(ctx: Any, state: Any, cell: int, row: Any, frame: int) -> None:
    """Where a loop that follows the clock must be at ``frame``, computed from the beat; a large difference cross-fades."""
    pad, values = state.pad[cell], state.values.pad[cell]
    begin, end = pad.main.begin, pad.main.end
    length = end - begin
    beats = _clip_beats(row) * length / max(float(row.frames), 1.0)
    if beats <= 0.0 or length <= 0.0:
        return
    turn = (beat_at(state.clock, frame, ctx.rate) - pad.origin_beat) / beats
    place = (turn - math.floor(turn)) * length
    backwards = values.reverse >= 0.5
    target = end - 1.0 - place if backwards else begin + place
    step = length / beats * state.clock.bpm / (60.0 * ctx.rate) if state.clock.running == 1 else 0.0
    if abs(step - 1.0) <= _OWN_TEMPO:
        step = 1.0
    target = _on_a_frame(target, pad.main.position, step)
    step = -step if backwards else step
    if pad.playing == 0 or (pad.left.end == 0.0 and pad.right.end == 0.0):
        pad.main.position = target
        voice.set_speed(pad.main, step, 0.0)
        return
    apart = target - pad.main.position
    apart -= length * math.floor(apart / length + 0.5)
    turned = pad.main.step < 0.0 if not backwards else pad.main.step > 0.0
    if abs(apart) > voice.STEER_FRAMES or turned:
        voice.jump(pad.main, pad.tail, target)
        voice.set_speed(pad.main, step, 0.0)
    elif abs(step - pad.main.step) > _CORNER or abs(apart) > _CORNER:
        voice.steer(pad.main, apart, step)
    else:
        pad.main.position = target if abs(pad.main.position - target) <= _CORNER else pad.main.position + apart
        voice.set_speed(pad.main, step, 0.0)


@kernel
def _on_a_frame(target: float, position: float, step: float) -> float:
    """The place to go to. At its own tempo a loop is played frame by frame, up to half a frame beside the beat: it is copied,
    not interpolated. Once it is on a frame it stays there, also where the beat is half-way between two."""
    nearest = math.floor(target + 0.5)
    if step != 1.0:
        return nearest if abs(target - nearest) < _ON_A_FRAME else target
    if position == math.floor(position) and abs(target - position) < _STAYS:
        return position
    return nearest


@kernel
def _sides(pad: Any, values: Any, running: int, follows: bool) -> tuple[float, float]:
    """Gains left and right: level and balance; silent while the clock stands that the pad follows."""
    if pad.left.source != values.gain + 1e6:  # never zero; the power is computed only when the level changes
        pad.left.source = values.gain + 1e6
        pad.left.goal = decibels(values.gain)
    gain = pad.left.goal
    if follows and running == 0:
        gain = 0.0
    return gain * min(1.0, 1.0 - values.pan), gain * min(1.0, 1.0 + values.pan)


@kernel
def launch_due(ctx: Any, state: Any) -> None:
    """Start and stop what is due at this frame."""
    beat = beat_at(state.clock, state.frame, ctx.rate) + 1e-6 * state.clock.bpm / (60.0 * ctx.rate)
    for cell in range(PAD_CELLS):
        if not is_awake(state, cell):
            continue
        pad = state.pad[cell]
        if pad.pending == IDLE or pad.pending_beat > beat:
            continue
        what = pad.pending
        pad.pending = IDLE
        if what == STOP:
            cut(state, cell)
            log(ctx, state, _STOPPED, 0, cell, state.frame, 0.0, 0.0, 0.0, 0, 0)
        elif pad.clip != 0:
            _choke(state, cell)
            if pad.playing == 1:
                voice.hand_over(pad.main, pad.tail)
            pad.playing = 0
            pad.origin_beat = pad.pending_beat
            _begin_voice(ctx, state, cell, state.frame)
            pad.playing = 1
            log(ctx, state, _LAUNCHED, 0, cell, state.frame, pad.velocity, 0.0, 0.0, 0, 0)


@kernel
def _choke(state: Any, cell: int) -> None:
    group = int(state.values.pad[cell].choke)
    if group == 0:
        return
    for other in range(PAD_CELLS):
        if other == cell or not is_awake(state, other) or state.pad[other].playing == 0:
            continue
        if int(state.values.pad[other].choke) == group:
            cut(state, other)


@kernel
def update(ctx: Any, state: Any) -> None:
    """Once a cell: playing pads follow their values and the beat."""
    for cell in range(PAD_CELLS):
        if not is_awake(state, cell):
            continue
        pad = state.pad[cell]
        pad.ringing = 0
        if pad.playing == 0 and pad.tail.clip == 0:
            if pad.pending == IDLE:
                state.awake[cell >> 6] &= ~(1 << (cell & 63))
            continue
        values = state.values.pad[cell]
        follows = False
        if pad.playing == 1:
            row = voice.clip_row(ctx, pad.clip)
            follows = _follows(values, row)
            mode = int(values.mode)
            if mode != _STUTTER:
                pad.main.begin, pad.main.end = _region(values, row)
            pad.main.loop = 1 if mode == _LOOP or mode == _STUTTER else 0
            if not follows:
                _move_freely(ctx, pad, _free_step(ctx, values, row))
            elif state.clock.running == 1 or (pad.left.end == 0.0 and pad.right.end == 0.0):
                _place_on_beat(ctx, state, cell, row, state.frame)
            else:
                voice.set_speed(pad.main, pad.main.step, 0.0)  # the clock stands: until it has faded out the pad runs on
            if pad.main.loop == 1 and (pad.main.begin > 0.0 or pad.main.end < float(row.frames)):
                voice.cross_seam(pad.main, pad.tail)
        left, right = _sides(pad, values, state.clock.running, follows)
        if int(values.group) != pad.group:  # it falls silent for a moment, and comes back on the other strip
            left, right = 0.0, 0.0
            if max(pad.left.end, pad.right.end) < _QUIET:
                pad.group = int(values.group)
        glide(pad.left, left)
        glide(pad.right, right)
        control_filter(pad.filter, values.filter, ctx.rate)


@kernel
def render(ctx: Any, state: Any, start: int, count: int) -> None:
    """Add all sounding pads to their groups' channels."""
    batch = 0
    for cell in range(PAD_CELLS):
        if not is_awake(state, cell):
            continue
        pad = state.pad[cell]
        if pad.main.clip != 0 or pad.tail.clip != 0:
            pad.ringing = 1  # its filter rings to the end of the cell, however the cell is cut
        if pad.ringing == 0:
            continue
        left, right = ctx.pad_sound[batch, 0], ctx.pad_sound[batch, 1]
        clear(left, start, count)
        clear(right, start, count)
        if pad.tail.clip != 0:
            voice.run(ctx, pad.tail, left, right, start, count)
        if pad.playing == 1 and not voice.run(ctx, pad.main, left, right, start, count):
            pad.playing = 0
            log(ctx, state, _ENDED, 0, 16 + cell, state.frame, 0.0, 0.0, 0.0, 0, 0)
        ctx.pad_cell[batch] = cell
        batch += 1
        if batch == BATCH:
            _mix(ctx, state, batch, start, count)
            batch = 0
    _mix(ctx, state, batch, start, count)


@kernel
def _mix(ctx: Any, state: Any, pads: int, start: int, count: int) -> None:
    """Filter what the last pads have rendered, and add it to their channels."""
    filter_pads(ctx, state, pads, start, count)
    for number in range(pads):
        pad = state.pad[ctx.pad_cell[number]]
        channel = _DECK_CHANNELS + min(max(pad.group, 1), 4) - 1
        ctx.channel_used[channel] = 1
        add_scaled(ctx.pad_sound[number, 0], ctx.channel[channel, 0], start, 0, count, pad.left)
        add_scaled(ctx.pad_sound[number, 1], ctx.channel[channel, 1], start, 0, count, pad.right)


@kernel
def skip(ctx: Any, state: Any, frames: int) -> None:
    """Move free-running pads on as if ``frames`` had been played; those on the clock follow it anyway."""
    for cell in range(PAD_CELLS):
        pad = state.pad[cell]
        if is_awake(state, cell) and pad.playing == 1:
            position = pad.main.position + pad.main.step * frames
            length = pad.main.end - pad.main.begin
            if pad.main.loop == 1 and length > 0.0:
                position = pad.main.begin + (position - pad.main.begin) % length
            pad.main.position = position


@kernel
def bank_cell(values: Any, index: int) -> int:
    """The cell of pad ``index`` 0…15 of the chosen bank."""
    return (min(max(int(values.pads.bank), 1), PAD_CELLS // PADS) - 1) * PADS + index
