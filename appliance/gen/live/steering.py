# SPDX-License-Identifier: GPL-3.0-or-later
"""Where hands have put the stream's knobs and prompts, as one picture that a bar is made from."""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.bus.values import Values
from appliance.gen.prompt import read_prompt
from appliance.gen.vocabulary import PARTS, Part
from appliance.nodes.genlive import BOX_KEY, PROMPTS


@dataclass(frozen=True, slots=True)
class Texts:
    """What control keeps: the prompts 1 … 8, and /gen/prompt."""

    prompts: tuple[str, ...] = ("",) * PROMPTS
    usual: str = ""


@dataclass(frozen=True, slots=True)
class Cloud:
    """What only a maker elsewhere understands."""

    guidance: float = 4.0
    top_k: int = 40
    mode: str = "quality"


@dataclass(frozen=True, slots=True)
class Steering:
    """Equal pictures give equal bars. ``prompts``: words and weights above 0, the heaviest first."""

    prompts: tuple[tuple[str, float], ...] = ()
    style: str = "techno_minimal"
    key: str = "A minor"
    density: float = 0.5
    brightness: float = 0.5
    temperature: float = 1.1
    seed: int = 1
    parts: tuple[Part, ...] = PARTS
    cloud: Cloud = field(default=Cloud(), compare=False)


def steering(values: Values, texts: Texts) -> Steering:
    """The picture of now."""

    def of(name: str) -> float | str | bool:
        return values.get(f"/gen/live/{name}")

    weights = [float(values.get(f"/gen/live/prompt/{number}/weight")) for number in range(1, PROMPTS + 1)]
    said = [(text, weight) for text, weight in zip(texts.prompts, weights, strict=True) if text.strip() and weight > 0]
    if not said and texts.usual.strip():
        said = [(texts.usual, 1.0)]
    said.sort(key=lambda prompt: -prompt[1])
    key = str(of("key"))
    if key == BOX_KEY:
        named = (read_prompt(text).get("key") for text, _ in said)
        key = next((name for name in named if name), values.get("/gen/key"))
    return Steering(
        tuple(said), values.get("/gen/style"), key, float(of("density")), float(of("brightness")), float(of("temperature")),
        int(of("seed") or values.get("/gen/seed")),
        heard(bass=not of("mute_bass"), drums=not of("mute_drums"), others=not of("only_bass_and_drums")),
        Cloud(float(of("guidance")), int(of("top_k")), str(of("mode"))),
    )  # fmt: skip


def heard(*, bass: bool, drums: bool, others: bool) -> tuple[Part, ...]:
    """The parts that are not muted."""
    return tuple(part for part in PARTS if (bass if part == "bass" else drums if part in ("drums", "percussion") else others))
