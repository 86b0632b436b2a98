# SPDX-License-Identifier: GPL-3.0-or-later
"""The box speaks: texts become clips, and the engine plays them in the headphones. Serves ``/voice``.

Everything waits for nothing: who calls :meth:`Speaker.say` goes on at once. Without espeak-ng, without an engine or without
memory the voice is silent, says so once in writing, and all else works.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

from appliance.bus.clips import Clip
from appliance.bus.commands import Code
from appliance.bus.events import Event, Kind
from appliance.control.desk import Desk
from appliance.control.loader import Loader
from appliance.control.speech.news import News
from appliance.control.speech.queue import Saying, Urgency, Waiting, interrupts
from appliance.control.speech.renderings import Renderings
from appliance.control.speech.words import in_words
from appliance.errors import ApplianceError, BadValue, NotAllowed, Unavailable
from appliance.library.espeak import Espeak, NotSpoken
from appliance.namespace import Address

log = logging.getLogger(__name__)

ENGINE_WAIT_S = 2.0
AGAIN_S = 10.0
"""The same fault is not said again so soon."""
_POLL_S = 0.005
_APART_S = 0.02
"""Between two beginnings: what is cut off has rung out by then."""


class Speaker:
    """Lives on control's loop. ``say`` from anywhere in control."""

    def __init__(self, desk: Desk, loader: Loader, espeak: Espeak | None = None) -> None:
        settings = desk.box.config.voice
        self._desk = desk
        self._loader = loader
        self._espeak = espeak or Espeak(settings)
        self._renderings = Renderings(self._espeak, settings.speed)
        self._waiting = Waiting()
        self._woken = asyncio.Event()
        self._heard: Saying | None = None
        self._until_s = self._begun_s = 0.0
        self._last: Saying | None = None
        self._stopped = 0
        self._faults: dict[str, float] = {}
        self._told: set[str] = set()
        self._obeyed: dict[int, asyncio.Future[Event]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.news = News(desk, loader, self.say)
        for name, handler in (("say", self._say_call), ("status", self._status_call), ("repeat", self._repeat_call),
                              ("stop", self._stop_call)):
            desk.register(f"/voice/{name}", handler)
        desk.speak = self.say
        desk.on_event(self._event)
        desk.subscribe(self._changed)

    async def run(self) -> None:
        """For ever."""
        await self._loader.adopted.wait()
        await asyncio.gather(self._speak(), self.news.run())

    def close(self) -> None:
        self._espeak.end()
        for task in self._tasks:
            task.cancel()

    # -- what is to be said

    @property
    def level(self) -> str:
        return self._desk.get_now("/voice/level")

    def wants(self, urgency: Urgency) -> bool:
        """Whether the level lets it be said."""
        return self.level == "all" or (self.level == "faults" and urgency > Urgency.NAME)

    def say(self, text: str, urgency: Urgency = Urgency.FAULT) -> None:
        """Say a text as soon as more urgent ones have been said, if the level allows it. It is put in words first."""
        words = in_words(text)
        if not words or not self.wants(urgency):
            return
        now = time.monotonic()
        if urgency is Urgency.FAULT:
            self._faults = {fault: at for fault, at in self._faults.items() if now - at < AGAIN_S}
            if words in self._faults:
                return
            self._faults[words] = now
        self._waiting.put(Saying(words, urgency, now))
        self._woken.set()

    def stop(self) -> None:
        """Silence, now; what waits is forgotten."""
        self._waiting.clear()
        self._stopped += 1
        self._woken.set()
        try:
            self._desk.box.commands.send(Code.SPEAK, 0, 0.0)
        except Unavailable as error:
            log.info("voice: %s", error.message)
        self._heard, self._until_s = None, 0.0

    # -- saying it

    async def _speak(self) -> None:
        while True:
            now = time.monotonic()
            saying = self._waiting.first(now)
            if saying is None:
                await self._sleep(None)
                continue
            if now < self._until_s and self._heard is not None and not interrupts(saying, self._heard):
                await self._sleep(self._until_s - now)
                continue
            stopped = self._stopped
            try:
                said, sound = await self._renderings.get(saying.text, round(self._desk.box.rate))
                if self._waiting.overtaken(saying) or stopped != self._stopped:
                    continue  # something else is to be said first, or instead
                await self._play(saying, said, sound, stopped)
            except ApplianceError as error:
                self._fail(error)
            self._waiting.take(saying)

    async def _sleep(self, most_s: float | None) -> None:
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), most_s)

    async def _play(self, saying: Saying, said: str, sound: Any, stopped: int) -> None:
        """Hand it to the engines. Raises Unavailable when none is there, or there is no room."""
        clip = await self._loader.bank.place_spoken(sound)
        try:
            await self._until_mapped(clip)
            await asyncio.sleep(max(self._begun_s + _APART_S - time.monotonic(), 0.0))
            number = self._desk.box.commands.send(Code.SPEAK, 0, float(clip.handle)) if stopped == self._stopped else 0
        except BaseException:
            self._loader.bank.retire_spoken(clip)
            raise
        if not number:
            self._loader.bank.retire_spoken(clip)
            return
        self._begun_s = time.monotonic()
        self._heard, self._until_s = saying, self._begun_s + len(sound) / self._desk.box.rate
        self._last = saying
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._obeyed[number] = future
        task = asyncio.create_task(self._retire(number, future, clip))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._desk.publish("/voice/text", said)

    async def _until_mapped(self, clip: Clip) -> None:
        end = time.monotonic() + ENGINE_WAIT_S
        box = self._desk.box
        while not (engines := box.engines) or not box.clips.mapped(clip, engines):
            if time.monotonic() > end:
                raise Unavailable("the voice is not heard: no engine plays that could speak")
            await asyncio.sleep(_POLL_S)

    async def _retire(self, number: int, future: asyncio.Future[Event], clip: Clip) -> None:
        """When the engine has begun it may go: the engines keep it for as long as it sounds."""
        try:
            await future
        finally:
            self._obeyed.pop(number, None)
            self._loader.bank.retire_spoken(clip)

    def _fail(self, error: ApplianceError) -> None:
        """Each kind of failure is told once, in writing."""
        kind = type(error).__name__ + error.message[:40]
        if kind in self._told:
            log.info("voice: %s", error.message)
            return
        self._told.add(kind)
        message = error.message if isinstance(error, Unavailable) else f"the voice: {error.message}; the text is not said"
        self._faults[in_words(message)] = time.monotonic()  # it cannot be said
        self._desk.say(message)

    def _event(self, event: Event) -> None:
        if event.kind in (Kind.COMMAND, Kind.REFUSED) and (future := self._obeyed.get(event.id)) and not future.done():
            future.set_result(event)

    def _changed(self, address: str, value: Any) -> None:
        if address == "/voice/level" and value == "off":
            self.stop()

    # -- the calls

    async def _say_call(self, address: Address, args: list[Any]) -> dict[str, str]:
        text = " ".join(str(word) for word in args if isinstance(word, str | int | float))
        if not in_words(text):
            raise BadValue(f"{address} takes the words to say")
        return self._ask(address, text)

    async def _status_call(self, address: Address, args: list[Any]) -> dict[str, str] | None:
        return None if _let_go(args) else self._ask(address, self.news.status())

    async def _repeat_call(self, address: Address, args: list[Any]) -> dict[str, str] | None:
        if _let_go(args):
            return None
        if self._last is None:
            raise NotAllowed(f"{address}: nothing has been said yet", status=409)
        return self._ask(address, self._last.text)

    async def _stop_call(self, address: Address, args: list[Any]) -> None:
        if not _let_go(args):
            self.stop()

    def _ask(self, address: Address, text: str) -> dict[str, str]:
        if self.level == "off":
            raise NotAllowed(f"{address}: the voice is off; set /voice/level to faults or all", status=409)
        if not self._espeak.is_there:
            raise Unavailable(f"{address}: {self._desk.box.config.voice.program} is not installed; apt-get install espeak-ng")
        self.say(text, Urgency.ASKED)
        return {"text": in_words(text)}


def _let_go(args: list[Any]) -> bool:
    """A button that comes up."""
    return bool(args) and isinstance(args[0], int | float) and args[0] < 0.5


__all__ = ["Espeak", "NotSpoken", "Speaker", "Urgency"]
