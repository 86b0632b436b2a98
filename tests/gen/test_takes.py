# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes and variations over the hub, as a controller's buttons ask for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.errors import ApplianceError
from appliance.gen.request import GenRequest, parse_request
from appliance.gen.takes import MAX_TAKES, TakeStore
from appliance.gen.vary import varied

from .conftest import Running

PAD = "/bank/1/pad/3"


async def made(running: Running, request: dict[str, Any], target: str = "/pad/3") -> str:
    """Generated and brought to the target: its hash."""
    before = len(running.control.loads)
    await running.do("/gen/generate", {"bars": 1, **request}, target)
    await running.until(lambda: len(running.control.loads) > before)
    return Path(running.control.loads[-1][1]).stem


def told(running: Running) -> tuple[Any, ...]:
    return tuple(running.control.states.get(f"{PAD}/{name}") for name in ("take", "takes", "take/kept"))


async def test_back_and_forward_through_the_takes_also_after_a_restart(running: Running) -> None:
    clips = [await made(running, {"prompt": "only bass", "seed": seed, "candidates": 1 + (seed == 2)}) for seed in (1, 2)]
    await running.until(lambda: told(running) == (2, 3, False))  # the second candidate is a take, too
    assert await running.do(f"{PAD}/take/next") == 3
    await running.until(lambda: told(running) == (3, 3, False))
    assert await running.do(f"{PAD}/take/next", 1.0) == 1  # round; a button pressed
    await running.do(f"{PAD}/take/next", 0.0)  # … and let go
    await running.until(lambda: told(running) == (1, 3, False))
    address, path, options = running.control.loads[-1]
    assert (address, Path(path).stem, options["at"]) == (f"{PAD}/load", clips[0], "grid")
    assert await running.do(f"{PAD}/take/keep") == 1
    await running.until(lambda: told(running) == (1, 3, True))
    await running.kill()
    await running.do("/gen/jobs")  # it watches by now
    running.control.hub.announce(f"{PAD}/file", running.control.files[PAD])  # as control tells a new watcher
    await running.until(lambda: told(running) == (1, 3, True))
    assert await running.do(f"{PAD}/take/previous") == 3
    await running.until(lambda: told(running) == (3, 3, False))
    assert await running.do(f"{PAD}/take/load", 2) == 2
    await running.until(lambda: running.control.files[PAD].endswith(f"{clips[1]}.wav"))
    running.control.hub.announce(f"{PAD}/file", "/mine.wav")
    await running.until(lambda: told(running) == (0, 3, False))
    for address, args, words in ((f"{PAD}/take/load", [4], "1 … 3"), ("/bank/1/pad/9/take/next", [], "no takes yet"),
                                 (f"{PAD}/take/keep", ["so"], "true or")):
        with pytest.raises(ApplianceError, match=words):
            await running.do(address, *args)


async def test_variations_become_takes_and_what_was_not_generated_has_none(running: Running) -> None:
    first = await made(running, {"prompt": "only bass", "seed": 1})
    asked = await running.job(1)
    for number, (kind, value) in enumerate((("rhythm", None), ("length", 2), ("text", "dark and gritty")), start=2):
        id_ = await running.do(f"{PAD}/vary", kind, *([] if value is None else [value]))
        await running.until(lambda number=number: told(running)[1] == number)
        before, asked = asked, await running.job(id_)
        changed = {key for key, value in asked["request"].items() if value != before["request"][key]} - {"name"}
        assert changed == ({"rhythm_seed"}, {"bars"}, {"prompt", "mood", "texture"})[number - 2]
    await running.do("/gen/vary", first, "rhythm", "", "/pad/3")  # that rhythm is a take already: another one
    await running.until(lambda: told(running)[1] == 5)
    await running.do("/gen/vary", first, "simple")
    await running.until(lambda: any(address == "/bank/1/pad/1/load" for address, _, _ in running.control.loads))
    running.control.hub.announce("/deck/2/file", "/music/song.mp3")
    await running.do("/gen/jobs")
    for address, args, words in (
        ("/deck/2/vary", ["rhythm"], "audio-to-audio needs a model"), (f"{PAD}/vary", ["louder"], "no variation 'louder'"),
        ("/bank/1/pad/7/vary", ["rhythm"], "is empty"), (f"{PAD}/vary", [], "takes its kind"),
    ):
        with pytest.raises(ApplianceError, match=words):
            await running.do(address, *args)


def test_the_oldest_takes_go_and_kept_ones_stay(tmp_path: Path) -> None:
    takes = TakeStore(tmp_path / "takes.sqlite")
    for number in range(MAX_TAKES):
        assert takes.add("/deck/1", [f"{number}"])
    takes.keep("/deck/1", 1, kept=True)
    assert takes.add("/deck/1", ["new"]) and takes.add("/deck/1", ["0"])
    assert [take.hash for take in takes.of("/deck/1")] == ["0", *(str(n) for n in range(2, MAX_TAKES)), "new"]
    assert [take.hash for take in takes.of("/deck/1") if take.current] == ["0"]
    for number in range(MAX_TAKES):
        takes.keep("/deck/1", number + 1, kept=True)
    assert not takes.add("/deck/1", ["newer"]) and len(takes.of("/deck/1")) == MAX_TAKES
    takes.close()
    assert len(TakeStore(tmp_path / "takes.sqlite").hashes()) == MAX_TAKES


def bass(**fields: Any) -> GenRequest:
    return parse_request({"prompt": "only bass", "seed": 1, "bars": 1, **fields}).resolved()


def test_a_variation_changes_what_it_names_and_is_the_same_each_time() -> None:
    base = bass(complexity=0.5)
    assert varied(base, "complex").complexity == 0.75 and varied(base, "simple").complexity == 0.25
    for kind in ("instrument", "rhythm", "melody"):
        one = varied(base, kind)
        assert one == varied(base, kind) and one.content_hash() != base.content_hash()
        assert varied(base, kind, None, 1).content_hash() != one.content_hash()
        assert (one.seed, one.harmony_seed) == (base.seed, base.harmony_seed)
    assert varied(base, "length").bars == 2 and varied(base, "length", 8).bars == 8
    assert varied(base, "text", "qwerty").seed != base.seed  # says nothing that is known: another take
    for kind, request, words in (("complex", bass(complexity=1.0), "complex as can be"), ("text", base, "takes the words"),
                                 ("melody", bass(parts=["drums"]), "no melody"), ("length", base, "1 … 64")):
        with pytest.raises(ApplianceError, match=words):
            varied(request, kind, 1000 if kind == "length" else None)
