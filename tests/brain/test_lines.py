# SPDX-License-Identifier: GPL-3.0-or-later
"""``/pad/N/launch`` and ``/pad/N/finish``: on the phrase line, exactly, whatever the pad's own grid is; a hit calls it off."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from appliance.bus.events import Kind
from appliance.errors import ApplianceError

from .simulated import Stage

PHRASE = 2


def stage_with(folder: Path, pads: int) -> Stage:
    stage = Stage(folder, rate=12_000, phrase=PHRASE)
    stage.box.values.set("/gen/bars", 1)
    stage.fill(pads)
    return stage


def heard(stage: Stage, kind: Kind) -> dict[int, float]:
    """The bar (from 0) in which each pad, from 1, did this last."""
    return {event.index + 1: round(stage.bar_of(event.frame), 4) for event in stage.events if event.kind == kind}


def test_it_starts_and_stops_on_the_line_whatever_the_grid(tmp_path: Path) -> None:
    stage = stage_with(tmp_path, 4)

    async def show() -> None:
        for pad, grid in enumerate(("off", "1/16", "1 bar"), 1):
            stage.box.values.set(f"/pad/{pad}/quantize", grid)
        await asyncio.sleep(0.3)
        for pad in (1, 2, 3):
            await stage.desk.do(f"/pad/{pad}/launch", [])
        await stage.desk.do("/pad/4/launch", ["bar"])
        await stage.until_bar(4)
        await stage.desk.do("/pad/1/launch", [])  # it plays: nothing happens
        for pad in (2, 3, 4):
            await stage.desk.do(f"/pad/{pad}/finish", ["phrase"])
        await stage.until_bar(6)
        assert stage.playing() == [0]

    stage.play(show())
    assert heard(stage, Kind.LAUNCHED) == {1: 2.0, 2: 2.0, 3: 2.0, 4: 1.0}
    assert heard(stage, Kind.STOPPED) == {2: 4.0, 3: 4.0, 4: 4.0}


def test_a_hit_calls_it_off_and_nonsense_is_refused(tmp_path: Path) -> None:
    stage = stage_with(tmp_path, 1)

    async def show() -> None:
        await asyncio.sleep(0.3)
        await stage.desk.do("/pad/1/launch", [0.0])  # a button let go
        await stage.desk.do("/pad/1/launch", ["phrase"])
        await stage.desk.do("/pad/1/trigger", [1.0])
        await stage.until_bar(5)
        for args, address, words in ((["soon"], "/pad/1/launch", "a line is"), ([], "/pad/9/launch", "nothing is loaded")):
            with pytest.raises(ApplianceError, match=words):
                await stage.desk.do(address, args)

    stage.play(show())
    assert heard(stage, Kind.LAUNCHED) == {1: 1.0} and heard(stage, Kind.STOPPED) == {}
