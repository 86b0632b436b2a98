# SPDX-License-Identifier: GPL-3.0-or-later
"""The same events give the same bits: between runs, and whatever the period is."""

from __future__ import annotations

import random

import numpy as np
import pytest

from appliance.bus.commands import Code
from appliance.engine.backends.offline import OfflineEngine
from appliance.nodes import NAMESPACE
from tests.signals import RATE, sine

FRAMES = 4 * RATE


def busy_script(seed: int) -> list[tuple[int, int, int, float]]:
    """(frame, code, index, a): everything at once, at frames that no period is fond of."""
    rng = random.Random(seed)
    script = []
    for _ in range(220):
        frame = rng.randrange(1, FRAMES)
        kind = rng.random()
        if kind < 0.4:
            script.append((frame, NAMESPACE.command("pad", "trigger"), rng.randrange(16), rng.choice([1.0, 0.4, 0.0])))
        elif kind < 0.5:
            name = rng.choice(["play", "cue", "jump", "loop/auto", "loop/exit", "loop/in", "loop/out"])
            script.append((frame, NAMESPACE.command("deck", name), rng.randrange(4), rng.choice([1.0, 0.0, -1.0])))
        elif kind < 0.53:
            script.append((frame, NAMESPACE.command("clock", "tap"), 0, 0.0))
        else:
            address = rng.choice([a for a in NAMESPACE if a.slot >= 0 and a.node.owner == "engine" and a.index < 16])
            value = address.node.to_slot(address.node.from_unit(rng.random()))
            script.append((frame, Code.SET, address.slot, value))
    return sorted(script, key=lambda event: event[0])


def perform(seed: int, periods: list[int], *, whole_copies: bool = False) -> np.ndarray:
    """Play the script with the given periods in turn; ``whole_copies``: an engine that never relies on its slot before."""
    engine = OfflineEngine()
    clips = [engine.load(sine(2.0, 110 * (n + 1), 0.2), bpm=120, beats=4) for n in range(4)]
    for pad in range(16):
        engine.load_pad(pad + 1, clips[pad % 4])
        engine.values.set(f"/bank/1/pad/{pad + 1}/mode", pad % 4)
        engine.values.set(f"/bank/1/pad/{pad + 1}/quantize", ("off", "1/8", "1 bar")[pad % 3])
    for deck in range(4):
        engine.load_deck(deck + 1, clips[deck])
        engine.do(f"/deck/{deck + 1}/play")
    script, out, turn = busy_script(seed), [], 0
    while engine.frame < FRAMES:
        period = min(periods[turn % len(periods)], FRAMES - engine.frame)
        turn += 1
        while script and script[0][0] < engine.frame + period:
            frame, code, index, a = script.pop(0)
            engine.commands.send(code, index, a, frame=frame)
        if whole_copies:
            engine.context["own_commits"] = 0
        out.append(engine.run(period, period))
    return np.concatenate(out)


@pytest.mark.parametrize("seed", [1, 2])
def test_bits_do_not_depend_on_the_period(seed: int) -> None:
    reference = perform(seed, [128])
    assert np.abs(reference).max() > 0.1
    np.testing.assert_array_equal(perform(seed, [128]), reference, "two runs differ")
    for periods in ([64], [256], [1024], [8192], [16], [96, 441, 7, 1024, 33]):
        np.testing.assert_array_equal(perform(seed, periods), reference, f"periods {periods}")


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_a_block_copies_all_of_the_state_that_matters(seed: int) -> None:
    """Only what a block touched is copied to the next one's slot; a whole copy sounds the same."""
    np.testing.assert_array_equal(perform(seed, [128]), perform(seed, [128], whole_copies=True))


def test_what_was_asked_for_first_is_obeyed_first(engine: OfflineEngine) -> None:
    """A command that was kept for a block's first frame, and one that comes in with that block."""
    engine.load_deck(1, engine.load(sine(8.0)))
    engine.run(64)
    engine.do("/deck/1/seek", 0.25, frame=1024)
    engine.run(960)
    engine.do("/deck/1/seek", 0.75)
    engine.run(64)
    assert engine.telemetry.snapshot()["deck"][0]["progress"] == pytest.approx(0.75)
