# SPDX-License-Identifier: GPL-3.0-or-later
"""Says a voice drop with espeak-ng: every turn of a dialogue in its speaker's voice, as loud as a voice over music is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from appliance.config import Voice
from appliance.gen.backends.base import Cancelled, GenerationCancelled, Progress, Samples
from appliance.gen.conform import ROLE_LUFS, level
from appliance.gen.drop import DropRequest
from appliance.library.espeak import Espeak, at_rate, trimmed

BREATH_S = 0.12
"""Between two turns."""
_VARIANTS = ("m3", "f2", "m7", "f4", "m1", "f5", "m5", "f1", "m4")
"""Of espeak-ng, for the speakers of a dialogue; the first one keeps the voice that was asked for."""


def say(request: DropRequest, progress: Progress, cancelled: Cancelled) -> tuple[Samples, float, list[str]]:
    """As :func:`over_music`. Raises Unavailable where there is no espeak-ng, :class:`~appliance.library.espeak.NotSpoken`,
    GenerationCancelled."""
    turns = request.turns()
    pieces: list[NDArray[np.float32]] = []
    rate = request.sample_rate
    for number, (speaker, text) in enumerate(turns):
        if cancelled():
            raise GenerationCancelled("cancelled")
        language, variant = voice_of(request.voice, speaker)
        espeak = Espeak(Voice(language=language, variant=variant, pitch=request.pitch))
        sound, rate = asyncio.run(espeak.speak(text, request.speed))
        pieces.append(sound)
        progress((number + 1) / len(turns))
    return over_music(pieces, rate, request.sample_rate)


def over_music(turns: Sequence[NDArray[np.float32]], own_rate: int, rate: int) -> tuple[Samples, float, list[str]]:
    """What was said at ``own_rate``, mono, as one drop: (frames, 2) float32 at ``rate``, its loudness (LUFS), and what was done
    to it. Raises BadValue when nothing can be heard."""
    breath = np.zeros(round(BREATH_S * rate), np.float32)
    pieces = [piece for turn in turns for piece in (at_rate(trimmed(turn), own_rate, rate), breath)]
    notes: list[str] = []
    audio = np.repeat(np.concatenate(pieces[:-1])[:, None], 2, axis=1)
    _, _, loudness = level([audio], rate, ROLE_LUFS["voice"], notes)
    return audio, loudness, notes


def voice_of(voice: str, speaker: int) -> tuple[str, str]:
    """Language and variant in which speaker 1 … 9 of a dialogue speaks, when speaker 1 has ``voice``."""
    language, _, variant = voice.partition("+")
    if speaker == 1:
        return language, variant
    others = [other for other in _VARIANTS if other != variant]
    woman = variant.startswith("f")
    others.sort(key=lambda other: other.startswith("f") == woman)  # the second is not of the first one's sex
    return language, others[(speaker - 2) % len(others)]
