# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ``models`` worker does: one model at a time is loaded, plays, and what it has played becomes a loop."""

from __future__ import annotations

import gc
import importlib
import logging
import os
from pathlib import Path
from typing import Any

from appliance.errors import BadFile, BadValue, Unavailable
from appliance.gen.backends import VERSIONS
from appliance.gen.backends.base import Cancelled, GenerationCancelled, Progress, Samples
from appliance.gen.backends.remade import continued, inpainted
from appliance.gen.conform import ROLE_LUFS, conform, resampled
from appliance.gen.drop import DropRequest, dialogue
from appliance.gen.finished import finished
from appliance.gen.imports import conform_import
from appliance.gen.model_settings import ModelSettings
from appliance.gen.request import GenRequest
from appliance.gen.said import words_for_model
from appliance.gen.speaking import over_music, say
from appliance.gen.stems.apart import Apart, by_filters
from appliance.gen.stems.request import StemRequest
from appliance.gen.work import Request

log = logging.getLogger(__name__)


class ModelMaker:
    """A :class:`appliance.gen.worker.Maker`."""

    name = "models"

    def __init__(self, settings: ModelSettings) -> None:
        os.environ["HF_HUB_OFFLINE"] = "0" if settings.fetch else "1"  # read when the hub's client is imported
        self._settings = settings
        self._model: Any = None
        self._which = ("", "")
        self._apart = Apart(self._by_demucs)
        self._asked: StemRequest | None = None

    def warm(self) -> None:
        """A model is loaded with the first job that needs it."""

    def make(self, request: Request, folder: Path, progress: Progress, cancelled: Cancelled) -> dict[str, Any]:
        """Raises :class:`BadValue`, :class:`BadFile`, :class:`Unavailable`, MemoryError, :class:`GenerationCancelled`."""
        if isinstance(request, StemRequest):
            self._asked = request
            return self._apart.make(request, folder, progress, cancelled)
        if isinstance(request, DropRequest):
            return self._drop(request, folder, progress, cancelled)
        if not isinstance(request, GenRequest):
            raise BadValue(f"the worker for models cannot make {request.title()}")
        self._apart.forget()
        request = request.resolved()
        progress(0.0)
        model = self._loaded(request.backend, request.model or "")
        if cancelled():
            raise GenerationCancelled("cancelled")
        if request.inpaint_audio is not None:
            return self._kept(*inpainted(model, request, folder, progress, cancelled), request, folder)
        if request.continue_audio is not None:
            return self._kept(*continued(model, request, folder, progress, cancelled), request, folder)
        return self._loop(model, request, folder, progress, cancelled)

    def _loaded(self, backend: str, name: str) -> Any:
        """The model, which is the only one."""
        if self._which != (backend, name):
            self._forget()
            torch: Any = _torch()
            torch.set_num_threads(self._settings.threads)
            if backend == "stable_audio":
                from appliance.gen.backends.stable_audio import StableAudio

                self._model = StableAudio(name, self._settings)
            elif backend == "musicgen":
                from appliance.gen.backends.musicgen import Musicgen

                self._model = Musicgen(name, self._settings)
            elif backend == "dia":
                from appliance.gen.backends.dia import Dia

                self._model = Dia(name, self._settings)
            else:
                from appliance.gen.stems.network import Demucs

                folder, _, model = name.rpartition(":")
                self._model = Demucs(Path(folder), model, self._settings)
            self._which = (backend, name)
        return self._model

    def _forget(self) -> None:
        self._model, self._which = None, ("", "")
        gc.collect()
        torch: Any = _torch()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _loop(
        self, model: Any, request: GenRequest, folder: Path, progress: Progress, cancelled: Cancelled
    ) -> dict[str, Any]:
        """From words, or from words and a sound. What does not fit into memory is tried with half the bars, and they repeat."""
        bars, bpm = request.bars or 1, request.bpm or 120.0
        said: list[str] = []
        prompt = words_for_model(request)
        init: Samples | None = None
        if request.init_audio is not None:
            init = resampled(self._in_time(request, folder), request.sample_rate, model.rate)
        while True:
            seconds = (bars + (0 if init is not None else 1)) * request.beats_per_bar * 60 / bpm
            frames = round(min(seconds, model.longest_s) * model.rate)
            try:
                made = model.generate(
                    prompt, request.negative_prompt, request.seed or 0, frames, request.options or {}, progress, cancelled,
                    **({} if init is None else {"init": init[:frames]}),
                )  # fmt: skip
                break
            except MemoryError as error:
                log.warning("out of memory with %d bars: %s", bars, error)
                self._free()
                if bars == 1:
                    raise MemoryError from None
                bars //= 2
                said = [f"not enough memory for {request.bars} bars: {bars} {'bar was' if bars == 1 else 'bars were'} made and "
                        "repeated"]
        keyed = request.role not in ("drums", "percussion")
        shared: dict[str, Any] = {"bpm": bpm, "bars": request.bars or 1, "beats_per_bar": request.beats_per_bar,
                                  "target_rate": request.sample_rate, "target_lufs": ROLE_LUFS[request.role]}
        if init is not None:
            loop, report, _ = conform(made, model.rate, downbeat_frame=0, **shared)
        else:
            loop, report, _ = conform_import(made, model.rate, key=request.key if keyed else None, **shared)
        if cancelled():
            raise GenerationCancelled("cancelled")
        return finished(
            loop, request.sample_rate, folder, name=request.title(), role=request.role, bpm=request.bpm, bars=request.bars,
            beats=request.beats, key=request.key, loudness=report.loudness_lufs, notes=report.notes, said=said,
            lineage=_lineage(request),
        )  # fmt: skip

    def _drop(self, request: DropRequest, folder: Path, progress: Progress, cancelled: Cancelled) -> dict[str, Any]:
        """By Dia; where it cannot, the embedded voice says it."""
        said: list[str] = []
        try:
            audio, loudness, notes = self._by_dia(request, folder, progress, cancelled)
        except (BadFile, Unavailable, MemoryError) as error:
            why = getattr(error, "message", "") or "there is not enough memory for Dia"
            said = [f"the embedded voice says it: {why}"]
            audio, loudness, notes = say(request, progress, cancelled)
        return finished(
            audio, request.sample_rate, folder, name=request.title(), role=request.role, loudness=loudness, notes=notes,
            said=said, lineage={"backend": "espeak" if said else "dia", "version": VERSIONS["dia"], "model": request.model,
                                "drop": request.model_dump(mode="json", exclude_none=True)},
        )  # fmt: skip

    def _by_dia(
        self, request: DropRequest, folder: Path, progress: Progress, cancelled: Cancelled
    ) -> tuple[Samples, float, list[str]]:
        progress(0.0)
        model = self._loaded(request.backend, request.model)
        if cancelled():
            raise GenerationCancelled("cancelled")
        like = None
        if request.like is not None:
            sound, rate = request.like.read(folder)
            like = resampled(sound, rate, model.rate).mean(axis=1)
        options = request.options.model_dump(exclude_none=True) if request.options else {}
        said = model.say(dialogue(request.text), request.seed, options, progress, cancelled,
                         like=like, like_text=dialogue(request.like_text))
        return over_music([said], model.rate, request.sample_rate)

    def _in_time(self, request: GenRequest, folder: Path) -> Samples:
        """The sound that it starts from, as a loop of the request."""
        assert request.init_audio is not None
        audio, rate = request.init_audio.read(folder)
        shared: dict[str, Any] = {"bpm": request.bpm or 120.0, "bars": request.bars or 1,
                                  "beats_per_bar": request.beats_per_bar, "target_rate": request.sample_rate}
        if request.init_audio.exact and request.init_audio.bpm:
            return conform(audio, rate, source_bpm=request.init_audio.bpm, downbeat_frame=0, **shared)[0]
        return conform_import(audio, rate, **shared)[0]

    def _kept(self, loop: Samples, rate: int, beats: float, request: GenRequest, folder: Path) -> dict[str, Any]:
        """What was made anew in part: exact as it is, and nothing of what was kept may change."""
        material = request.inpaint_audio or request.continue_audio
        assert material is not None
        bpm = material.bpm or request.bpm
        return finished(
            loop, rate, folder, name=request.title(), role=request.role, bpm=bpm, bars=round(beats / request.beats_per_bar),
            beats=beats, key=material.key or request.key, lineage=_lineage(request) | material.lineage,
        )  # fmt: skip

    def _by_demucs(self, audio: Samples, rate: int, progress: Progress) -> tuple[dict[str, Samples], str, list[str]]:
        assert self._asked is not None
        try:
            model = self._loaded("demucs", self._asked.model)
            return model.separate(audio, rate, progress), "demucs", []
        except (BadFile, Unavailable, MemoryError) as error:
            why = getattr(error, "message", "") or "there is not enough memory for demucs"
            stems, maker, _ = by_filters(audio, rate, progress)
            return stems, maker, [f"stems are made by filters, which is rougher: {why}"]

    def _free(self) -> None:
        gc.collect()
        torch: Any = _torch()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _torch() -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise Unavailable(f"torch is not installed for gen.python ({error}); `make gen-env` makes an environment that has it, "
                          "and gen.python names its interpreter") from None


def _lineage(request: GenRequest) -> dict[str, Any]:
    lineage: dict[str, Any] = {
        "backend": request.backend, "version": VERSIONS[request.backend], "model": request.model,
        "request": request.model_dump(mode="json", exclude_none=True),
    }  # fmt: skip
    if request.init_audio is not None:
        lineage |= request.init_audio.lineage
    return lineage

