# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a person says to a whole request: what is left open comes from the box. And where its clip goes."""

from __future__ import annotations

from typing import Any

from appliance.bus.box import Box
from appliance.errors import BadValue
from appliance.gen.backends import VERSIONS
from appliance.gen.backends.procedural.bank import bank_requests
from appliance.gen.prompt import read_prompt
from appliance.gen.request import MAX_BPM, MIN_BPM, GenRequest, Section, parse_request
from appliance.nodes.clock import METRE_BEATS, METRES
from appliance.nodes.pad import BANKS, PADS


class Asking:
    """Requests with the box's style, key, tempo, metre and knobs. ``prompt`` is that of /gen/prompt."""

    def __init__(self, box: Box, backends: tuple[str, ...]) -> None:
        self._box = box
        self._backends = backends
        self._asked: dict[str, int] = {}
        self.prompt = ""

    def request(self, asked: Any) -> GenRequest:
        """Of a prompt or object; an empty prompt means :attr:`prompt`. Raises :class:`BadValue`."""
        asked = self.prompt if asked in ("", None) else asked
        request = self.completed(parse_request(asked))
        if request.backend not in self._backends:
            raise BadValue(f"there is no generator {request.backend!r}; there is {', '.join(self._backends)}")
        return self._next(request) if parse_request(asked).seed is None else request

    def _next(self, request: GenRequest) -> GenRequest:
        """Asked for the same thing again: /gen/seed's first candidate, then its second, … always in the same order."""
        name = request.content_hash(VERSIONS[request.backend])
        number = self._asked.get(name, 0)
        self._asked[name] = number + 1
        return request.candidate(number).model_copy(update={"candidates": request.candidates})

    def completed(self, request: GenRequest) -> GenRequest:
        """What the request leaves open and its prompt does not say comes from the box: style, key, tempo, metre, knobs."""
        values = self._box.values
        given = request.model_dump(exclude_none=True)
        fields = {
            "style": values.get("/gen/style"), "key": values.get("/gen/key"), "bars": values.get("/gen/bars"),
            "section": values.get("/gen/section"), "energy": values.get("/gen/energy"),
            "complexity": values.get("/gen/complexity"), "humanize": values.get("/gen/humanize"), "bpm": self.bpm,
        }  # fmt: skip
        fields |= {name: value for name, value in read_prompt(request.prompt).items() if name in fields}
        fields |= given
        fields.setdefault("seed", values.get("/gen/seed"))
        fields.setdefault("harmony_seed", values.get("/gen/seed"))
        if "beats_per_bar" not in request.model_fields_set:
            fields["beats_per_bar"] = self.beats_per_bar
        if "sample_rate" not in request.model_fields_set:
            fields["sample_rate"] = self.rate
        return parse_request(fields).resolved()

    def bank(self, bank: int) -> list[GenRequest]:
        """What the sixteen pads of a bank (from 1) would be filled with."""
        values = self._box.values
        return bank_requests(
            int(values.get("/gen/seed")) + bank - 1, self.bpm, values.get("/gen/key"), style=values.get("/gen/style"),
            sample_rate=self.rate, bars=values.get("/gen/bars"), beats_per_bar=self.beats_per_bar,
        )  # fmt: skip

    def here(self, request: GenRequest, seed: int) -> GenRequest:
        """The same thing with another seed, in the box's style, section, key, tempo and metre as they are now. What a variation
        has fixed is free again."""
        values = self._box.values
        style = str(values.get("/gen/style"))
        prompt = request.prompt.replace(str(request.style).replace("_", " "), style.replace("_", " "))
        fields = request.model_dump(exclude_none=True, exclude={"sound_seed", "rhythm_seed", "melody_seed"}) | {
            "prompt": prompt, "style": style, "section": values.get("/gen/section"), "key": values.get("/gen/key"),
            "bpm": self.bpm, "beats_per_bar": self.beats_per_bar, "sample_rate": self.rate, "seed": seed, "candidates": 1,
            "name": request.name.split(" · ", maxsplit=1)[0],
        }  # fmt: skip
        return parse_request(fields).resolved()

    @property
    def surroundings(self) -> tuple[Any, ...]:
        """What :meth:`here` and :meth:`bank` take from the box; a trembling clock from outside counts as one tempo."""
        values = self._box.values
        names = ("/gen/style", "/gen/section", "/gen/key", "/gen/seed", "/gen/bars", "/clock/metre")
        return (*(values.get(name) for name in names), round(self.bpm, 2), self.rate, values.bank)

    def target(self, target: Any) -> str:
        """The absolute address of a pad or deck; /pad/3 is the third of the bank that is chosen now. Raises
        :class:`BadValue`, UnknownAddress."""
        if not isinstance(target, str):
            raise BadValue(f"the target is an address like /pad/3, not {target!r}"[:200])
        return self._box.values.find(f"{target.rstrip('/')}/load").address.removesuffix("/load")

    @property
    def all_pads(self) -> list[str]:
        return [f"/bank/{bank}/pad/{pad}" for bank in range(1, BANKS + 1) for pad in range(1, PADS + 1)]

    @property
    def key(self) -> str:
        return self._box.values.get("/gen/key")

    @property
    def section(self) -> Section:
        return self._box.values.get("/gen/section")

    @property
    def chosen_bank(self) -> int:
        return self._box.values.bank

    @property
    def bpm(self) -> float:
        """The clock's tempo, halved or doubled into what a generator plays."""
        bpm = float(self._box.values.get("/clock/bpm"))
        while bpm < MIN_BPM:
            bpm *= 2
        while bpm > MAX_BPM:
            bpm /= 2
        return bpm

    @property
    def beats_per_bar(self) -> float:
        return METRE_BEATS[METRES.index(self._box.values.get("/clock/metre"))]

    @property
    def rate(self) -> int:
        return int(self._box.rate) or self._box.config.audio.rate


def whole(arguments: list[Any], what: str, low: int, high: int, default: int | None = None) -> int:
    """The first argument as a whole number ``low`` … ``high``. Raises :class:`BadValue`."""
    if not arguments and default is not None:
        return default
    value = arguments[0] if arguments else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        limits = f" {low} … {high}" if high < 1000 else ""
        raise BadValue(f"takes a {what}{limits}, not {str(value)[:40]!r}")
    return value


def said_options(what: str, arguments: list[Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Options as an object, as ``name=value`` words or as names and values in turn. Raises :class:`BadValue`."""
    said: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if isinstance(word, dict):
            said.update(word)
        elif isinstance(word, str) and "=" in word:
            name, _, value = word.partition("=")
            said[name.strip()] = value.strip()
        elif isinstance(word, str) and word and rest:
            said[word] = rest.pop(0)
        elif word not in (None, ""):
            raise BadValue(f"{what} has no option {str(word)[:40]!r}; it has {', '.join(names)}, as name=value")
    unknown = [name for name in said if name not in names]
    if unknown:
        raise BadValue(f"{what} has no option {str(unknown[0])[:40]!r}; it has {', '.join(names)}")
    return said
