# SPDX-License-Identifier: GPL-3.0-or-later
"""Smoothed controls: no change may click.

Once a cell (64 frames) two one-pole stages in a row step towards the target; within the cell the value moves in a straight
line. The first step of a jump is 9 % of it, so the slope never breaks audibly; 99 % are reached after 27 ms at 48 kHz.
"""

from __future__ import annotations

from typing import Any

from appliance.bus.layout import CELL_FRAMES
from appliance.engine.jit import kernel, leaf

STAGE = 0.3
NEAR = 1e-6


@kernel
def glide(control: Any, target: float) -> None:
    """Step ``control`` (a GLIDE record) towards ``target``; call it once at the start of a cell."""
    now = control.end
    control.now = now
    if now == target and control.stage == target:
        control.step = 0.0
        return
    stage = control.stage + STAGE * (target - control.stage)
    end = now + STAGE * (stage - now)
    if abs(target - end) < NEAR and abs(target - stage) < NEAR:
        stage = target
        end = target
    control.stage = stage
    control.end = end
    control.step = (end - now) / CELL_FRAMES


_NEVER_ZERO = 1e6


@kernel
def glide_decibels(control: Any, db: float) -> None:
    """:func:`glide` towards a level in dB; the power is computed only when the level changes."""
    if control.source != db + _NEVER_ZERO:
        control.source = db + _NEVER_ZERO
        control.goal = decibels(db)
    glide(control, control.goal)


@kernel
def settle(control: Any, value: float) -> None:
    """Put ``control`` on ``value`` at once: for something that starts and has no past to click against."""
    control.stage = value
    control.now = value
    control.end = value
    control.step = 0.0


@leaf
def is_off(control: Any) -> bool:
    """The control stands at zero and stays there for this cell."""
    return control.now == 0.0 and control.end == 0.0


@kernel
def begin_fade(fade: Any, start: float, end: float, frames: int) -> None:
    """Ramp a FADE record from ``start`` to ``end`` over ``frames`` (0: at once)."""
    if frames <= 0:
        fade.level = end
        fade.step = 0.0
        fade.left = 0
        return
    fade.level = start
    fade.step = (end - start) / frames
    fade.left = frames


@leaf
def eased(level: float) -> float:
    """A fade's level with its corners rounded: the smooth step 3x² - 2x³. Two fades that cross still add up to 1."""
    return level * level * (3.0 - 2.0 * level)


@kernel
def decibels(db: float) -> float:
    """Linear gain of a level in dB; -60 dB and less are silence, 0 dB is exactly 1."""
    if db <= -60.0:
        return 0.0
    if db == 0.0:
        return 1.0
    return 10.0 ** (db / 20.0)
