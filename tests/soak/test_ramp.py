# SPDX-License-Identifier: GPL-3.0-or-later
"""The simple judge finds planted damage, names it, and finds nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pytest

from tests.soak.ramp import judge_ramp, ramp_clip

N, LOOP, CYCLES = 128, 48000, 2000


def recorded(gap_at: int = 0, gap: int = 0, first: int = 4_294_000_000, period: int = N) -> tuple[np.ndarray, np.ndarray]:
    """A loop that plays without end, heard through the loopback driver; the frame time wraps in the middle of it."""
    times = np.zeros((CYCLES, 2), np.int64)
    times[:, 0] = first + period * np.arange(CYCLES)
    times[gap_at + 1 :, 0] += gap if gap_at else 0
    times[:, 1] = period
    played = np.concatenate([[times[0, 0] - period], times[:-1, 0]])
    frames = (played[:, None] + np.arange(period)).reshape(-1)
    times[:, 0] %= 1 << 32
    return ramp_clip(LOOP)[(frames + 777) % LOOP], times


@pytest.mark.parametrize("columns", [1, 2])
def test_nothing_is_found_where_nothing_is(columns: int) -> None:
    heard, times = recorded()
    found = judge_ramp(heard[:, :columns], times, LOOP)
    assert (found.faults, found.unrecorded, found.judged) == ([], 0, CYCLES * N)


def test_silence_repeats_mixtures_and_parts_of_blocks_are_told_apart() -> None:
    heard, times = recorded()
    heard[100 * N : 102 * N] = 0
    heard[200 * N : 201 * N] = heard[199 * N : 200 * N]
    heard[300 * N : 301 * N] += heard[299 * N : 300 * N]
    heard[400 * N + 10 : 400 * N + 20] = 0
    found = judge_ramp(heard, times, LOOP)
    assert [(f.frames, f.silent, f.repeated, f.displaced, f.mixed, f.partial_blocks) for f in found.faults] == [
        (2 * N, 2 * N, 0, 0, 0, 0), (N, 0, N, 0, 0, 0), (N, 0, 0, 0, N, 0), (10, 10, 0, 0, 0, 1)]
    assert [(f.time - int(times[0, 0])) % (1 << 32) for f in found.faults] == [99 * N, 199 * N, 299 * N, 399 * N + 10]
    assert (found.grid_error, found.lost) == (0, 4 * N + 10)


def test_a_take_over_that_repeats_one_block_and_loses_one() -> None:
    heard, times = recorded()
    for block in (500, 501, 502):
        heard[block * N : (block + 1) * N] = heard[499 * N : 500 * N]
    found = judge_ramp(heard, times, LOOP)
    assert [(f.frames, f.repeated, f.partial_blocks, f.grid_error) for f in found.faults] == [(3 * N, 3 * N, 0, 0)]


@pytest.mark.parametrize("by", [-128, -1, 1, 37, 5000])
def test_an_error_of_the_grid_is_measured(by: int) -> None:
    heard, times = recorded()
    heard[700 * N :] = np.roll(heard, -by, axis=0)[700 * N :]
    heard[1500 * N : 1501 * N] = 0
    heard[-5000:] = heard[-10000 : -5000] * 0 + np.roll(recorded()[0], -by, axis=0)[-5000:]  # what rolled over the end
    found = judge_ramp(heard[: -6000], times[: -50], LOOP)
    assert [f.grid_error for f in found.faults] == [by, 0]
    assert found.faults[1].silent == N


def test_cycles_that_the_server_lost_are_no_fault_of_the_box() -> None:
    heard, times = recorded(gap_at=900, gap=5 * N + 13)
    found = judge_ramp(heard, times, LOOP)
    assert (found.faults, found.unrecorded) == ([], 5 * N + 13)


def test_cycles_that_the_recorder_missed_are_no_fault_of_the_box() -> None:
    heard, times = recorded()
    keep = np.ones(CYCLES, bool)
    keep[800:803] = False
    found = judge_ramp(heard[np.repeat(keep, N)], times[keep], LOOP)
    assert (found.faults, found.unrecorded) == ([], 3 * N)


def test_a_block_that_overtakes_the_loopback_driver_is_no_fault_of_the_box() -> None:
    heard, times = recorded()
    heard[700 * N : 701 * N] = heard[701 * N : 702 * N]
    heard[900 * N + 40 : 901 * N] = heard[901 * N + 40 : 902 * N]
    heard[1100 * N : 1101 * N, 1] = heard[1101 * N : 1102 * N, 1]
    found = judge_ramp(heard, times, LOOP)
    assert (found.faults, found.overtaken) == ([], 3)


def test_damage_beside_a_lost_cycle_says_so() -> None:
    heard, times = recorded(gap_at=900, gap=2 * N)
    heard[902 * N : 903 * N] = 0
    heard[1200 * N : 1201 * N] = 0
    found = judge_ramp(heard, times, LOOP)
    assert [found.near_gap(f) for f in found.faults] == [True, False]


def test_periods_may_change() -> None:
    frames = np.array([128] * 200 + [64] * 300 + [1024] * 50 + [128] * 200)
    starts = 1000 + np.concatenate([[0], np.cumsum(frames)[:-1]])
    played = np.concatenate([[1000 - 128], starts[:-1]])
    heard = np.concatenate([ramp_clip(LOOP)[(p + np.arange(n)) % LOOP] for p, n in zip(played, frames, strict=True)])
    found = judge_ramp(heard, np.stack([starts, frames], 1), LOOP)
    assert sum(f.frames for f in found.faults) <= 2 * 1024  # the first block of another length holds what was left of the last
    assert found.grid_error == 0
