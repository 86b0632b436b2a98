# SPDX-License-Identifier: GPL-3.0-or-later
"""No parameter clicks: every value of the engine, jumped over its range and switched through its choices, while tones play.

A click is a bend in the curve. Measured is the largest second difference of each output around the change; it may be twice that
of the rougher of the two steady states, before and after.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from appliance.engine.backends.offline import OfflineEngine
from appliance.namespace import Kind, Node, Type
from appliance.nodes import ENGINE_GROUPS, NAMESPACE
from tests.signals import RATE, sine

CUE = (2, 3)
EXCLUDED: dict[str, tuple[str, tuple[int, ...]]] = {
    "/clock/metronome": ("it is a click, on the cue bus", CUE),
    "/clock/metronome_db": ("the level of a click, on the cue bus", CUE),
}
"""Outputs that are not looked at, and why."""

ADDRESSES = sorted(
    f"{next(group.addresses())[1]}/{node.name}"
    for group in ENGINE_GROUPS for node in group.nodes if node.kind is Kind.VALUE and node.owner == "engine"
)
"""Of every family its first member: deck 1, channel 1, pad 1."""

AT_WORK: dict[str, Any] = {
    "/channel/1/trim": -2.0, "/channel/1/low": 4.0, "/channel/1/mid": -5.0, "/channel/1/high": 3.0, "/channel/1/filter": -0.4,
    "/channel/1/fader": 0.7, "/channel/1/pan": 0.3, "/channel/5/low": -6.0, "/channel/5/filter": 0.1, "/channel/5/fader": 0.8,
    "/channel/6/trim": -9.0, "/channel/6/high": -20.0, "/mixer/crossfader": 0.4, "/mixer/crossfader/lag": 0.1,
    "/mixer/curve": "power", "/mixer/master": -3.0, "/mixer/balance": 0.2, "/mixer/booth": -4.0, "/mixer/cue/mix": 0.5,
    "/pad/1/gain": 3.0, "/pad/1/pan": -0.4, "/pad/1/filter": -0.2, "/pad/1/start": 0.25, "/pad/1/end": 0.75,
    "/deck/1/slip": True, "/deck/1/loop/beats": 2.0,
}
"""Nothing stands at its default, and deck 1 is in a loop."""


tone = cache(sine)


def plain(engine: OfflineEngine) -> None:
    """Everything at its default."""


def at_work(engine: OfflineEngine) -> None:
    for address, value in AT_WORK.items():
        engine.set(address, value)
    engine.do("/deck/1/loop/auto")


def limiting(engine: OfflineEngine) -> None:
    """The limiters take some dB away."""
    for address, value in {"/mixer/limiter/ceiling": -9.0, "/mixer/master": 4.0, "/mixer/booth": 4.0}.items():
        engine.set(address, value)


def free(engine: OfflineEngine) -> None:
    """A pad that goes at its own speed, a deck in sync."""
    for address, value in {"/pad/1/sync": False, "/pad/1/pitch": 3.0, "/deck/1/sync": True, "/channel/1/filter": 0.3}.items():
        engine.set(address, value)


def playing(engine: OfflineEngine, scene: Callable[[OfflineEngine], None]) -> None:
    """Two decks and a pad with low tones, also on the cue bus."""
    for deck, hz in ((1, 440.0), (2, 220.0)):
        engine.load_deck(deck, engine.load(tone(8.0, hz, 0.2), bpm=120))
        engine.do(f"/deck/{deck}/play")
    engine.load_pad(1, engine.load(tone(8.0, 330.0, 0.2), bpm=120, beats=16))
    engine.do("/pad/1/trigger")
    for channel in (1, 2, 5):
        engine.set(f"/channel/{channel}/cue", True)
    scene(engine)
    engine.run(RATE // 2, 1024)


def travel(node: Node, before: Any) -> list[Any]:
    """Over the whole range, and back to where it stood."""
    if node.type is Type.CHOICE:
        return [*node.choices, before]
    return [node.from_unit(0.0), node.from_unit(1.0), before]


def bends(sound: np.ndarray) -> np.ndarray:
    """The largest second difference of each output."""
    return np.abs(np.diff(sound.astype(np.float64), 2, axis=0)).max(0)


def _scenes(address: str) -> list[Callable[[OfflineEngine], None]]:
    sources = address.startswith(("/clock", "/deck", "/bank", "/pads"))
    return [plain, at_work, free if sources else limiting]


@pytest.mark.parametrize(("address", "scene"), [
    pytest.param(address, scene, id=f"{address}-{scene.__name__}") for address in ADDRESSES for scene in _scenes(address)
])
def test_no_parameter_clicks(engine: OfflineEngine, address: str, scene: Callable[[OfflineEngine], None]) -> None:
    playing(engine, scene)
    looked_at = [column for column in range(6) if column not in EXCLUDED.get(address, ("", ()))[1]]
    steady = bends(engine.run(RATE // 5, 1024))
    for value in travel(NAMESPACE.find(address).node, engine.values.get(address)):
        engine.set(address, value)
        change = bends(engine.run(RATE // 3, 1024))
        after = bends(engine.run(RATE // 5, 1024))
        most = 2 * np.maximum(steady, after) + 1e-6
        over = [column for column in looked_at if change[column] > most[column]]
        assert not over, f"{address} to {value}: {(2 * change / most)[over]} times the steady states, outputs {over}"
        steady = after


def test_the_exclusions_are_addresses() -> None:
    assert set(EXCLUDED) <= set(ADDRESSES)
