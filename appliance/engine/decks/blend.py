# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a deck is heard: its voice as it is (dry), or what the pitch shifter has made of it (wet).

``lock.hidden`` takes the voice away as ``lock.wet`` brings the shifter in.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from appliance.engine.dsp.glide import begin_fade, eased
from appliance.engine.dsp.voice import FADE_FRAMES
from appliance.engine.jit import kernel

_CROSS_FRAMES = 480


@kernel
def cut(lock: Any) -> None:
    """The voice goes elsewhere at this frame: it is heard dry at once, for it fades in itself; what is still in the shifter
    fades out."""
    lock.placed = 0
    if lock.wet.level > 0.0 and (lock.wet.left == 0 or lock.wet.step > 0.0):
        begin_fade(lock.wet, lock.wet.level, 0.0, FADE_FRAMES)
    begin_fade(lock.hidden, 0.0, 0.0, 0)


@kernel
def to_dry(lock: Any) -> None:
    """Cross over from the shifter to the voice."""
    if lock.wet.level > 0.0 and (lock.wet.left == 0 or lock.wet.step > 0.0):
        begin_fade(lock.wet, lock.wet.level, 0.0, _CROSS_FRAMES)
        begin_fade(lock.hidden, lock.hidden.level, 0.0, _CROSS_FRAMES)


@kernel
def to_wet(lock: Any) -> None:
    """Cross over from the voice to the shifter."""
    if lock.wet.left == 0 and lock.wet.level == 0.0:
        begin_fade(lock.wet, 0.0, 1.0, _CROSS_FRAMES)
        begin_fade(lock.hidden, lock.hidden.level, 1.0, _CROSS_FRAMES)


@kernel
def nothing_wet(lock: Any) -> None:
    """What the shifter had is gone, with the engine that had it."""
    begin_fade(lock.wet, 0.0, 0.0, 0)
    begin_fade(lock.hidden, 0.0, 0.0, 0)


@kernel
def dry_gain(lock: Any) -> float:
    """Gain of the voice at this moment: of what a jump leaves ringing."""
    return 1.0 - eased(lock.hidden.level)


@kernel
def is_dry(lock: Any) -> bool:
    return lock.hidden.level == 0.0 and lock.hidden.left == 0 and lock.wet.level == 0.0 and lock.wet.left == 0


@kernel
def apply(fade: Any, inverse: bool, left: np.ndarray, right: np.ndarray) -> None:
    """Multiply a span with a fade, or with what it leaves of 1, and move it on."""
    for i in range(len(left)):
        if fade.left > 0:
            fade.left -= 1
            fade.level += fade.step
            if fade.left == 0:
                fade.level = 1.0 if fade.step > 0.0 else 0.0
        gain = np.float32(eased(1.0 - fade.level if inverse else fade.level))
        left[i] *= gain
        right[i] *= gain
