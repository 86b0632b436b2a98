# SPDX-License-Identifier: GPL-3.0-or-later
"""Stems: they add up, each holds what it is named after, and long tracks need little memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from appliance.errors import BadValue
from appliance.gen.stems.filters import STEMS, separate, separate_blocks
from tests.drums import drums

RATE = 44_100


def band(seconds: float = 6.0) -> dict[str, np.ndarray]:
    """Drums, a bass note, a voice in the middle and a chord at the sides; (frames, 2) each."""
    time = np.arange(round(seconds * RATE)) / RATE
    hits = drums("four", 120.0, seconds)[: len(time)]
    hits = hits if hits.ndim == 2 else np.repeat(hits[:, None], 2, axis=1)
    low = np.repeat(0.2 * np.sin(2 * np.pi * 65 * time)[:, None], 2, axis=1)
    voice = sum(0.1 / part * np.sin(2 * np.pi * 330 * part * time + 3 * np.sin(2 * np.pi * 5 * time)) for part in range(1, 6))
    chord = sum(0.05 * np.sin(2 * np.pi * hz * time) for hz in (523.25, 659.26, 783.99))
    return {"drums": 0.5 * hits, "bass": low, "vocals": np.stack((voice, voice), 1), "other": np.stack((chord, -chord), 1)}


def share(stem: np.ndarray, source: np.ndarray) -> float:
    """How alike in shape, 0 … 1."""
    a, b = stem.ravel().astype(float), source.ravel().astype(float)
    return abs(float(a @ b)) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12)


def test_each_stem_holds_most_of_what_it_is_named_after() -> None:
    sources = band()
    stems = separate(np.sum(list(sources.values()), axis=0).astype(np.float32), RATE)
    assert tuple(stems) == STEMS
    for name, least in (("drums", 0.6), ("bass", 0.8), ("vocals", 0.8), ("other", 0.8)):
        own = share(stems[name], sources[name])
        assert own > least, (name, own)
        assert all(share(stems[name], sources[other]) < own for other in STEMS if other != name), name


@pytest.mark.parametrize("frames", [1, 1000, 4096, 44_100, 300_001])
def test_stems_add_up_to_the_mix(frames: int) -> None:
    random = np.random.default_rng(frames)
    audio = (0.3 * random.standard_normal((frames, 2))).astype(np.float32)
    stems = separate(audio, RATE)
    assert all(stem.shape == audio.shape and stem.dtype == np.float32 for stem in stems.values())
    assert np.abs(np.sum(list(stems.values()), axis=0) - audio).max() < 1e-6  # -120 dB


def test_silence_is_silent() -> None:
    assert not any(stem.any() for stem in separate(np.zeros((50_000, 2), np.float32), RATE).values())


def test_pieces_make_no_difference_and_are_held_for_seconds_only() -> None:
    audio = np.sum(list(band(9.0).values()), axis=0).astype(np.float32)
    whole = separate(audio, RATE)
    given = 0

    def blocks() -> Any:
        nonlocal given
        for at in range(0, len(audio), 7777):
            given = min(at + 7777, len(audio))
            yield audio[at : at + 7777]

    pieces, out = [], 0
    for piece in separate_blocks(blocks(), RATE):
        pieces.append(piece)
        out += len(piece["other"])
        assert given - out < 5 * RATE
    for name in STEMS:
        joined = np.concatenate([piece[name] for piece in pieces])
        assert joined.shape == audio.shape and np.abs(joined - whole[name]).max() < 2e-3, name


def test_what_is_not_stereo_is_refused() -> None:
    with pytest.raises(BadValue, match="stereo"):
        separate(np.zeros((100, 1), np.float32), RATE)
