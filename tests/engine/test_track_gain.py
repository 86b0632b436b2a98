# SPDX-License-Identifier: GPL-3.0-or-later
"""A track's own gain: heard as it is set, and without a click when it moves."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.bus.commands import Code
from appliance.engine.backends.offline import OfflineEngine
from appliance.nodes import NAMESPACE
from tests.signals import RATE, roughness, sine


def playing(gain_db: float) -> OfflineEngine:
    engine = OfflineEngine()
    clip = engine.load(sine(4.0, level=0.1))
    engine.values.set("/deck/2/track/gain", gain_db)
    engine.commands.send(Code.LOAD_DECK, 1, float(clip.handle))
    engine.run(4800)
    engine.commands.send(NAMESPACE.command("deck", "play"), 1, 1.0)
    engine.run(9600)
    return engine


@pytest.mark.parametrize("gain_db", [-12.0, -3.0, 6.0, 12.0])
def test_it_is_a_level_of_its_deck_alone(gain_db):
    plain, changed = playing(0.0).run(4800)[:, :2], playing(gain_db).run(4800)[:, :2]
    np.testing.assert_allclose(changed, plain * 10 ** (gain_db / 20), atol=1e-5)


def test_it_moves_without_a_click():
    loud, engine = playing(12.0), playing(-12.0)
    usual = roughness(loud.run(RATE // 2)[:, :2])
    engine.values.set("/deck/2/track/gain", 12.0)
    moving = engine.run(RATE // 2)[:, :2]
    assert roughness(moving) <= 2 * usual
    assert np.abs(moving[-4800:]).max() == pytest.approx(np.abs(loud.run(4800)[:, :2]).max(), rel=0.01)
