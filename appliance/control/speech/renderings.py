# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts as sound that is ready to be played: never longer than 2.5 s, all equally loud, kept in case they come again.

What would take longer is said faster; if that is not enough, fewer words of it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import numpy as np

from appliance.control.speech.words import shortened
from appliance.library.espeak import Espeak, NotSpoken, at_rate, trimmed

LONGEST_S = 2.5
LEAD_S = 0.03
"""Silence in front: meanwhile the music steps back."""
_TAIL_S = 0.01
_FASTER = 1.35
"""So much faster it may be said than the config wants."""
_FASTEST = 320
"""Words a minute, above which nobody understands a word."""
_FIRST_WORDS = 18
"""More are never said in the time, however short they are."""
_TRIES = 6
_PEAK = 0.5
KEPT = 48


class Renderings:
    """``words_a_minute``: how fast it is spoken when there is time. One text at a time."""

    def __init__(self, espeak: Espeak, words_a_minute: int) -> None:
        self.espeak = espeak
        self._usual = words_a_minute
        self._kept: OrderedDict[tuple[str, int], tuple[str, np.ndarray]] = OrderedDict()

    async def get(self, text: str, rate: int) -> tuple[str, np.ndarray]:
        """What is said of the text, and its sound: frames × 2 float32 at ``rate``. Raises Unavailable,
        :class:`NotSpoken`."""
        key = (text, rate)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        said, sound, own_rate = await self._fit(text)
        made = said, await asyncio.to_thread(_finished, sound, own_rate, rate)
        self._kept[key] = made
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return made

    async def _fit(self, text: str) -> tuple[str, np.ndarray, int]:
        text = shortened(text, _FIRST_WORDS)
        if not text:
            raise NotSpoken("there is nothing to say")
        speed, fastest = self._usual, max(self._usual, min(round(self._usual * _FASTER), _FASTEST))
        longest_s = LONGEST_S - LEAD_S - _TAIL_S
        sound, rate = await self._try(text, speed)
        for _ in range(_TRIES):
            ratio = len(sound) / rate / longest_s
            if ratio <= 1.0:
                return text, sound, rate
            before, speed = speed, min(round(speed * ratio * 1.05), fastest)
            ratio *= before / speed
            if before == fastest or ratio > 1.1:
                text = shortened(text, max(min(int(len(text.split()) / ratio), len(text.split()) - 1), 1))
            sound, rate = await self._try(text, speed)
        return text, sound[: int(longest_s * rate)], rate  # one endless word: it ends where its time does

    async def _try(self, text: str, speed: int) -> tuple[np.ndarray, int]:
        sound, rate = await self.espeak.speak(text, speed)
        return trimmed(sound), rate


def _finished(sound: np.ndarray, own_rate: int, rate: int) -> np.ndarray:
    sound = at_rate(sound, own_rate, rate)
    sound *= np.float32(_PEAK / max(float(np.abs(sound).max()), 1e-6))
    padded = np.concatenate([np.zeros(round(LEAD_S * rate), np.float32), sound, np.zeros(round(_TAIL_S * rate), np.float32)])
    padded = padded[: int(LONGEST_S * rate)]
    return np.repeat(padded[:, None], 2, axis=1)
