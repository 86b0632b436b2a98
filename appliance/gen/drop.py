# SPDX-License-Identifier: GPL-3.0-or-later
"""A voice drop: a text that is said once, over the music. What is asked for; :mod:`appliance.gen.speaking` says it with
espeak-ng, :mod:`appliance.gen.backends.dia` with a model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from appliance.errors import BadValue
from appliance.gen.material import Material
from appliance.gen.model_options import DiaOptions
from appliance.gen.parsing import parsed
from appliance.gen.request import Role, readable
from appliance.gen.whole import WholeRequest

DROP_VERSION = "drop 1"
MAX_TEXT_CHARACTERS = 600
_VOICE = re.compile(r"[A-Za-z0-9_-]{1,32}(\+[A-Za-z0-9_-]{1,32})?")
_TAG = re.compile(r"\[S([1-9])\]", re.IGNORECASE)
_ASIDE = re.compile(r"\([a-z ]{1,32}\)", re.IGNORECASE)


class DropRequest(WholeRequest):
    """One drop. ``text`` may be a dialogue: ``[S1] Are you ready? [S2] Always.``

    With espeak-ng (``backend`` procedural, the embedded voice): ``voice`` is one of its voices, with a variant after a plus
    sign: ``en-gb+f3``; ``speed`` words a minute. With Dia: ``model``, its ``options`` and ``seed``; ``like`` is a recording of
    the voice to speak in, in which ``like_text`` is said.
    """

    text: str = Field(min_length=1, max_length=MAX_TEXT_CHARACTERS)
    sample_rate: int = Field(48_000, ge=8_000, le=192_000)
    backend: Literal["procedural", "dia"] = "procedural"
    voice: str = "en"
    speed: int = Field(160, ge=80, le=320)
    pitch: int = Field(50, ge=0, le=99)
    role: Role = "voice"
    model: str = ""
    options: DiaOptions | None = None
    seed: int = Field(1, ge=0, le=2**31 - 1)
    like: Material | None = None
    like_text: str = Field("", max_length=MAX_TEXT_CHARACTERS)

    @field_validator("text")
    @classmethod
    def _readable(cls, text: str) -> str:
        return readable(text)

    @field_validator("voice")
    @classmethod
    def _is_a_voice(cls, voice: str) -> str:
        if not _VOICE.fullmatch(voice):
            raise ValueError(f"is a language, then perhaps + and a variant, like en-gb+f3; not {voice[:40]!r}")
        return voice

    def turns(self) -> list[tuple[int, str]]:
        """Who says what, for a voice that only speaks: asides like ``(laughs)`` are left out."""
        return turns_of(_ASIDE.sub(" ", self.text))

    def title(self) -> str:
        return self.name or " ".join(text for _, text in self.turns())[:40]


def turns_of(text: str) -> list[tuple[int, str]]:
    """Who says what: (speaker 1 … 9, text)."""
    pieces = _TAG.split(text)
    said = [(1, pieces[0]), *((int(speaker), text) for speaker, text in zip(pieces[1::2], pieces[2::2], strict=True))]
    return [(speaker, " ".join(text.split())) for speaker, text in said if text.strip()]


def dialogue(text: str) -> str:
    """For Dia, which knows two speakers and wants each turn named: others are one of the two."""
    return " ".join(f"[S{2 - speaker % 2}] {said}" for speaker, said in turns_of(text))


def parse_drop(fields: Mapping[str, Any]) -> DropRequest:
    """Raises :class:`BadValue`, one line for a person."""
    request = parsed(DropRequest, "drop", fields)
    if not request.turns():
        raise BadValue("drop: there is nothing to say; give a text")
    return request
