# SPDX-License-Identifier: GPL-3.0-or-later
"""Which models there are, by the config, and what a request to one of them has to say."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

from appliance.config import Gen
from appliance.errors import BadValue
from appliance.gen.asking import Asking
from appliance.gen.backends import EMBEDDED
from appliance.gen.model_options import OPTIONS
from appliance.gen.model_settings import ModelSettings
from appliance.gen.request import GenRequest, parse_request
from appliance.gen.sources import Sources
from appliance.nodes.pad import VARIATIONS

_REMADE = {
    "complex": "busier, more intricate", "simple": "sparse, minimal", "instrument": "on other instruments",
    "rhythm": "another rhythm", "melody": "another melody",
}  # fmt: skip
"""What a model is told of a variation by sound."""
SOUNDS = ("init_audio", "inpaint_audio", "continue_audio")
"""Fields that a person fills with a pad, a deck, a clip or a file."""


class Models:
    """The models of a config."""

    def __init__(self, settings: Gen) -> None:
        self._settings = settings

    @property
    def settings(self) -> ModelSettings:
        return ModelSettings.of(self._settings, self.threads)

    @property
    def remakes(self) -> bool:
        """There is one that starts from a sound."""
        return bool(self._settings.stable_audio and self._settings.python)

    @property
    def threads(self) -> int:
        return self._settings.threads or max((os.cpu_count() or 2) // 2, 1)

    @property
    def demucs(self) -> str:
        """Folder and name of the model as a stem's request has them; empty: stems are made by filters."""
        folder = self._settings.demucs
        there = folder is not None and bool(self._settings.python) and shutil.which(self._settings.python) is not None
        return f"{folder.expanduser().absolute()}:{self._settings.demucs_model}" if folder and there else ""

    def named(self, backend: str) -> str:
        """The model that a backend plays. Raises :class:`BadValue` with what to do when there is none."""
        settings = self._settings
        name = {"stable_audio": settings.stable_audio, "musicgen": settings.musicgen, "dia": settings.dia}[backend]
        lacking = [] if name else [f"gen.{backend} to a model's folder or its name on the hub"]
        if not settings.python:
            lacking.append("gen.python to the interpreter that `make gen-env` makes (.venv-gen/bin/python)")
        if lacking:
            raise BadValue(f"{backend} needs a model: set {' and '.join(lacking)} in the config; or leave backend out, the "
                           "embedded generator needs nothing", status=409)
        return name


class Modelling:
    """Fills in what a request to a model lacks. ``default`` is the backend that is chosen at /gen/generator."""

    def __init__(self, models: Models, sources: Sources, asking: Asking, say: Callable[[str], None]) -> None:
        self._models = models
        self._sources = sources
        self._asking = asking
        self._say = say

    def completed(self, asked: Any, default: str) -> Any:
        """A request with its backend, its model, and sounds that are found. What is no request is left to others to refuse.

        Where ``default`` is a model that is not there, ``say`` is told, and the embedded generator does it. Raises
        :class:`BadValue`, :class:`BadFile`.
        """
        asked = self._asking.prompt if asked in ("", None) else asked
        if isinstance(asked, str):
            asked = {"prompt": asked}
        if not isinstance(asked, dict):
            return asked
        fields: dict[str, Any] = {"backend": default, **asked}
        if fields["backend"] not in OPTIONS:
            return fields
        try:
            fields["model"] = self._models.named(fields["backend"])
        except BadValue as error:
            if "backend" in asked:
                raise
            self._say(error.message)
            return {"backend": EMBEDDED, **asked}
        for name in SOUNDS:
            if isinstance(fields.get(name), str):
                fields[name] = self._sources.find(fields[name]).model_dump(mode="json")
        return fields

    def remade(self, where: str, kind: str, value: Any, number: int) -> GenRequest:
        """The request of a variation of a sound that has no recipe: audio-to-audio. As :func:`appliance.gen.vary.varied`."""
        if kind not in VARIATIONS or (kind == "text" and not (isinstance(value, str) and value.strip())):
            raise BadValue(f"a variation is {', '.join(VARIATIONS)}; text takes words")
        material = self._sources.find(where)
        bpm = material.bpm or self._asking.bpm
        bars = material.bars or round((material.beats or 0) / self._asking.beats_per_bar)
        words = str(value) if kind == "text" else _REMADE.get(kind, "")
        asked = {"backend": "stable_audio", "prompt": f"{material.name}, {words}" if words else material.name,
                 "bpm": bpm, "bars": ((value or bars * 2) if kind == "length" else bars) or None,
                 "init_audio": material.model_dump(mode="json"),
                 "name": f"{material.name[: 61 - len(kind)]} · {kind}", "seed": number}
        asked |= {"key": material.key} if material.key else {}
        return self._asking.completed(parse_request(self.completed(asked, EMBEDDED)))
