# SPDX-License-Identifier: GPL-3.0-or-later
"""Any recording, and what a generator that keeps neither tempo nor key has made, becomes a loop: it is listened to first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from appliance.errors import BadValue
from appliance.gen.conform import ROLE_LUFS, ConformReport, checked, conform
from appliance.gen.import_request import ImportRequest
from appliance.gen.retune import folded_tempo
from appliance.gen.theory import parse_key
from appliance.library.analysis.listen import analyse_frames
from appliance.library.analysis.result import Analysis
from appliance.library.tempo import BEATS_IN_BAR

Samples = NDArray[np.float32]
MOST_BARS = 8


def conform_import(
    audio: Samples,
    rate: int,
    *,
    bpm: float,
    key: str | None = None,
    bars: int | None = None,
    beats_per_bar: float = BEATS_IN_BAR,
    target_rate: int = 48_000,
    target_lufs: float = -16.0,
    stems: Mapping[str, Samples] | None = None,
    found: Analysis | None = None,
) -> tuple[Samples, ConformReport, dict[str, Samples]]:
    """Make ``audio`` ((frames,), (frames, 1) or (frames, 2) at ``rate`` Hz) a loop at ``bpm``, in ``key`` when one is given.

    ``bars`` None: all of a loop, else as many as there are, 1, 2, 4 or 8. ``found``: its analysis, if there is one. Material
    without a tempo keeps its speed. Returns and raises like :func:`.conform.conform`.
    """
    audio = checked(audio)
    found = found or analyse_frames(audio, rate)
    source_bpm = folded_tempo(found.bpm, bpm) if found.bpm else bpm
    downbeat = round(found.downbeat_s * rate) if found.grid else None
    if bars is None:
        bars = _bars(len(audio) / rate, found, source_bpm)
    return conform(
        audio, rate, bpm=bpm, bars=bars, beats_per_bar=beats_per_bar, target_rate=target_rate, target_lufs=target_lufs,
        source_bpm=source_bpm, downbeat_frame=downbeat, near=True, semitones=_shift(found.key, key), stems=stems,
    )  # fmt: skip


def import_loop(request: ImportRequest, audio: Samples, rate: int, found: Analysis) -> tuple[Samples, ConformReport]:
    """What a request asks for. Raises like :func:`conform_import`."""
    loop, report, _ = conform_import(
        audio, rate, bpm=request.bpm, key=request.key, bars=request.bars, target_rate=request.sample_rate,
        target_lufs=ROLE_LUFS[request.role], found=found,
    )  # fmt: skip
    return loop, report


def _bars(seconds: float, found: Analysis, source_bpm: float) -> int:
    """Raises :class:`BadValue` for less than a bar."""
    if found.beats:
        return max(round(found.beats * source_bpm / found.bpm / BEATS_IN_BAR), 1)
    there = (seconds - found.downbeat_s) * source_bpm / 60.0 / BEATS_IN_BAR
    if there < 0.98:
        raise BadValue(f"{seconds:.2f} s of audio are less than one bar of {60.0 / source_bpm * BEATS_IN_BAR:.2f} s")
    return min(2 ** int(np.log2(there + 0.02)), MOST_BARS)


def _shift(source: str, wanted: str | None) -> float:
    """Semitones, -6 up to 5, from one key to another; a minor key and the major one of the same notes count as one."""
    if not source or not wanted:
        return 0.0
    return float((parse_key(wanted).relative_major - parse_key(source).relative_major + 6) % 12 - 6)
