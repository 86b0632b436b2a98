# SPDX-License-Identifier: GPL-3.0-or-later
"""``/drop/…``: from a text to a drop on its pad, which plays it once, over the music."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.bus.box import Box
from appliance.bus.hub import HubClient
from appliance.errors import BadValue, Unavailable, UnknownAddress
from appliance.gen.asking import Asking
from appliance.gen.drop import DropRequest, parse_drop
from appliance.gen.modelling import Models
from appliance.gen.queue import Job
from appliance.gen.sources import Sources
from appliance.gen.voices import Voices
from appliance.library.espeak import voices
from appliance.nodes import NAMESPACE
from appliance.nodes.mixer import CHANNELS
from appliance.nodes.pad import PAD_GROUPS

Submit = Callable[[DropRequest, str], Job]
_TEXTS = ("/drop/voice", "/drop/pad")


class Dropping:
    """Serves ``/drop/…``. ``submit(request, target)`` queues, ``tell(address, value)`` publishes; without ``models`` only the
    embedded voice speaks."""

    def __init__(
        self, box: Box, asking: Asking, hub: HubClient, submit: Submit, tell: Callable[[str, Any], None],
        models: Models | None, sources: Sources,
    ) -> None:
        self._box = box
        self._asking = asking
        self._hub = hub
        self._submit = submit
        self._tell = tell
        self._models = models
        self._sources = sources
        self._voices = Voices(box.data / "voices")
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
                return await self._listed(str(arguments[0]) if arguments else "")
            case "/drop/voice/keep":
                name, where, text = _texts(arguments, 3, "a voice takes its name, where it is heard, and what it says there")
                self._voices.keep(name, self._sources.find(where), text, self._box.data / "audio")
                return name
            case "/drop/voice/forget":
                self._voices.forget(*_texts(arguments, 1, "takes the name of a voice"))
                return None
            case _:
                raise UnknownAddress(f"{address} is nothing that drops can do")

    async def _listed(self, language: str) -> list[dict[str, Any]]:
        """Kept ones first. Raises Unavailable when there is none of any kind."""
        kept = [{"voice": name, "name": name, "kept": True} for name in self._voices.names()]
        try:
            return kept + [row | {"kept": False} for row in await voices(language)]
        except Unavailable:
            if kept:
                return kept
            raise

    def _ask(self, arguments: list[Any]) -> Job:
        """``[text, pad]``."""
        if not 1 <= len(arguments) <= 2 or not isinstance(arguments[0], str):
            raise BadValue("a drop takes its text, then the pad it goes to")
        target = self._asking.target(arguments[1] if len(arguments) > 1 else self._chosen["/drop/pad"])
        if not target.startswith("/bank/"):
            raise BadValue(f"a drop goes to a pad, not to {target}")
        request = parse_drop({"text": arguments[0], "sample_rate": self._asking.rate} | self._said_by())
        job = self._submit(request, target)
        self._tell("/drop/text", request.title())
        return job

    def _said_by(self) -> dict[str, Any]:
        """Who speaks: Dia where it is chosen, or where the voice is a kept one; else, or where there is no Dia, espeak-ng."""
        values, voice = self._box.values, self._chosen["/drop/voice"]
        embedded = {"voice": voice, "speed": values.get("/drop/speed"), "pitch": values.get("/drop/pitch")}
        kept = self._voices.find(voice)
        if kept is None and values.get("/drop/generator") != "dia":
            return embedded
        try:
            if self._models is None:
                raise BadValue("dia rests: generation runs in its safe form")
            fields = {
                "backend": "dia", "model": self._models.named("dia"), "seed": values.get("/drop/seed"),
                "options": {"guidance_scale": values.get("/drop/guidance"), "temperature": values.get("/drop/temperature"),
                            "top_p": values.get("/drop/top_p")},
            }  # fmt: skip
        except BadValue as error:
            self._tell("/gen/message", error.message)
            return embedded if kept is None else embedded | {"voice": str(NAMESPACE.find("/drop/voice").node.default)}
        return fields if kept is None else fields | {"like": kept[0], "like_text": kept[1]}

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


def _texts(arguments: list[Any], count: int, what: str) -> tuple[str, ...]:
    if len(arguments) != count or not all(isinstance(argument, str) for argument in arguments):
        raise BadValue(what)
    return tuple(arguments)
