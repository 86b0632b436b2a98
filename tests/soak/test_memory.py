# SPDX-License-Identifier: GPL-3.0-or-later
"""Growth is seen through restarts and through workers that come and go."""

from __future__ import annotations

import random

import pytest

from tests.soak.memory import Sample, growth


def samples(leak_kb_s: float, *, life_s: float = 90.0, minutes: float = 20.0) -> list[Sample]:
    rng, made = random.Random(3), []
    for step in range(int(minutes * 12)):
        second = step * 5.0
        age_s = second % life_s
        workers = rng.randrange(2)
        private_kb = 80_000 + leak_kb_s * age_s + 50_000 * workers + rng.uniform(-100, 100)
        pid, kb = 1 + int(second // life_s), int(private_kb)
        made.append(Sample(second, "gen", pid, age_s, 1 + workers, kb + 9000, kb))
    return made


@pytest.mark.parametrize(("leak_kb_s", "life_s", "low", "high"), [
    (0.0, 90.0, -1.0, 1.0), (0.0, 5000.0, -1.0, 1.0), (5.0, 5000.0, 2.0, 8.0), (50.0, 90.0, -2.0, 2.0)])
def test_a_leak_is_seen_and_none_is_made_up(leak_kb_s: float, life_s: float, low: float, high: float) -> None:
    """What a process that is ended every 90 s leaks is given back; what one leaks that lives is growth."""
    found = growth(samples(leak_kb_s, life_s=life_s))
    assert [one.role for one in found] == ["gen"]
    assert low < found[0].percent < high
    assert (found[0].surely > 2.0) == (low >= 2.0), found[0]
