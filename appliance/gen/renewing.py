# SPDX-License-Identifier: GPL-3.0-or-later
"""What a hand asks for without words: ``/pad/N/new``, ``/gen/section/next``, ``/gen/auto``. What is ready comes at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from appliance.bus.hub import HubClient
from appliance.errors import ApplianceError, BadValue
from appliance.gen.asking import Asking
from appliance.gen.lookahead import NEXT_SECTION, LookAhead
from appliance.gen.queue import Job
from appliance.gen.request import PARTS, SECTIONS, GenRequest
from appliance.gen.taking import is_let_go
from appliance.library.analysis.camelot import go_together
from appliance.library.room import USUAL_LUFS, Sound, most_missed, sound_of
from appliance.library.store import AudioStore, Clip
from appliance.nodes.pad import LINES, PADS

FILLS = "phrase"

Submit = Callable[[GenRequest, str, str, bool], Job]


class Renewing:
    """``submit(request, target, at, is a take)`` queues for somebody who waits; ``roles`` and ``states`` of pads by
    ``/bank/1/pad/3``; ``delivered(job)`` is true when its clip stands on its pad."""

    def __init__(
        self, asking: Asking, ahead: LookAhead, store: AudioStore, hub: HubClient, submit: Submit,
        plays: Callable[[str], bool], clip_on: Callable[[str], Clip | None], role_of: Callable[[str], str],
        arrived: Callable[[Job], bool],
    ) -> None:
        self._asking = asking
        self._ahead = ahead
        self._store = store
        self._hub = hub
        self._submit = submit
        self._plays = plays
        self._clip_on = clip_on
        self._role_of = role_of
        self._arrived = arrived
        self._tasks: set[asyncio.Task[None]] = set()

    def new(self, target: str, arguments: list[Any]) -> int | None:
        """``[line]``: the next candidate becomes the pad's next take. A pad that plays goes on in it from its launch grid on,
        or from the line that was said. The id of the job; None: a button let go."""
        if arguments and is_let_go(arguments[0]):
            return None
        return self._submit(self._ahead.take(target), target, _line(arguments, "grid"), True).id

    async def section(self, arguments: list[Any]) -> str | None:
        """``[section, line]``: all that was generated and plays goes on as it is in this section, from the phrase line on. The
        section; None: a button let go. Raises :class:`BadValue`."""
        if arguments and is_let_go(arguments[0]):
            return None
        said = arguments[0] if arguments and isinstance(arguments[0], str) and arguments[0] else ""
        if said and said not in SECTIONS:
            raise BadValue(f"there is no section {said[:40]!r}; there is {', '.join(SECTIONS)}")
        section = said or NEXT_SECTION[self._asking.section]
        line = _line(arguments[1:], FILLS)
        await self._hub.set("/gen/section", section)
        for target in self._targets():
            if self._plays(target):
                try:
                    self._submit(self._ahead.in_section(target, section), target, line, False)
                except BadValue:  # it was not generated: it plays on as it is
                    continue
        return section

    async def auto(self, arguments: list[Any]) -> dict[str, Any] | None:
        """``[part, line]``: adds the part that is missing most to what plays, on the phrase line. What it added, where and why;
        None: a button let go. Raises :class:`BadValue` (409) when there is nothing to add."""
        if arguments and is_let_go(arguments[0]):
            return None
        said = arguments[0] if arguments and isinstance(arguments[0], str) and arguments[0] else ""
        if said and said not in PARTS:
            raise BadValue(f"there is no part {said[:40]!r}; there is {', '.join(PARTS)}")
        line = _line(arguments[1:], FILLS)
        sounding = [self._sound(target) for target in self._targets() if self._plays(target)]
        offers = self._offers()
        wanted = [sound for sound in most_missed(sounding, offers) if not said or sound.role == said]
        if not wanted:
            plays = ", ".join(sorted({sound.role for sound in sounding})) or "nothing"
            raise BadValue(f"there is nothing to add: {plays} plays already, and bank {self._asking.chosen_bank} has no pad "
                           "for another part; clear one", status=409)
        target = offers[wanted[0]]
        if self._clip_on(target) is None:
            job = self._submit(self._ahead.take(target), target, "now", True)
            self._later(self._launch_when_there(job, line))
        else:
            await self._hub.do(f"{target}/launch", line)
        return {"pad": target, "role": wanted[0].role, "line": line}

    def _offers(self) -> dict[Sound, str]:
        """What could be added, and where it is: loaded pads of the chosen bank that do not play, then empty ones."""
        offers: dict[Sound, str] = {}
        bank = self._asking.chosen_bank
        empty = self._asking.bank(bank)
        targets = [f"/bank/{bank}/pad/{pad}" for pad in range(1, PADS + 1)]
        for target in targets:
            clip = self._clip_on(target)
            if clip is not None and not self._plays(target) and self._goes_with(clip):
                offers.setdefault(self._sound(target), target)
        there = {sound.role for sound in offers}
        for target, request in zip(targets, empty, strict=True):
            if not self._role_of(target) and request.role not in there:
                there.add(request.role)
                offers[Sound(request.role, USUAL_LUFS)] = target
        return offers

    def _goes_with(self, clip: Clip) -> bool:
        return not clip.key or clip.role in ("drums", "percussion") or go_together(clip.key, self._asking.key)

    def _sound(self, target: str) -> Sound:
        clip = self._clip_on(target)
        return Sound(self._role_of(target), USUAL_LUFS) if clip is None else sound_of(clip)

    def _targets(self) -> list[str]:
        return self._asking.all_pads

    async def _launch_when_there(self, job: Job, line: str) -> None:
        while not self._arrived(job):
            await asyncio.sleep(0.05)
        try:
            await self._hub.do(f"{job.target}/launch", line)
        except ApplianceError:
            return  # somebody has cleared it, or control has gone: it lies on its pad

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _line(arguments: list[Any], otherwise: str) -> str:
    """A moment by its name, where one is said. Raises :class:`BadValue`."""
    if not arguments or not isinstance(arguments[0], str) or not arguments[0]:
        return otherwise
    if arguments[0] not in LINES:
        raise BadValue(f"a line is {', '.join(LINES)}; not {arguments[0][:40]!r}")
    return arguments[0]
