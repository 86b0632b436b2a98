# SPDX-License-Identifier: GPL-3.0-or-later
"""A voice drop: a text that is said once, over the music. What is asked for; :mod:`appliance.gen.speaking` says it."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, field_validator

from appliance.errors import BadValue
from appliance.gen.request import Role, readable
from appliance.gen.whole import WholeRequest, parse_whole

DROP_VERSION = "drop 1"
MAX_TEXT_CHARACTERS = 600
_VOICE = re.compile(r"[A-Za-z0-9_-]{1,32}(\+[A-Za-z0-9_-]{1,32})?")
_TAG = re.compile(r"\[S([1-9])\]", re.IGNORECASE)
_ASIDE = re.compile(r"\([a-z ]{1,32}\)", re.IGNORECASE)


class DropRequest(WholeRequest):
    """One drop. ``text`` may be a dialogue: ``[S1] Are you ready? [S2] Always.`` ``voice`` is one of espeak-ng's, with a
    variant after a plus sign: ``en-gb+f3``; ``speed`` words a minute."""

    text: str = Field(min_length=1, max_length=MAX_TEXT_CHARACTERS)
    voice: str = "en"
    speed: int = Field(160, ge=80, le=320)
    pitch: int = Field(50, ge=0, le=99)
    role: Role = "voice"

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
        """Who says what: (speaker 1 … 9, text). Asides like ``(laughs)`` are for voices that can; they are left out."""
        pieces = _TAG.split(_ASIDE.sub(" ", self.text))
        said = [(1, pieces[0]), *((int(speaker), text) for speaker, text in zip(pieces[1::2], pieces[2::2], strict=True))]
        return [(speaker, " ".join(text.split())) for speaker, text in said if text.strip()]

    def title(self) -> str:
        return self.name or " ".join(text for _, text in self.turns())[:40]


def parse_drop(fields: dict[str, Any]) -> DropRequest:
    """Raises :class:`BadValue`, one line for a person."""
    request = parse_whole(DropRequest, "drop", fields)
    if not request.turns():
        raise BadValue("drop: there is nothing to say; give a text")
    return request
