# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person asks the generator for: checked once, completed from the prompt and the style, named by its hash."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import re
import unicodedata
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from appliance.errors import BadValue
from appliance.gen.material import Material
from appliance.gen.model_options import OPTIONS, parse_options
from appliance.gen.prompt import phrases, read_prompt, suggest_prompt
from appliance.gen.theory import parse_key
from appliance.gen.vocabulary import (
    EFFECT_WORDS,
    EFFECTS,
    INSTRUMENT_PARTS,
    INSTRUMENT_WORDS,
    MOOD_WORDS,
    PART_WORDS,
    PARTS,
    SECTIONS,
    STYLE_BPM,
    TEXTURES,
    Part,
    Section,
)

__all__ = ["PARTS", "SECTIONS", "STYLE_BPM", "GenRequest", "Part", "Role", "loop_frames", "parse_request", "suggest_prompt"]

Role = Literal["drums", "percussion", "bass", "chords", "lead", "texture", "voice", "mix"]
MAX_PROMPT_CHARACTERS = 10_000
MIN_BARS, MAX_BARS = 1, 64
MIN_BPM, MAX_BPM = 40.0, 240.0
MAX_DURATION_S = 240.0


class GenRequest(BaseModel):
    """One request. What is left out (``None``) is read from the prompt, then from the style; see :meth:`resolved`.

    ``harmony_seed`` fixes chord progression and groove apart from ``seed``: clips that share it go together. Sound, rhythm and
    melody follow from ``seed``, each unless it has a seed of its own: that makes a variation in it alone. ``section`` is the
    place in a song that the clip is arranged for; :meth:`sections` are the five of one request.

    Of models: ``model`` is the one that is meant, ``options`` are the library's own parameters by their names (they may stand
    beside the other fields), ``init_audio`` the sound that it starts from. ``inpaint_audio`` is made anew in ``inpaint_beats``
    (pairs of from and to), ``continue_audio`` goes on for ``bars``; what they keep is kept sample by sample.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    prompt: str = ""
    negative_prompt: str = ""
    style: str | None = None
    mood: float | None = Field(None, ge=0, le=1)
    energy: float | None = Field(None, ge=0, le=1)
    bpm: float | None = Field(None, ge=MIN_BPM, le=MAX_BPM)
    key: str | None = None
    parts: tuple[Part, ...] | None = None
    section: Section | None = None
    instruments: tuple[str, ...] | None = None
    texture: str | None = None
    complexity: float | None = Field(None, ge=0, le=1)
    humanize: float | None = Field(None, ge=0, le=1)
    effects: tuple[str, ...] | None = None
    video_sync: bool = False
    bars: int | None = Field(None, ge=MIN_BARS, le=MAX_BARS)
    beats_per_bar: float = Field(4, ge=2, le=8, multiple_of=0.5)
    seed: int | None = Field(None, ge=0, le=2**53 - 1)
    harmony_seed: int | None = Field(None, ge=0, le=2**53 - 1)
    sound_seed: int | None = Field(None, ge=0, le=2**53 - 1)
    rhythm_seed: int | None = Field(None, ge=0, le=2**53 - 1)
    melody_seed: int | None = Field(None, ge=0, le=2**53 - 1)
    candidates: int = Field(1, ge=1, le=5)
    sample_rate: int = Field(48_000, ge=8_000, le=192_000)
    backend: str = Field("procedural", pattern=r"^[a-z][a-z0-9_]{0,31}$")
    name: str = Field("", max_length=64)
    model: str | None = Field(None, max_length=400)
    options: dict[str, Any] | None = None
    init_audio: Material | None = None
    inpaint_audio: Material | None = None
    inpaint_beats: tuple[tuple[float, float], ...] | None = Field(None, min_length=1, max_length=32)
    continue_audio: Material | None = None

    @model_validator(mode="before")
    @classmethod
    def _other_names(cls, data: Any) -> Any:
        """Accept the names that other systems use for the same thing."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        for other, ours in (("genre", "style"), ("tempo", "bpm"), ("instrument_focus", "parts"), ("fx", "effects")):
            if other in data:
                value = data.pop(other)
                if data.setdefault(ours, value) != value:
                    raise ValueError(f"{other} and {ours} are the same thing and say different things")
        backend = str(data.get("backend", ""))
        if backend in OPTIONS:
            own = {name: data.pop(name) for name in OPTIONS[backend].model_fields if name in data}
            options = parse_options(backend, (data.get("options") or {}) | own)
            data["options"] = options or None
        return data

    @model_validator(mode="after")
    def _of_models(self) -> GenRequest:
        given = [name for name in ("init_audio", "inpaint_audio", "continue_audio") if getattr(self, name) is not None]
        if self.backend not in OPTIONS and (given or self.options):
            raise ValueError(f"{self.backend} takes no {(given or ['options'])[0]}; that needs a model")
        if len(given) > 1:
            raise ValueError(f"{given[0]} and {given[1]} exclude each other")
        if (self.inpaint_audio is None) != (self.inpaint_beats is None):
            raise ValueError("inpaint_audio and inpaint_beats belong together")
        if any(not 0 <= begin < end for begin, end in self.inpaint_beats or ()):
            raise ValueError("inpaint_beats are pairs like [4, 8], from and to, in beats")
        return self

    @field_validator("prompt", "negative_prompt", "name")
    @classmethod
    def _readable(cls, text: str) -> str:
        return readable(text)

    @field_validator("style", mode="before")
    @classmethod
    def _known_style(cls, value: Any) -> Any:
        return value if value is None else _one_of(str(value).strip().lower().replace(" ", "_"), STYLE_BPM, "style")

    @field_validator("key")
    @classmethod
    def _known_key(cls, value: str | None) -> str | None:
        return parse_key(value).name if value else None

    @field_validator("mood", mode="before")
    @classmethod
    def _mood_by_word(cls, value: Any) -> Any:
        if isinstance(value, str) and not _is_number(value):
            return MOOD_WORDS[_one_of(value.strip().lower(), MOOD_WORDS, "mood")]
        return value

    @field_validator("texture", mode="before")
    @classmethod
    def _known_texture(cls, value: Any) -> Any:
        return value if value is None else _one_of(str(value).strip().lower(), TEXTURES, "texture")

    @field_validator("parts", mode="before")
    @classmethod
    def _known_parts(cls, value: Any) -> Any:
        if value is None:
            return None
        words = [_one_of(word, {**dict.fromkeys(PARTS), **PART_WORDS}, "part") for word in _words(value)]
        chosen = {PART_WORDS.get(word, word) for word in words}
        return tuple(part for part in PARTS if part in chosen) or None

    @field_validator("section", mode="before")
    @classmethod
    def _known_section(cls, value: Any) -> Any:
        return value if value is None else _one_of(str(value).strip().lower(), SECTIONS, "section")

    @field_validator("instruments", mode="before")
    @classmethod
    def _known_instruments(cls, value: Any) -> Any:
        if value is None:
            return None
        names = re.split(r"[,;+/]+", value) if isinstance(value, str) else _words(value)
        names = [" ".join(name.lower().replace("-", " ").split()) for name in names]
        known = {**dict.fromkeys(INSTRUMENT_PARTS), **INSTRUMENT_WORDS}
        names = [_one_of(name, known, "instrument") for name in names if name]
        return tuple(dict.fromkeys(INSTRUMENT_WORDS.get(name, name) for name in names))

    @field_validator("effects", mode="before")
    @classmethod
    def _known_effects(cls, value: Any) -> Any:
        if value is None:
            return None
        words = [_one_of(word, {**dict.fromkeys(EFFECTS), **EFFECT_WORDS}, "effect") for word in _words(value)]
        chosen = {EFFECT_WORDS.get(word, word) for word in words}
        return tuple(effect for effect in EFFECTS if effect in chosen)

    @property
    def role(self) -> Role:
        """What the clip is on a pad: the one part asked for, or the mix."""
        return self.parts[0] if self.parts and len(self.parts) == 1 else "mix"

    @property
    def beats(self) -> float:
        """The whole length in quarter notes; only of a resolved request."""
        return (self.bars or 0) * self.beats_per_bar

    @property
    def frames(self) -> int:
        """Exact length at :attr:`sample_rate`; only of a resolved request."""
        if self.bars is None or self.bpm is None:
            raise ValueError("the request is not resolved yet")
        return loop_frames(self.bars, self.beats_per_bar, self.bpm, self.sample_rate)

    def resolved(self) -> GenRequest:
        """The request with nothing left open: explicit fields first, then words of the prompt, then the style.

        An empty prompt gets a suggested one that follows from the seed. Raises :class:`BadValue` when the prompt asks for
        something out of range or the loop would be longer than four minutes.
        """
        seed = self.seed if self.seed is not None else 0
        prompt = self.prompt or suggest_prompt(seed, self.style)
        read = read_prompt(prompt)
        style = self.style or read.get("style") or "techno_minimal"
        fields: dict[str, Any] = {
            "style": style, "mood": 0.4, "energy": 0.6, "bpm": STYLE_BPM[style], "key": "A minor", "parts": PARTS,
            "section": "drop", "instruments": (), "texture": "clean", "complexity": 0.5, "humanize": 0.3, "effects": (),
            "bars": 4,
        }  # fmt: skip
        fields.update(read)
        fields.update(self.model_dump(exclude_none=True))
        unwanted = {PART_WORDS[word] for word in _words(self.negative_prompt) if word in PART_WORDS}
        if "drums" in unwanted:
            unwanted.add("percussion")
        if self.parts is None and unwanted:
            fields["parts"] = tuple(part for part in fields["parts"] if part not in unwanted) or fields["parts"]
        harmony = self.harmony_seed if self.harmony_seed is not None else seed
        banned = {instrument for _, instrument in phrases(_words(self.negative_prompt), INSTRUMENT_WORDS)}
        if self.instruments is None and banned:
            fields["instruments"] = tuple(name for name in fields["instruments"] if name not in banned)
        request = parse_request({**fields, "prompt": prompt, "seed": seed, "harmony_seed": harmony})
        seconds = request.frames / request.sample_rate
        if seconds > MAX_DURATION_S:
            raise BadValue(
                f"{request.bars} bars at {request.bpm:g} bpm are {seconds:.0f} s; {MAX_DURATION_S:.0f} s at most"
            )
        return request

    def content_hash(self, version: str = "") -> str:
        """sha256 of what decides the audio (64 hex digits): the resolved request without its name, and ``version``,
        the version of the backend that will play it. Equal hashes mean equal audio."""
        content = self.resolved().model_dump(mode="json", exclude={"name"}, exclude_none=True)
        text = json.dumps([content, version], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def candidate(self, number: int) -> GenRequest:
        """The request of candidate ``number`` (0 is this one): another seed, the same harmony."""
        request = self.resolved()
        if number == 0:
            return request.model_copy(update={"candidates": 1})
        digest = hashlib.sha256(f"{request.seed}/{number}".encode()).digest()
        return request.model_copy(update={"candidates": 1, "seed": int.from_bytes(digest[:6], "big")})

    def sections(self) -> dict[Section, GenRequest]:
        """The same request as intro, build, drop, break and outro: one song, so that they follow each other in any order."""
        request = self.resolved()
        return {section: request.model_copy(update={"section": section}) for section in SECTIONS}

    def title(self) -> str:
        """A short name for people: the given one, or the head of the prompt."""
        return self.name or (self.prompt[:40].strip() or self.role)


def readable(text: str) -> str:
    """In one line. Raises ValueError for what is too long or no text."""
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise ValueError(f"is {len(text):,} characters long; {MAX_PROMPT_CHARACTERS:,} at most")
    if any(unicodedata.category(c) in ("Cc", "Cs", "Cn", "Co") and c not in "\n\r\t" for c in text):
        raise ValueError("holds binary data; write it as plain text")
    return " ".join(text.split())


def loop_frames(bars: int, beats_per_bar: float, bpm: float, sample_rate: int) -> int:
    """Exact length of a loop in frames."""
    return round(bars * beats_per_bar * 60 / bpm * sample_rate)


def parse_request(value: Any) -> GenRequest:
    """A request from a prompt (``str``) or an object (``dict``). Raises :class:`BadValue`, one line for a person."""
    if isinstance(value, GenRequest):
        return value
    if isinstance(value, bytes):
        raise BadValue("prompt: holds binary data; write it as plain text")
    if isinstance(value, str):
        value = {"prompt": value}
    if not isinstance(value, dict):
        raise BadValue(f"a request is a prompt or an object with fields, not {type(value).__name__}")
    try:
        return GenRequest.model_validate(value)
    except ValidationError as error:
        raise BadValue(_one_line(error)) from None


def _words(value: Any) -> list[str]:
    if isinstance(value, str):
        return [word for word in re.split(r"[,;+/\s]+", value.lower()) if word]
    if isinstance(value, list | tuple):
        return [str(word).strip().lower() for word in value]
    raise ValueError("takes a list of words")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _one_of(value: str, known: Any, what: str) -> str:
    if value in known:
        return value
    close = difflib.get_close_matches(value[:40], list(known), 1)
    hint = f"did you mean {close[0]}?" if close else f"it is one of {', '.join(list(known)[:12])}"
    raise ValueError(f"there is no {what} {value[:40]!r}; {hint}")


def _one_line(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "request"
    value = first.get("input")
    limits = _limits(field)
    if limits and first["type"] in ("greater_than_equal", "less_than_equal"):
        return f"{field}: takes {limits[0]:g} … {limits[1]:g}, not {_shown(value)}"
    if first["type"] == "extra_forbidden":
        close = difflib.get_close_matches(field[:40], list(GenRequest.model_fields), 1)
        return f"a request has no field {field[:40]!r}" + (f"; did you mean {close[0]}?" if close else "")
    text = first["msg"].removeprefix("Value error, ").replace("Input should be", "should be").split(", unable to parse")[0]
    shown = "" if first["type"] == "value_error" else f", not {_shown(value)}"
    return f"{field}: {text}{shown}"


def _limits(field: str) -> tuple[float, float] | None:
    """The range of a numeric field, from its declaration."""
    info = GenRequest.model_fields.get(field)
    low = next((m.ge for m in info.metadata if hasattr(m, "ge")), None) if info else None
    high = next((m.le for m in info.metadata if hasattr(m, "le")), None) if info else None
    return None if low is None or high is None else (float(low), float(high))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…"
