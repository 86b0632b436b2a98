# SPDX-License-Identifier: GPL-3.0-or-later
"""The stock of candidates by itself: what it holds, what a change of tempo or key leaves of it, what is taken from it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.bus import layout
from appliance.bus.box import Box
from appliance.bus.memory import PrivateSegment
from appliance.config import Config
from appliance.errors import BadValue
from appliance.gen import lookahead
from appliance.gen.asking import Asking
from appliance.gen.backends.procedural import ProceduralBackend
from appliance.gen.budget import Budget
from appliance.gen.lookahead import LookAhead
from appliance.gen.queue import JobQueue
from appliance.gen.renewing import Renewing
from appliance.gen.request import GenRequest
from appliance.gen.work import version_of
from appliance.gen.worker import make_clip
from appliance.library.store import AudioStore, Clip

BASS, DRUMS = "/bank/1/pad/2", "/bank/1/pad/1"


class Stock:
    """Look-ahead whose work is done by hand. ``done`` are actions at the desk, ``asked`` what was queued for somebody."""

    def __init__(self, data: Path) -> None:
        config = Config()
        config.audio.rate = 8000
        self.box = Box(data, config, PrivateSegment(layout.BOX.itemsize), "test")
        self.box.values.reset()
        self.box.record["rate"] = 8000
        self.box.values.set("/gen/bars", 1)
        self.box.values.set("/gen/candidates", 1)
        self.store, self.queue = AudioStore(data), JobQueue(data / "jobs.sqlite")
        self.loaded: dict[str, str] = {}
        self.told: dict[str, Any] = {}
        self.playing: set[str] = set()
        self.prepared: list[tuple[str, str]] = []
        self.asked: list[tuple[GenRequest, str, str, bool]] = []
        self.done: list[tuple[Any, ...]] = []
        asking = Asking(self.box, ("procedural",))
        self.ahead = LookAhead(
            asking, self.store, self.queue, Budget(self.box, 1.0, data / "none"), self.loaded, self.playing.__contains__,
            lambda: int(self.box.values.get("/gen/candidates")), self.told.__setitem__,
            lambda target, clip: self.prepared.append((target, clip.hash)))
        self.renewing = Renewing(
            asking, self.ahead, self.store, self, self._submit, self.playing.__contains__, self.clip_on,  # type: ignore[arg-type]
            lambda target: clip.role if (clip := self.clip_on(target)) else "", lambda _job: True)
        self._backend = ProceduralBackend()

    def _submit(self, request: GenRequest, target: str, line: str, take: bool) -> Any:
        self.asked.append((request, target, line, take))
        return SimpleNamespace(id=len(self.asked), target=target)

    async def set(self, address: str, value: Any) -> None:
        self.box.values.set(address, value)

    async def do(self, address: str, *args: Any) -> None:
        self.done.append((address, *args))

    def clip_on(self, target: str) -> Clip | None:
        return self.store.get(Path(self.loaded.get(f"{target}/file", "")).stem)

    def made(self, request: GenRequest) -> Clip | None:
        return self.store.made(request.content_hash(version_of(request)))

    def make(self, request: GenRequest) -> Clip:
        if (clip := self.made(request)) is not None:
            return clip
        fields = make_clip(self._backend, request, self.store.folder, lambda _: None, lambda: False)
        kept = {key: fields[key] for key in ("frames", "rate", "name", "role", "bpm", "bars", "beats", "key", "loudness")}
        name = request.content_hash(version_of(request))
        return self.store.register(fields["hash"], **kept, lineage=fields["lineage"], request=name)

    def work(self) -> int:
        """Until everything is ready; how many clips were made."""
        count, rest = 0, 0
        while rest < 3:
            request = self.ahead.next()
            if request is not None:
                self.make(request)
                self.ahead.made(request, 0.0)
                count, rest = count + 1, 0
            elif not self.ahead._breathes:
                rest += 1
                time.sleep(0.002)
        return count

    def load(self, target: str, request: GenRequest) -> None:
        self.loaded[f"{target}/file"] = str(self.make(request).path)
        self.ahead.changed(target)


@pytest.fixture
def stock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stock]:
    monkeypatch.setattr(lookahead, "SETTLE_S", 0.0)
    made = Stock(tmp_path)
    yield made
    made.queue.close()
    made.store.close()


def test_every_pad_has_candidates_and_none_comes_twice(stock: Stock) -> None:
    assert stock.work() == 16 and len(stock.prepared) == 16
    assert all(stock.told[f"/bank/1/pad/{pad}/candidates"] == 1 for pad in range(1, 17))
    first = stock.ahead.take(BASS)
    assert first.role == "bass" and stock.made(first), "what would fill it"
    assert stock.told[f"{BASS}/candidates"] == 0
    stock.load(BASS, first)
    assert stock.work() == 1
    second = stock.ahead.take(BASS)
    assert stock.made(second) and (second.parts, second.energy) == (("bass",), first.energy)
    assert second.harmony_seed == first.harmony_seed and second.seed != first.seed
    assert stock.ahead.take(BASS).seed not in (first.seed, second.seed)
    stock.loaded[f"{BASS}/file"] = "/mine.wav"
    with pytest.raises(BadValue, match="no recipe"):
        stock.ahead.take(BASS)


def test_what_changes_is_followed_at_once_and_true_ones_are_made_behind(stock: Stock) -> None:
    for target in (BASS, DRUMS):
        stock.load(target, stock.ahead.take(target))
    stock.work()
    stock.box.values.set("/clock/bpm", 133.0)
    old = stock.ahead.take(BASS)
    assert old.bpm == 120.0 and stock.made(old), "it follows the clock"
    stock.work()
    assert stock.ahead.take(BASS).bpm == 133.0
    stock.work()
    stock.box.values.set("/gen/key", "C minor")
    assert stock.ahead.take(DRUMS).key == "A minor", "there are no notes in it"
    bass = stock.ahead.take(BASS)
    assert bass.key == "C minor" and not stock.made(bass), "that is made at once, before all others"
    stock.box.values.set("/gen/style", "dub")
    assert stock.ahead.take(DRUMS).style == "dub"


def test_the_next_section_is_ready_for_what_plays(stock: Stock) -> None:
    stock.box.values.set("/gen/candidates", 1)
    stock.load(BASS, stock.ahead.take(BASS))
    stock.playing.add(BASS)
    stock.work()
    assert asyncio.run(stock.renewing.section([])) == "break" and stock.box.values.get("/gen/section") == "break"
    (request, target, line, take), = stock.asked
    assert (request.section, target, line, take) == ("break", BASS, "phrase", False) and stock.made(request)
    assert asyncio.run(stock.renewing.section(["outro", "bar"])) == "outro" and stock.asked[-1][2] == "bar"
    with pytest.raises(BadValue, match="no section 'chorus'"):
        asyncio.run(stock.renewing.section(["chorus"]))


async def test_auto_adds_what_is_missing_where_there_is_room(stock: Stock) -> None:
    for pad in (1, 2, 3, 6):
        stock.load(f"/bank/1/pad/{pad}", stock.ahead.take(f"/bank/1/pad/{pad}"))
    stock.playing.add(DRUMS)
    for role, pad, line in (("bass", 2, []), ("chords", 3, ["", "bar"])):
        added = await stock.renewing.auto(line)
        assert added and (added["role"], added["pad"]) == (role, f"/bank/1/pad/{pad}"), "and no second bass"
        assert stock.done[-1] == (f"/bank/1/pad/{pad}/launch", added["line"])
        stock.playing.add(added["pad"])
    added = await stock.renewing.auto([])
    assert added and added["role"] == "lead" and stock.asked[-1][1] == added["pad"], "none is loaded: an empty pad gets one"
    await asyncio.sleep(0.01)
    assert stock.done[-1] == (f"{added['pad']}/launch", "phrase")
    with pytest.raises(BadValue, match="nothing to add"):
        await stock.renewing.auto(["bass"])
