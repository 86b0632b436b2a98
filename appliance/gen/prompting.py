# SPDX-License-Identifier: GPL-3.0-or-later
"""``/gen/prompt/…``: prompts are kept, found again and suggested."""

from __future__ import annotations

from typing import Any

from appliance.bus.box import Box
from appliance.bus.hub import HubClient
from appliance.errors import BadValue
from appliance.gen.asking import Asking
from appliance.gen.prompt import suggest_prompt
from appliance.gen.prompts import KNOBS, TEMPLATES, Prompts, named

_TRIES = 20
"""To find one that is another; a style may have a single one."""


class Prompting:
    """Serves them; what is recalled is set as a hand would set it."""

    def __init__(self, box: Box, asking: Asking, hub: HubClient) -> None:
        self._box = box
        self._asking = asking
        self._hub = hub
        self._prompts = Prompts(box.data / "gen" / "prompts.yaml")
        self._suggested = 0

    async def serve(self, what: str, arguments: list[Any]) -> Any:
        """``prompt/keep`` NAME, ``prompt/recall`` NAME, ``prompt/forget`` NAME, ``prompt/suggest``, ``prompts``. Raises
        :class:`BadValue`, BadFile."""
        match what:
            case "prompts":
                return [{"name": name, "template": fields is TEMPLATES.get(name)} | fields
                        for name, fields in self._prompts.all().items()]
            case "prompt/suggest":
                return await self._suggest()
            case "prompt/keep":
                name, prompt = _text(arguments), self._asking.prompt
                if not prompt:
                    raise BadValue("/gen/prompt is empty; there is nothing to keep", status=409)
                self._prompts.keep(name, {"prompt": prompt} | {knob: self._box.values.get(f"/gen/{knob}") for knob in KNOBS})
                return name
            case "prompt/forget":
                self._prompts.forget(_text(arguments))
                return None
            case _:
                return await self._recall(_text(arguments))

    async def _recall(self, name: str) -> str:
        fields = self._prompts.get(name)
        for knob, value in fields.items():
            await self._hub.set(f"/gen/{knob}", value)
        return str(fields["prompt"])

    async def _suggest(self) -> str:
        """Another one each time, in the style of the box."""
        prompt = before = self._asking.prompt
        for _ in range(_TRIES):
            if prompt == before:
                prompt = suggest_prompt(self._suggested, self._box.values.get("/gen/style"))
                self._suggested += 1
        await self._hub.set("/gen/prompt", prompt)
        return prompt


def _text(arguments: list[Any]) -> str:
    if len(arguments) != 1 or not isinstance(arguments[0], str):
        raise BadValue("takes the name of a prompt")
    return named(arguments[0])
