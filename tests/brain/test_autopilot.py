# SPDX-License-Identifier: GPL-3.0-or-later
"""The autopilot plays: heard, off line, in simulated time, with real clips. What it decided can be read before it happens."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.gen.request import STYLE_BPM

from .simulated import Stage, lufs

SILENCE_LUFS = -50.0
JUMP_LU = 3.0
ON_THE_LINE_BARS = 1e-3


def judge(stage: Stage, loop_bars: int, phrases: int) -> dict[str, float]:
    """What the whole show was like, from its first launch on: the quietest 400 ms, and the largest step in loudness from a
    loop's length before a phrase line to one after it. Everything that changed did so on such a line."""
    changes = stage.changes()
    begin = next(bar for bar, what in changes if what == "launched")
    later = [(bar, what) for bar, what in changes if bar > begin + ON_THE_LINE_BARS]
    off = [(bar, what) for bar, what in later if abs(bar - round(bar / stage.phrase) * stage.phrase) > ON_THE_LINE_BARS]
    assert not off, f"not on a phrase line: {off[:5]}"
    tenths = stage.tenths()
    per_bar = 2400.0 / stage.bpm
    first = round(begin * per_bar) + 2
    moments = np.convolve(tenths[first:], np.full(4, 0.25), "valid")
    jumps = []
    for phrase in range(int(begin // stage.phrase) + 1, phrases):
        line = round(phrase * stage.phrase * per_bar)
        length = round(loop_bars * per_bar)
        if line - length >= first and line + length <= len(tenths):
            jumps.append(abs(lufs(tenths[line : line + length]) - lufs(tenths[line - length : line])))
    quietest = lufs(moments[[int(np.argmin(moments))]])
    return {"quietest": quietest, "jump": max(jumps), "changes": len(later), "lines": len(jumps),
            "99th": float(np.percentile(jumps, 99))}


def told_before(stage: Stage) -> None:
    """Everything that it did had been told as /brain/next, in these words, before it happened."""
    told: list[Any] = []
    for _, address, value in stage.told:
        if address == "/brain/next":
            told.append(value)
        elif address == "/brain/last":
            assert value in told and value["why"]


def test_it_plays_without_a_gap_or_a_jump_and_changes_on_phrase_lines(tmp_path: Path) -> None:
    stage = Stage(tmp_path, rate=24_000, phrase=2)
    stage.box.values.set("/gen/bars", 1)
    stage.fill(8)

    async def show() -> None:
        stage.box.values.set("/brain/on", True)
        await stage.until_bar(41)

    stage.play(show())
    found = judge(stage, 1, 20)
    assert found["quietest"] > SILENCE_LUFS and found["jump"] <= JUMP_LU and found["changes"] > 15, found
    told_before(stage)


@pytest.mark.soak
@pytest.mark.parametrize("style", ["deep_house", "jungle_dnb"])
def test_an_hour_of_autopilot(tmp_path: Path, style: str) -> None:
    stage = Stage(tmp_path, rate=24_000, style=style, bpm=float(STYLE_BPM[style]))
    stage.fill()
    bars = round(3600 * stage.bpm / 240)

    async def show() -> None:
        stage.box.values.set("/brain/on", True)
        await stage.until_bar(bars)

    stage.play(show())
    found = judge(stage, 4, bars // 8)
    print(style, found)  # with -s
    sections = [value for _, address, value in stage.told if address == "/brain/section"]
    assert found["quietest"] > SILENCE_LUFS and found["jump"] <= JUMP_LU, found
    assert sections[:4] == ["intro", "build", "drop", "break"] and sections[-1] in ("outro", "intro")
    told_before(stage)


def test_it_goes_on_when_control_is_killed_and_starts_again(tmp_path: Path) -> None:
    stage = Stage(tmp_path, rate=24_000, phrase=4)
    stage.box.values.set("/gen/bars", 1)
    stage.fill(8)
    seen: dict[str, Any] = {}

    async def show() -> None:
        stage.box.values.set("/brain/on", True)
        await stage.until_bar(6)
        await stage.desk.do("/pad/2/trigger", [1.0])
        await asyncio.sleep(1.0)
        seen["before"] = stage.desk.get_now("/brain/hands"), stage.desk.get_now("/brain/next")
        stage.restart_control()
        await asyncio.sleep(1.0)
        seen["after"] = stage.desk.get_now("/brain/hands"), stage.desk.get_now("/brain/next")
        await stage.until_bar(11)

    stage.play(show())
    assert seen["before"] == seen["after"] and seen["after"][1]["section"] == "build" and "/bank/1/pad/2" in seen["after"][0]
    assert {round(bar, 3) for bar, _ in stage.changes() if bar > 4.5} == {5.0, 8.0}, "the hand's bass, and its own phrase line"


def test_a_touch_wins_and_is_handed_back_on_the_phrase(tmp_path: Path) -> None:
    stage = Stage(tmp_path, rate=24_000, phrase=4)
    stage.box.values.set("/gen/bars", 1)
    stage.fill(8)
    drums = {0, 4}
    seen: dict[str, Any] = {}

    async def show() -> None:
        stage.box.values.set("/brain/on", True)
        await stage.until_bar(18)
        (cell,) = drums & set(stage.playing())
        await stage.desk.do(f"/pad/{cell + 1}/stop", [])
        stage.box.values.set("/channel/6/fader", 0.9)
        await asyncio.sleep(0.5)
        seen["hands"] = stage.desk.get_now("/brain/hands")
        seen["wanted"] = {f"/bank/1/pad/{cell + 1}": 21, "/channel/6": 21}
        await stage.until_bar(20)
        seen["while"] = set(stage.playing())
        await stage.until_bar(38)
        seen["after"] = set(stage.playing())
        seen["hands after"] = stage.desk.get_now("/brain/hands")
        stage.box.values.set("/brain/on", False)
        await asyncio.sleep(0.5)
        seen["off"] = stage.desk.get_now("/brain/next")

    stage.play(show())
    assert seen["hands"] == seen["wanted"]
    assert seen["while"] and not drums & seen["while"], "what a hand stopped stays so; the others play"
    assert drums & seen["after"] and seen["hands after"] == {} and seen["off"] == {}
