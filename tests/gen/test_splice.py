# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a loop is kept sample by sample; the rest is new, and nothing clicks."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.gen.seam import seam_ratio
from appliance.gen.splice import FADE_S, prolonged, splice

RATE = 48_000


def loop(seed: int, frames: int, level: float = 0.2) -> np.ndarray:
    """A sum of tones that goes round."""
    random = np.random.default_rng(seed)
    turns = np.arange(frames)[:, None] / frames
    tones = sum(np.sin(2 * np.pi * (random.integers(40, 900) * turns + random.random(2))) for _ in range(6))
    return (level * tones / 6).astype(np.float32)


@pytest.mark.parametrize("regions", [[(24_000, 48_000)], [(0, 10_000)], [(80_000, 96_000)], [(1000, 2000), (50_000, 96_000)]])
def test_outside_the_regions_every_sample_is_as_it_was(regions: list[tuple[int, int]]) -> None:
    kept, made = loop(1, 96_000), loop(2, 96_000, 0.05)
    got = splice(kept, made, regions, RATE)
    outside = np.ones(96_000, np.bool_)
    for begin, end in regions:
        outside[begin:end] = False
    assert np.array_equal(got[outside], kept[outside])
    begin, end = regions[-1]
    fade = int(FADE_S * RATE)
    inner = slice(begin + fade, end - fade)
    assert not np.allclose(got[inner], kept[inner], atol=1e-3), "inside it is new"
    assert seam_ratio(got) <= 1
    steps = np.abs(np.diff(got, 2, axis=0)).max()
    assert steps < 3 * np.abs(np.diff(kept, 2, axis=0)).max(), "no click where they meet"


def test_what_is_new_comes_at_the_level_of_what_is_kept_and_under_the_ceiling() -> None:
    kept, made = loop(1, 96_000), loop(1, 96_000) * np.float32(0.6)
    got = splice(kept, made, [(40_000, 60_000)], RATE)
    assert np.abs(got - kept).max() < 1e-3, "the same sound, only quieter, is brought back to its level"
    assert np.abs(splice(kept, made * np.float32(9.0), [(0, 48_000)], RATE)).max() <= 10 ** (-1 / 20) + 1e-5
    silent = np.zeros_like(kept)
    assert np.isfinite(splice(silent, made, [(0, 48_000)], RATE)).all()


def test_a_loop_that_goes_on_begins_with_itself_and_closes() -> None:
    source = loop(3, 48_000)
    whole = prolonged(source, 120_000, RATE)
    got = splice(whole, loop(4, 120_000), [(48_000, 120_000)], RATE)
    assert np.array_equal(got[:48_000], source) and seam_ratio(got) <= 1
