# SPDX-License-Identifier: GPL-3.0-or-later
"""Fusion of clips: who is heard when and how loud, the same bytes each time, and over the hub as a user asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from appliance.errors import ApplianceError, BadValue
from appliance.gen.backends.base import GenerationCancelled
from appliance.gen.fuse import fuse
from appliance.gen.fusion import FusionRequest, parse_fusion
from appliance.library.store import AudioStore

from .conftest import Running

RATE, BPM = 48000, 120.0
BAR = 96000
TONES = {"a" * 64: 440.0, "b" * 64: 1000.0}


def tone(hash_: str) -> tuple[np.ndarray, int]:
    """Two bars of a tone."""
    sound = np.sin(2 * np.pi * TONES[hash_] * np.arange(2 * BAR) / RATE)
    return np.stack((sound, sound), axis=1).astype(np.float32), RATE


def ask(weights: tuple[float, float] = (1, 1), **fields: Any) -> FusionRequest:
    parents = [{"hash": hash_, "bpm": BPM, "weight": weight} for hash_, weight in zip(TONES, weights, strict=True)]
    return parse_fusion({"parents": parents, "bpm": BPM, "bars": 4, **fields})


def played(request: FusionRequest) -> np.ndarray:
    return fuse(request, tone, lambda _: None, lambda: False)[0]


def level(loop: np.ndarray, bar: int, hz: float) -> float:
    """Amplitude of a tone in the middle of a bar."""
    piece = loop[bar * BAR + BAR // 4 : bar * BAR + 3 * BAR // 4, 0]
    return 2 * abs(np.mean(piece * np.exp(-2j * np.pi * hz * np.arange(len(piece)) / RATE)))


@pytest.mark.parametrize("align", ["start", "downbeat"])
def test_clips_lie_over_each_other_by_weight(align: str) -> None:
    loop = played(ask((1, 0.25), align=align))
    assert loop.shape == (4 * BAR, 2) and np.array_equal(loop, played(ask((1, 0.25), align=align)))
    for bar in range(4):  # both are repeated to the length; they are equally loud, K-weighted, before their weights
        assert level(loop, bar, 440.0) / level(loop, bar, 1000.0) == pytest.approx(4, rel=0.15)


def test_the_downbeat_of_a_loop_that_begins_elsewhere_is_found() -> None:
    def clicks(hash_: str) -> tuple[np.ndarray, int]:
        """A blow on every beat of a bar, the whole turned by a third of a beat."""
        sound = np.zeros((BAR, 2), np.float32)
        for beat in range(4):
            sound[beat * RATE // 2 : beat * RATE // 2 + 2000] = tone(hash_)[0][:2000]
        return np.roll(sound, 8000, axis=0), RATE

    parents = [{"hash": hash_, "bpm": BPM, "exact": False} for hash_ in TONES]
    loop = fuse(parse_fusion({"parents": parents, "bpm": BPM, "bars": 1}), clicks, lambda _: None, lambda: False)[0]
    loud = np.abs(loop[:, 0]) > 0.1 * np.abs(loop).max()
    assert loud[:200].any() and not loud[3000:23000].any()


def test_woven_clips_take_turns_bar_by_bar_as_often_as_their_weights_say() -> None:
    loop = played(ask((3, 1), align="weave"))
    heard = [level(loop, bar, 440.0) > 0.05 for bar in range(4)]
    other = [level(loop, bar, 1000.0) > 0.05 for bar in range(4)]
    assert sum(heard) == 3 and [not h for h in heard] == other


def test_another_tempo_gives_its_exact_length() -> None:
    assert len(played(ask(bpm=100.0))) == round(16 * 60 / 100 * RATE)


def test_it_is_cancelled_between_clips_and_nonsense_is_refused() -> None:
    with pytest.raises(GenerationCancelled):
        fuse(ask(), tone, lambda _: None, lambda: True)
    for fields, words in (({"align": "late"}, "align"), ({"bars": 0}, "bars"), ({"bpm": 500}, "bpm"),
                          ({"loud": 1}, "loud"), ({"bars": 64, "bpm": 40}, "longer than")):
        with pytest.raises(BadValue, match=words):
            ask(**fields)
    with pytest.raises(BadValue, match="every weight is 0"):
        ask((0, 0))


async def test_two_pads_become_one_loop_with_its_parents(running: Running) -> None:
    running.box.values.set("/clock/bpm", 124.0)
    for pad, part in ((1, "bass"), (2, "lead")):
        await running.do("/gen/generate", {"prompt": f"only {part}", "bars": pad, "seed": 1}, f"/pad/{pad}")
    await running.until(lambda: len(running.control.loads) == 2)
    await running.do("/gen/jobs")  # it has heard what is loaded
    asked = (["/pad/1", "/pad/2"], {"align": "weave", "weights": [1, 2]}, "/pad/5")
    id_ = await running.do("/gen/fuse", *asked)
    await running.until(lambda: len(running.control.loads) == 3)
    address, path, options = running.control.loads[2]
    assert address == "/bank/1/pad/5/load" and (options["bpm"], options["beats"]) == (124.0, 8.0)
    assert sf.info(path).frames == round(8 * 60 / 124 * RATE)
    clip = AudioStore(running.box.data).get(Path(path).stem)
    files = {place: file for place, file, _ in running.control.loads}
    assert clip and clip.lineage["parents"] == [Path(files[f"/bank/1/pad/{pad}/load"]).stem for pad in (1, 2)]
    assert (await running.job(id_))["request"]["align"] == "weave"
    await running.do("/gen/fuse", *asked[:2], "/pad/6")
    await running.until(lambda: len(running.control.loads) == 4)
    assert running.control.loads[3][1] == path, "the same is the same bytes"
    await running.do("/gen/jobs")
    for args, words in (((["/pad/1"],), "two to four"), ((["/pad/1", "/pad/9"],), "is empty"),
                        ((["/pad/1", "/pad/2"], {"align": "late"}), "align"), ((["/pad/1", "/pad/2"], {"loud": 1}), "'loud'"),
                        ((["/pad/1", "/pad/2"], {"weights": [1]}), "take 2 weights")):
        with pytest.raises(ApplianceError, match=words):
            await running.do("/gen/fuse", *args)
    with pytest.raises(ApplianceError, match="audio-to-audio needs a model"):
        await running.do("/bank/1/pad/5/vary", "rhythm")
