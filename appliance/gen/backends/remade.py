# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of a loop made anew by a model, or a loop that goes on; the rest is spliced back sample by sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from appliance.errors import BadValue
from appliance.gen.backends.base import Cancelled, Progress, Samples
from appliance.gen.conform import resampled
from appliance.gen.material import Material
from appliance.gen.request import GenRequest
from appliance.gen.said import words_for_model
from appliance.gen.splice import prolonged, splice

Regions = list[tuple[int, int]]


def inpainted(
    model: Any, request: GenRequest, folder: Path, progress: Progress, cancelled: Cancelled
) -> tuple[Samples, int, float]:
    """``inpaint_audio`` with ``inpaint_beats`` made anew: loop, rate, beats. Raises :class:`BadValue` for beats beyond it."""
    assert request.inpaint_audio is not None
    audio, rate, beats = _read(request.inpaint_audio, request, folder)
    frames_per_beat = len(audio) / beats
    regions: Regions = []
    for begin, end in request.inpaint_beats or ():
        if begin >= beats:
            raise BadValue(f"inpaint_beats: {begin:g} … {end:g} lies behind the end of the sound, which has {beats:g} beats")
        regions.append((round(begin * frames_per_beat), min(round(end * frames_per_beat), len(audio))))
    return _remade(model, request, audio, rate, regions, progress, cancelled), rate, beats


def continued(
    model: Any, request: GenRequest, folder: Path, progress: Progress, cancelled: Cancelled
) -> tuple[Samples, int, float]:
    """``continue_audio`` and ``bars`` more behind it: loop, rate, beats."""
    assert request.continue_audio is not None
    audio, rate, beats = _read(request.continue_audio, request, folder)
    more = request.beats
    frames = len(audio) + round(more * len(audio) / beats)
    whole = prolonged(audio, frames, rate)
    return _remade(model, request, whole, rate, [(len(audio), frames)], progress, cancelled), rate, beats + more


def _read(material: Material, request: GenRequest, folder: Path) -> tuple[Samples, int, float]:
    audio, rate = material.read(folder)
    beats = material.beats or len(audio) / rate * (material.bpm or request.bpm or 120.0) / 60.0
    return audio, rate, beats


def _remade(
    model: Any, request: GenRequest, audio: Samples, rate: int, regions: Regions, progress: Progress, cancelled: Cancelled
) -> Samples:
    if not hasattr(model, "inpaints"):
        raise BadValue(f"{request.backend} cannot inpaint or continue; that takes stable_audio", status=409)
    seconds = len(audio) / rate
    if seconds > model.longest_s:
        raise BadValue(f"{seconds:.1f} s are more than this model makes at once ({model.longest_s:.1f} s); take a shorter loop")
    heard = resampled(audio, rate, model.rate)
    scale = model.rate / rate
    made = model.generate(
        words_for_model(request), request.negative_prompt, request.seed or 0, len(heard), request.options or {}, progress,
        cancelled, inpaint=heard, regions=[(round(begin * scale), round(end * scale)) for begin, end in regions],
    )  # fmt: skip
    back = resampled(made, model.rate, rate)
    back = np.pad(back[: len(audio)], ((0, max(len(audio) - len(back), 0)), (0, 0)))
    return splice(audio, back, regions, rate)
