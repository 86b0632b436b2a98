# SPDX-License-Identifier: GPL-3.0-or-later
"""``/drop/…``: from a text to a drop on its pad, which plays it once, over the music."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.bus.box import Box
from appliance.bus.hub import HubClient
from appliance.errors import BadValue, UnknownAddress
from appliance.gen.asking import Asking
from appliance.gen.drop import DropRequest, parse_drop
from appliance.gen.queue import Job
from appliance.library.espeak import voices
from appliance.nodes import NAMESPACE
from appliance.nodes.mixer import CHANNELS
from appliance.nodes.pad import PAD_GROUPS

Submit = Callable[[DropRequest, str], Job]
_TEXTS = ("/drop/voice", "/drop/pad")


class Dropping:
    """Serves ``/drop/…``. ``submit(request, target)`` queues, ``tell(address, value)`` publishes."""

    def __init__(self, box: Box, asking: Asking, hub: HubClient, submit: Submit, tell: Callable[[str, Any], None]) -> None:
        self._box = box
        self._asking = asking
        self._hub = hub
        self._submit = submit
        self._tell = tell
        self._chosen = {address: str(NAMESPACE.find(address).node.default) for address in _TEXTS}
        self._to_launch: set[int] = set()

    def start(self) -> None:
        """Before the hub starts."""
        self._hub.serve("/drop", self._serve)
        for address in _TEXTS:
            self._hub.watch(address, self._chose)

    def _chose(self, address: str, value: Any) -> None:
        self._chosen[address] = value if isinstance(value, str) and value else str(NAMESPACE.find(address).node.default)

    async def _serve(self, address: str, arguments: list[Any]) -> Any:
        match address:
            case "/drop/say":
                return self._ask(arguments).id
            case "/drop/now":
                job = self._ask(arguments)
                self._to_launch.add(job.id)
                return job.id
            case "/drop/voices":
                return await voices(str(arguments[0]) if arguments else "")
            case _:
                raise UnknownAddress(f"{address} is nothing that drops can do")

    def _ask(self, arguments: list[Any]) -> Job:
        """``[text, pad]``."""
        if not 1 <= len(arguments) <= 2 or not isinstance(arguments[0], str):
            raise BadValue("a drop takes its text, then the pad it goes to")
        values = self._box.values
        request = parse_drop({
            "text": arguments[0], "voice": self._chosen["/drop/voice"], "speed": values.get("/drop/speed"),
            "pitch": values.get("/drop/pitch"), "sample_rate": self._asking.rate,
        })  # fmt: skip
        target = self._asking.target(arguments[1] if len(arguments) > 1 else self._chosen["/drop/pad"])
        if not target.startswith("/bank/"):
            raise BadValue(f"a drop goes to a pad, not to {target}")
        job = self._submit(request, target)
        self._tell("/drop/text", request.title())
        return job

    async def delivered(self, job: Job) -> None:
        """A drop is on its pad. A pad that had something else on it before becomes one for drops: it plays once, at its own
        speed, through the last channel, and while it is heard there the others step back. Raises Unavailable."""
        if await self._hub.get(f"{job.target}/group") != PAD_GROUPS or await self._hub.get(f"{job.target}/mode") != "oneshot":
            for name, value in (("mode", "oneshot"), ("sync", False), ("group", PAD_GROUPS)):
                await self._hub.set(f"{job.target}/{name}", value)
            await self._hub.set(f"/channel/{CHANNELS}/talkover", True)
        if job.id in self._to_launch:
            await self._hub.do(f"{job.target}/trigger", 1.0)
            self._to_launch.discard(job.id)
