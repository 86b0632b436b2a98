# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person asks the generator for: checked once, completed from the prompt and the style, named by its hash."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import random
import re
import unicodedata
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from appliance.errors import BadValue
from appliance.gen.theory import SCALES, parse_key

Part = Literal["drums", "bass", "chords", "lead", "texture"]
PARTS: tuple[Part, ...] = get_args(Part)
Role = Literal["drums", "bass", "chords", "lead", "texture", "voice", "mix"]

#: Style and its usual tempo. A style is offered only when a generator can play it.
STYLE_BPM: dict[str, float] = {"techno_minimal": 126.0}
TEXTURES = ("clean", "warm", "gritty", "airy", "dark", "vinyl")
EFFECTS = ("reverb", "delay", "distortion", "chorus")
MAX_PROMPT_CHARACTERS = 10_000
MIN_BARS, MAX_BARS = 1, 64
MIN_BPM, MAX_BPM = 40.0, 240.0
MAX_DURATION_S = 240.0

_MOOD_WORDS = {
    "dark": 0.1, "ominous": 0.05, "unsettling": 0.1, "melancholic": 0.2, "sad": 0.2, "moody": 0.25, "subdued": 0.3,
    "deep": 0.35, "neutral": 0.5, "warm": 0.6, "dreamy": 0.6, "chill": 0.6, "bright": 0.8, "upbeat": 0.85, "happy": 0.9,
    "euphoric": 0.95, "uplifting": 0.9,
}  # fmt: skip
_ENERGY_WORDS = {
    "ambient": 0.15, "calm": 0.2, "chill": 0.25, "soft": 0.25, "sparse": 0.3, "subdued": 0.3, "deep": 0.45,
    "groovy": 0.6, "danceable": 0.65, "driving": 0.75, "rolling": 0.7, "hard": 0.85, "peak": 0.9, "intense": 0.9,
    "huge": 0.9, "banging": 0.95,
}  # fmt: skip
_COMPLEXITY_WORDS = {"minimal": 0.35, "simple": 0.2, "sparse": 0.2, "busy": 0.8, "complex": 0.85, "intricate": 0.9}
_PART_WORDS: dict[str, Part] = {
    "drums": "drums", "drum": "drums", "beat": "drums", "beats": "drums", "kick": "drums", "hats": "drums",
    "hihat": "drums", "percussion": "drums", "909": "drums", "808": "drums", "bass": "bass", "bassline": "bass",
    "303": "bass", "sub": "bass", "chords": "chords", "chord": "chords", "stab": "chords", "stabs": "chords",
    "pads": "chords", "pad": "chords", "piano": "chords", "rhodes": "chords", "lead": "lead", "melody": "lead",
    "arp": "lead", "arpeggio": "lead", "pluck": "lead", "bells": "lead", "texture": "texture", "drone": "texture",
    "noise": "texture", "atmosphere": "texture", "ambience": "texture", "riser": "texture",
}  # fmt: skip
_EFFECT_WORDS = {
    "reverb": "reverb", "spacey": "reverb", "spacious": "reverb", "echo": "delay", "delay": "delay", "dub": "delay",
    "distortion": "distortion", "crunchy": "distortion", "saturated": "distortion", "chorus": "chorus",
}  # fmt: skip
_STYLE_WORDS = {"minimal techno": "techno_minimal", "techno minimal": "techno_minimal", "techno": "techno_minimal"}
_SUGGESTIONS = (
    "minimal techno, dry kick, rolling bass, A minor",
    "dub techno chords with long echo, sparse drums, F minor",
    "hypnotic bell arpeggio over a driving beat, D dorian",
    "deep rolling bass, shuffled hats, subdued mood, C minor",
    "dark warehouse groove, metallic percussion, E phrygian",
    "airy drone and soft stabs, calm, G minor",
)
_BPM_IN_PROMPT = re.compile(r"\b(\d{2,3}(?:\.\d+)?)\s*bpm\b", re.IGNORECASE)
_BARS_IN_PROMPT = re.compile(r"\b(\d{1,3})[\s-]*bars?\b", re.IGNORECASE)
_KEY_IN_PROMPT = re.compile(
    r"(?<!\w)([A-G](?:#|b|♯|♭|[ -]?sharp|[ -]?flat)?)\s+(" + "|".join(SCALES) + r"|maj|min)\b", re.IGNORECASE
)


class GenRequest(BaseModel):
    """One request. What is left out (``None``) is read from the prompt, then from the style; see :meth:`resolved`.

    ``harmony_seed`` fixes chord progression and groove apart from ``seed``: clips that share it go together. Sound, rhythm and
    melody follow from ``seed``, each unless it has a seed of its own: that makes a variation in it alone.
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
        return data

    @field_validator("prompt", "negative_prompt", "name")
    @classmethod
    def _readable(cls, text: str) -> str:
        if len(text) > MAX_PROMPT_CHARACTERS:
            raise ValueError(f"is {len(text):,} characters long; {MAX_PROMPT_CHARACTERS:,} at most")
        if any(unicodedata.category(c) in ("Cc", "Cs", "Cn", "Co") and c not in "\n\r\t" for c in text):
            raise ValueError("holds binary data; write it as plain text")
        return " ".join(text.split())

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
            return _MOOD_WORDS[_one_of(value.strip().lower(), _MOOD_WORDS, "mood")]
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
        words = [_one_of(word, {**dict.fromkeys(PARTS), **_PART_WORDS}, "part") for word in _words(value)]
        chosen = {_PART_WORDS.get(word, word) for word in words}
        return tuple(part for part in PARTS if part in chosen) or None

    @field_validator("effects", mode="before")
    @classmethod
    def _known_effects(cls, value: Any) -> Any:
        if value is None:
            return None
        words = [_one_of(word, {**dict.fromkeys(EFFECTS), **_EFFECT_WORDS}, "effect") for word in _words(value)]
        chosen = {_EFFECT_WORDS.get(word, word) for word in words}
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
        prompt = self.prompt or suggest_prompt(seed)
        read = _read_prompt(prompt)
        style = self.style or read.get("style") or "techno_minimal"
        fields: dict[str, Any] = {
            "style": style, "mood": 0.4, "energy": 0.6, "bpm": STYLE_BPM[style], "key": "A minor", "parts": PARTS,
            "texture": "clean", "complexity": 0.5, "humanize": 0.3, "effects": (), "bars": 4,
        }  # fmt: skip
        fields.update(read)
        fields.update(self.model_dump(exclude_none=True))
        unwanted = {_PART_WORDS[word] for word in _words(self.negative_prompt) if word in _PART_WORDS}
        if self.parts is None and unwanted:
            fields["parts"] = tuple(part for part in fields["parts"] if part not in unwanted) or fields["parts"]
        harmony = self.harmony_seed if self.harmony_seed is not None else seed
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

    def title(self) -> str:
        """A short name for people: the given one, or the head of the prompt."""
        return self.name or (self.prompt[:40].strip() or self.role)


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


def suggest_prompt(seed: int) -> str:
    """A prompt worth trying; the same one for the same seed."""
    return random.Random(seed).choice(_SUGGESTIONS)


def _read_prompt(prompt: str) -> dict[str, Any]:
    """What a prompt says about the other fields. Out-of-range tempo or length is kept, so that it is refused."""
    lower = prompt.lower()
    words = re.findall(r"[a-z0-9#]+", lower)
    read: dict[str, Any] = {}
    for phrase, style in _STYLE_WORDS.items():
        if phrase in lower:
            read["style"] = style
            break
    if match := _BPM_IN_PROMPT.search(prompt):
        read["bpm"] = float(match.group(1))
    if match := _BARS_IN_PROMPT.search(prompt):
        read["bars"] = int(match.group(1))
    if match := _KEY_IN_PROMPT.search(prompt):
        read["key"] = f"{match.group(1)} {match.group(2).lower()}"
    for name, table in (("mood", _MOOD_WORDS), ("energy", _ENERGY_WORDS), ("complexity", _COMPLEXITY_WORDS)):
        found = [table[word] for word in words if word in table]
        if found:
            read[name] = round(math.fsum(found) / len(found), 4)
    if textures := [word for word in words if word in TEXTURES]:
        read["texture"] = textures[0]
    if effects := {_EFFECT_WORDS[word] for word in words if word in _EFFECT_WORDS}:
        read["effects"] = tuple(effect for effect in EFFECTS if effect in effects)
    if "only" in words or "solo" in words:
        chosen = {_PART_WORDS[word] for word in words if word in _PART_WORDS}
        if chosen:
            read["parts"] = tuple(part for part in PARTS if part in chosen)
    return read


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
