# SPDX-License-Identifier: GPL-3.0-or-later
"""``/deck/N/key/match`` on a box that plays: to another deck as it is heard, or to the generator's key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import soundfile as sf

from appliance.config import Config
from appliance.control.keymatch import nearest_shift, scale_of
from appliance.errors import ApplianceError
from tests.control.core.conftest import Rig, quick_config
from tests.signals import RATE, cadence


@pytest.mark.parametrize(("key", "scale"), [("C major", 0), ("A minor", 0), ("F# minor", 9), ("Eb major", 3), ("Bb minor", 1),
                                            ("B major", 11), ("", None), ("H minor", None), ("A", None)])
def test_relative_keys_are_one_scale(key: str, scale: int | None) -> None:
    assert scale_of(key) == scale


@pytest.mark.parametrize(("here", "there", "shift"), [(0, 0, 0), (0, 5, 5), (0, 6, -6), (0, 7, -5), (11, 0, 1), (0, 0.5, 0.5)])
def test_the_shorter_way_is_taken(here: float, there: float, shift: float) -> None:
    assert nearest_shift(here, there) == pytest.approx(shift)


def told(rig: Rig, number: int) -> Any:
    return rig.box.telemetry.snapshot()["deck"][number - 1]


@pytest.fixture
def config() -> Config:
    made = quick_config()
    made.analysis.enabled = True
    return made


async def test_a_deck_is_brought_to_what_is_heard(own: Rig, tmp_path: Path) -> None:
    rig = own
    async with rig.client() as hub:
        with pytest.raises(ApplianceError, match="not known"):
            await hub.do("/deck/1/key/match")
        for deck, key, tonic, mode in ((1, "A minor", 9, "minor"), (2, "D major", 2, "major")):
            sf.write(tmp_path / f"{deck}.wav", cadence(tonic, mode), RATE)
            await hub.do(f"/deck/{deck}/load", str(tmp_path / f"{deck}.wav"))

            async def found(deck: int = deck, key: str = key) -> bool:
                return await hub.get(f"/deck/{deck}/track/key") == key

            await rig.until(found, f"deck {deck} to be in {key}", 30)
        assert (await hub.do("/deck/1/key/match"))["to"] == "the generator's key"
        assert await hub.get("/deck/1/key") == 0.0 and await hub.get("/deck/1/keylock") is True
        await hub.do("/deck/2/play")
        await rig.until(lambda: told(rig, 2)["playing"], "deck 2")
        assert await hub.do("/deck/1/key/match") == {"to": "deck 2", "semitones": 2, "cents": 0.0}
        assert await hub.get("/deck/1/key") == 2.0
        await hub.set("/deck/2/key", 3.0)
        assert (await hub.do("/deck/1/key/match", "/deck/2"))["semitones"] == 5
        await hub.set("/deck/2/rate", 2 ** (1.4 / 12))
        await rig.until(lambda: abs(told(rig, 2)["speed"] - 2 ** (1.4 / 12)) < 1e-4, "the speed")
        assert await hub.do("/deck/1/key/match") == {"to": "deck 2", "semitones": -6, "cents": pytest.approx(40, abs=1)}
        await hub.do("/deck/1/key/match", 0)
        assert await hub.get("/deck/1/key") == -6.0, "a button that is let go does nothing"
        assert (await hub.do("/deck/1/key/match", 1.0))["to"] == "deck 2", "a button that is pressed"
        for wrong in ("/deck/1", "/deck/5", "two"):
            with pytest.raises(ApplianceError, match="another deck"):
                await hub.do("/deck/1/key/match", wrong)
