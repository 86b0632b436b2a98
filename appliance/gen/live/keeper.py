# SPDX-License-Identifier: GPL-3.0-or-later
"""Gen's end of the live stream: starts its process when it is switched on, again when it died, and ends it when nobody listens.

Answers ``/gen/live/drop|reset|capture``, publishes what the process tells, and brings what was captured to its pad as a take.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from appliance.bus.box import Box
from appliance.bus.hub import HubClient
from appliance.bus.lifeline import tied
from appliance.errors import ApplianceError, BadValue, UnknownAddress
from appliance.gen.asking import Asking, whole
from appliance.gen.pool import LINE_LIMIT, START_TIMEOUT_S, environment
from appliance.gen.taking import OVERTAKEN, Taking, is_let_go, load_options
from appliance.library.store import AudioStore
from appliance.nodes.genlive import MAX_CAPTURE_BARS, PROMPTS

log = logging.getLogger(__name__)
LOOK_S = 0.05
SILENT_S = 10.0
"""A process that has told nothing for so long hangs; for its start it has longer."""
FIRST_AGAIN_S, LAST_AGAIN_S, WELL_S = 0.1, 5.0, 20.0
CAPTURE_BARS = 4
NICE = 2
"""Before the workers, who have time; after engine and control."""
_STATES = ("source", "connected", "ahead", "dropping", "filtered")
Tell = Callable[[str, Any], None]


class LiveStream:
    """``run`` for as long as gen lives. ``empty_pad()`` names the first one."""

    def __init__(
        self, box: Box, hub: HubClient, store: AudioStore, taking: Taking, asking: Asking, empty_pad: Callable[[], str],
        tell: Tell, *, safe: bool = False,
    ) -> None:
        self._box = box
        self._hub = hub
        self._store = store
        self._taking = taking
        self._asking = asking
        self._empty_pad = empty_pad
        self._tell = tell
        self._safe = safe
        self._texts = [""] * PROMPTS
        self._usual = ""
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._heard_s = 0.0
        self._since: int | None = None
        self._numbers = itertools.count(1)
        self._waiting: dict[int, str] = {}  # captures: where they go
        self._bringing: set[asyncio.Task[None]] = set()

    def watch(self) -> None:
        """Before the hub starts."""
        self._hub.watch("/gen/live/prompt/*/text", self._text_changed)
        self._hub.watch("/gen/prompt", self._text_changed)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def _on(self) -> bool:
        return bool(self._box.values.get("/gen/live/on"))

    # -- what is asked

    def serve(self, address: str, arguments: list[Any]) -> int | None:
        """``drop``, ``reset``, ``capture`` [bars, target]; a number below 0.5 is a button let go. Raises :class:`BadValue`."""
        what = address.rpartition("/")[2]
        if what not in ("drop", "reset", "capture"):
            raise UnknownAddress(f"{address} is nothing that the live stream can do")
        if arguments and is_let_go(arguments[0]):
            return None
        if not self._on:
            raise BadValue("the live stream is off; switch it on with /gen/live/on", status=409)
        if what != "capture":
            self._send({"op": what})
            return None
        if len(arguments) > 2:
            raise BadValue("/gen/live/capture takes how many bars, and where the loop goes")
        bars = whole(arguments, "number of bars", 1, MAX_CAPTURE_BARS, default=CAPTURE_BARS)
        target = self._asking.target(arguments[1]) if len(arguments) > 1 and arguments[1] else self._empty_pad()
        number = next(self._numbers)
        self._waiting[number] = target
        self._send({"op": "capture", "id": number, "bars": bars})
        return number

    def _text_changed(self, address: str, value: Any) -> None:
        text = value if isinstance(value, str) else ""
        if address == "/gen/prompt":
            self._usual = text
        else:
            self._texts[int(address.split("/")[4]) - 1] = text
        self._send_texts()

    def _send_texts(self) -> None:
        self._send({"op": "texts", "prompts": self._texts, "usual": self._usual})

    def _send(self, message: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    # -- the process

    async def run(self) -> None:
        """Work until cancelled."""
        again_s = FIRST_AGAIN_S
        try:
            while True:
                if not self._on:
                    self._since = None
                    await asyncio.sleep(LOOK_S)
                    continue
                began_s = time.monotonic()
                why = await self._life()
                if why and self._on:
                    again_s = FIRST_AGAIN_S if time.monotonic() - began_s > WELL_S else min(2 * again_s, LAST_AGAIN_S)
                    self._say(f"the live stream's process {why}; it is started again")
                    await asyncio.sleep(again_s)
        finally:
            await self._end()

    async def _life(self) -> str:
        """One process from its start to its end. Why it ended; nothing when it was to."""
        try:
            reader = await self._start()
        except OSError as error:
            return f"cannot be started ({error.strerror})"
        listening = asyncio.create_task(self._listen(reader))
        began_s = off_s = self._heard_s = time.monotonic()
        why = ""
        while not listening.done():
            await asyncio.wait({listening}, timeout=LOOK_S)
            now_s = time.monotonic()
            if self._on:
                off_s = now_s
            elif now_s - off_s > self._box.config.gen.lyria.idle_s:
                break
            patience_s = SILENT_S if self._heard_s > began_s else START_TIMEOUT_S
            if now_s - self._heard_s > patience_s:
                why = f"has said nothing for {patience_s:g} s"
                break
        else:
            why = listening.result()
        listening.cancel()
        await self._end()
        return why

    async def _start(self) -> asyncio.StreamReader:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "appliance.gen.live", "--fd", str(theirs.fileno()), "--box",
                   str(self._box.run / "box.json"), *(["--safe"] if self._safe else ())]
        if self._since is not None:
            command += ["--since", str(self._since)]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *tied(command), pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL, stdout=sys.stderr.fileno(),
                env=environment(),
            )  # fmt: skip
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        with contextlib.suppress(OSError):  # where that is permitted
            os.setpriority(os.PRIO_PROCESS, self._process.pid, NICE)
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=LINE_LIMIT)
        self._send_texts()
        return reader

    async def _listen(self, reader: asyncio.StreamReader) -> str:
        """Until it ends; why."""
        try:
            while line := await reader.readline():
                self._heard_s = time.monotonic()
                self._hear(json.loads(line))
        except (ConnectionError, ValueError, KeyError, TypeError) as error:
            log.warning("the live stream's process sent garbage: %r", error)
            return "sent garbage"
        status = await self._process.wait() if self._process else 0
        return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}" if status else "ended"

    def _hear(self, message: dict[str, Any]) -> None:
        match message["op"]:
            case "state":
                self._since = message["since"]
                for name in _STATES:
                    self._tell(f"/gen/live/{name}", message[name])
            case "say":
                self._say(str(message["message"]))
            case "captured":
                task = asyncio.create_task(self._bring(self._waiting.pop(int(message["id"])), message["clip"]))
                self._bringing.add(task)
                task.add_done_callback(self._bringing.discard)
            case "refused":
                self._say(f"{self._waiting.pop(int(message['id']))}: {message['message']}")
            case _:
                raise ValueError(f"unknown word {message['op']!r}")

    async def _bring(self, target: str, fields: dict[str, Any]) -> None:
        """What was captured becomes a take of its pad, from a bar line on."""
        hash_ = str(fields.pop("hash"))
        try:
            clip = self._store.register(hash_, **fields)
            await self._hub.connected()
            await self._hub.do(f"{target}/load", str(clip.path), load_options(clip, at="bar"))
        except ApplianceError as error:
            if error.status != OVERTAKEN:
                self._say(f"{target}: what was captured is not loaded: {error.message}")
                return
        self._taking.delivered(target, [hash_])

    def _say(self, text: str) -> None:
        log.info("%s", text)
        self._tell("/gen/live/message", text)

    async def _end(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        self._process = self._writer = None
        for target in self._waiting.values():
            self._say(f"{target}: the stream ended before the loop was made; ask for it again")
        self._waiting.clear()
        self._tell("/gen/live/source", "none")
        self._tell("/gen/live/connected", False)
        self._tell("/gen/live/dropping", 0)
