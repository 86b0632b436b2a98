# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays a fusion, in the worker: every clip is brought to the grid, then they are laid over each other or take turns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from appliance.gen.backends.base import Cancelled, GenerationCancelled, Progress
from appliance.gen.conform import ROLE_LUFS, ConformReport, conform, find_downbeat
from appliance.gen.fusion import FusionRequest

Samples = NDArray[np.float32]
Read = Callable[[str], tuple[Samples, int]]
TURN_FADE_S = 0.01
"""In which a clip that has its turn takes over, before the bar line: the downbeat is whole."""


def fuse(request: FusionRequest, read: Read, progress: Progress, cancelled: Cancelled) -> tuple[Samples, ConformReport]:
    """A loop (frames, 2) and its report. ``read(hash)`` gives a clip's samples and rate (Hz). Raises
    :class:`GenerationCancelled`, :class:`BadValue` for a clip that is no loop."""
    turns = _turns([parent.weight for parent in request.parents], request.bars)
    mix = np.zeros((request.frames, 2), np.float32)
    for number, parent in enumerate(request.parents):
        if cancelled():
            raise GenerationCancelled("cancelled")
        audio, rate = read(parent.hash)
        if request.align != "start" and not parent.exact:  # a loop is turned, nothing of it is cut off
            audio = np.roll(audio, -find_downbeat(audio, rate, parent.bpm, int(len(audio) / rate * parent.bpm / 60)), axis=0)
        layer, _, _ = conform(
            audio, rate, bpm=request.bpm, bars=request.bars, beats_per_bar=request.beats_per_bar,
            target_rate=request.sample_rate, target_lufs=ROLE_LUFS["mix"], source_bpm=parent.bpm,
            downbeat_frame=0,
        )  # fmt: skip
        if request.align == "weave":
            mix += layer * _gate(turns == number, request)
        else:
            mix += layer * np.float32(parent.weight)
        progress((number + 1) / (len(request.parents) + 1))
    loop, report, _ = conform(
        mix, request.sample_rate, bpm=request.bpm, bars=request.bars, beats_per_bar=request.beats_per_bar,
        target_rate=request.sample_rate, target_lufs=ROLE_LUFS[request.role], downbeat_frame=0,
    )  # fmt: skip
    progress(1.0)
    return loop, report


def _turns(weights: list[float], bars: int) -> NDArray[np.int64]:
    """Whose turn each bar is: as often as the weights say, and as evenly (smooth weighted round robin)."""
    credit = np.zeros(len(weights))
    turns = np.zeros(bars, np.int64)
    for bar in range(bars):
        credit += weights
        turns[bar] = int(np.argmax(credit))
        credit[turns[bar]] -= sum(weights)
    return turns


def _gate(on: NDArray[np.bool_], request: FusionRequest) -> Samples:
    """The gain (frames, 1) of a clip that sounds in the bars that are ``on``; it comes and goes before the bar line."""
    fade = max(int(TURN_FADE_S * request.sample_rate), 1)
    gain = np.empty(request.frames, np.float32)
    for bar in range(request.bars):
        begin, end = (round(edge * request.frames / request.bars) for edge in (bar, bar + 1))
        gain[begin:end] = on[bar]
        following = on[(bar + 1) % request.bars]
        gain[end - fade : end] = np.linspace(float(on[bar]), float(following), fade, dtype=np.float32)
    return gain[:, None]
