# SPDX-License-Identifier: GPL-3.0-or-later
"""What could be wanted next, and is it ready? Candidates for every pad are made before anybody asks, while nobody waits.

A pad with a generated clip has candidates of the same kind with other seeds, in the box's style, key and tempo; an empty one
of the chosen bank has what would fill it. Of pads that play, the next section is ready, too. They lie in the store under the
hash of their request, so no list of them can be lost; what was taken once is counted for each pad, and does not come again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.errors import ApplianceError
from appliance.gen.asking import Asking
from appliance.gen.budget import Budget
from appliance.gen.queue import JobQueue
from appliance.gen.request import GenRequest, Section, parse_request
from appliance.gen.vary import recipe
from appliance.gen.work import Request, version_of
from appliance.library.store import AudioStore, Clip

SETTLE_S = 0.5
"""A knob that is turned has come to rest: nothing is made for where it passes by."""
IDLE_S = 1.0
_PERCUSSIVE = frozenset({"drums", "percussion"})
NEXT_SECTION: dict[Section, Section] = {
    "intro": "build", "build": "drop", "drop": "break", "break": "build", "outro": "intro",
}
_END = parse_request({})
Tell = Callable[[str, Any], None]
Prepare = Callable[[str, Clip], None]


@dataclass
class Slot:
    """The next candidates of a pad, the first to be taken first; ``ready`` are the hashes of the clips that are made.
    ``before``: what was ready when style, key or tempo changed, and still serves. ``of``: what all this follows from."""

    of: tuple[Any, ...] = ()
    requests: tuple[GenRequest, ...] = ()
    names: tuple[str, ...] = ()
    ready: dict[str, str] = field(default_factory=dict)
    before: GenRequest | None = None


class LookAhead:
    """A :class:`appliance.gen.runner.Spare`. ``loaded`` are files by ``/bank/1/pad/3/file``; ``plays(target)``: it sounds or is
    about to; ``candidates()``: how many a pad shall have; ``prepare`` has a clip brought into memory."""

    def __init__(
        self, asking: Asking, store: AudioStore, queue: JobQueue, budget: Budget, loaded: dict[str, str],
        plays: Callable[[str], bool], candidates: Callable[[], int], tell: Tell, prepare: Prepare,
    ) -> None:
        self._asking = asking
        self._store = store
        self._queue = queue
        self._budget = budget
        self._loaded = loaded
        self._plays = plays
        self._candidates = candidates
        self._tell = tell
        self._prepare = prepare
        self._slots: dict[str, Slot] = {}
        self._prepared: dict[str, str] = {}
        self._told: dict[str, Any] = {}
        self._failed: set[str] = set()
        self._walk: Iterator[GenRequest | None] = iter(())
        self._breathes = False
        self._seen: tuple[Any, ...] = ()
        self._seen_s = 0.0
        self._stale = False

    # -- for the runner

    def next(self) -> GenRequest | None:
        """See :class:`appliance.gen.runner.Spare`."""
        if why := self._budget.refusal():
            self._say("/gen/ahead", why)
            return None
        now = time.monotonic()
        if (surroundings := (*self._asking.surroundings, self._candidates())) != self._seen:
            self._seen, self._seen_s, self._stale = surroundings, now, True
        if now - self._seen_s < SETTLE_S or self._budget.wait_s() > 0.0:
            return None
        if self._stale:
            self._stale = False
            self._walk = self._missing()
        request = next(self._walk, _END)
        self._breathes = request is None
        if request is _END:
            self._say("/gen/ahead", "ready")
            return None
        if request is not None:
            self._say("/gen/ahead", "making")
        return request

    def made(self, request: Request, took_s: float) -> None:
        self._budget.used(took_s)
        for target, slot in self._slots.items():
            for candidate, name in zip(slot.requests, slot.names, strict=True):
                if candidate == request and (clip := self._store.made(name)):
                    self._note(target, slot, name, clip)

    def failed(self, request: Request, message: str) -> None:
        """Not tried again before something changes."""
        self._budget.used(IDLE_S)
        self._failed.add(_name(request))
        self._tell("/gen/message", f"ahead: {request.title()}: {message}")

    def wait_s(self) -> float:
        if self._breathes:
            return 0.0
        settling = self._seen_s + SETTLE_S - time.monotonic()
        return max(self._budget.wait_s(), settling, 0.0) or IDLE_S

    # -- for who takes

    def changed(self, target: str) -> None:
        """Another clip stands on the pad, or control tells anew what stands there: it may have nothing prepared."""
        self._prepared.pop(target, None)
        self._stale = True

    def look_again(self) -> None:
        """A pad has started or stopped, or clips were deleted."""
        for slot in self._slots.values():
            slot.of = ()
        self._stale = True

    def take(self, target: str) -> GenRequest:
        """The next candidate of a pad, a ready one where there is one: it is used up. Raises :class:`BadValue` (409) for a pad
        whose clip was not generated."""
        slot = self._slot(target)
        ready = [at for at, name in enumerate(slot.names) if name in slot.ready and self._store.made(name)]
        if not ready and slot.before is not None and self._store.made(_name(slot.before)):
            request, slot.before = slot.before, None
        else:
            number, used = ready[0] if ready else 0, self._used(target)
            request = self._nth(target, used + number)
            self._queue.remember(_fact(target), str(used + number + 1))
            self._slots[target] = Slot()  # nothing of it is offered again
        self.changed(target)
        self._slot(target)
        return request

    def in_section(self, target: str, section: Section) -> GenRequest:
        """What stands on the pad, as it is in another section. Raises :class:`BadValue` for what was not generated."""
        return self._recipe(target).model_copy(update={"section": section, "candidates": 1})

    def hashes(self) -> frozenset[str]:
        """Of all clips that are kept ready."""
        return frozenset(hash_ for slot in self._slots.values() for hash_ in slot.ready.values())

    # -- what is wanted

    def _missing(self) -> Iterator[GenRequest | None]:
        """What is not made yet: the first candidate of every pad, the next sections of those that play, then the others. The
        chosen bank comes before the others, and what plays before what does not. None between is time to breathe."""
        count = self._candidates()
        targets = self._targets() if count else []
        for target in [target for target in self._slots if target not in targets]:
            del self._slots[target]
            self._say(f"{target}/candidates", 0)
        for depth in range(count):
            for target in targets:
                known = self._slots[target].of if target in self._slots else ()
                slot = self._slot(target)
                if slot.of != known:
                    yield None
                if depth < len(slot.names) and slot.names[depth] not in slot.ready.keys() | self._failed:
                    yield slot.requests[depth]
            if depth == 0:
                yield from self._missing_sections(targets)

    def _missing_sections(self, targets: list[str]) -> Iterator[GenRequest | None]:
        section = NEXT_SECTION[self._asking.section]
        for target in targets:
            if not self._plays(target):
                continue
            try:
                request = self.in_section(target, section)
            except ApplianceError:
                continue
            if (name := _name(request)) not in self._failed and self._store.made(name) is None:
                yield request
            yield None

    def _targets(self) -> list[str]:
        bank = f"/bank/{self._asking.chosen_bank}/"
        wanted = [pad for pad in self._asking.all_pads if self._loaded.get(f"{pad}/file") or pad.startswith(bank)]
        return sorted(wanted, key=lambda pad: (not self._plays(pad), not pad.startswith(bank)))

    def _slot(self, target: str) -> Slot:
        """The pad's, of the surroundings and the clip of now."""
        count, first = self._candidates(), self._used(target)
        of = (self._asking.surroundings, self._loaded.get(f"{target}/file"), first, count)
        slot = self._slots.setdefault(target, Slot())
        if of == slot.of:
            return slot
        try:
            requests = tuple(self._nth(target, first + number) for number in range(count))
        except ApplianceError:  # its clip was not generated: there is nothing to have more of
            requests = ()
        kept = next((request for request, name in zip(slot.requests, slot.names, strict=True) if name in slot.ready), None)
        kept = kept or slot.before
        slot.of, slot.requests, slot.names = of, requests, tuple(_name(request) for request in requests)
        slot.before = kept if kept and requests and kept not in requests and _still_serves(kept, requests[0]) else None
        slot.ready = {}
        for name in slot.names:
            if clip := self._store.made(name):
                self._note(target, slot, name, clip)
        self._count(target, slot)
        return slot

    def _nth(self, target: str, number: int) -> GenRequest:
        """Candidate ``number`` of a pad, the same whenever it is asked for."""
        file = self._loaded.get(f"{target}/file")
        if not file:
            bank, pad = (int(word) for word in target.split("/")[2:5:2])
            return self._asking.bank(bank)[pad - 1].candidate(number)
        base = self._recipe(target)
        digest = hashlib.sha256(f"{target}/{base.harmony_seed}/{number}".encode()).digest()
        return self._asking.here(base, int.from_bytes(digest[:6], "big"))

    def _recipe(self, target: str) -> GenRequest:
        return recipe(self._store.get(Path(self._loaded.get(f"{target}/file", "")).stem), target)

    def _used(self, target: str) -> int:
        return int(self._queue.fact(_fact(target)) or 0)

    # -- what is there

    def _note(self, target: str, slot: Slot, name: str, clip: Clip) -> None:
        slot.ready[name] = clip.hash
        slot.before = None  # a true one
        self._count(target, slot)
        if name == slot.names[0] and self._prepared.get(target) != clip.hash:
            self._prepared[target] = clip.hash
            self._prepare(target, clip)

    def _count(self, target: str, slot: Slot) -> None:
        ready = sum(name in slot.ready for name in slot.names)
        self._say(f"{target}/candidates", ready or int(slot.before is not None))

    def _say(self, address: str, value: Any) -> None:
        if self._told.get(address) != value:
            self._told[address] = value
            self._tell(address, value)


def _still_serves(before: GenRequest, now: GenRequest) -> bool:
    """A candidate of another tempo follows the clock; one of another key serves where there are no notes in it."""
    tuned = before.key == now.key or set(before.parts or ()) <= _PERCUSSIVE
    return tuned and before.style == now.style and before.beats_per_bar == now.beats_per_bar


def _name(request: Request) -> str:
    return request.content_hash(version_of(request))


def _fact(target: str) -> str:
    return f"candidates taken {target}"
