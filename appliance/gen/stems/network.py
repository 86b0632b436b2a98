# SPDX-License-Identifier: GPL-3.0-or-later
"""Stems by demucs (S. Rouard, F. Massa, A. Défossez, "Hybrid Transformers for Music Source Separation", ICASSP 2023), in the
worker for models. Nothing is ever fetched: a folder with the weights is named."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from appliance.errors import BadFile, BadValue, Unavailable
from appliance.gen.backends.checkpoints import device_of, is_out_of_memory, read_weights
from appliance.gen.conform import resampled
from appliance.gen.model_settings import ModelSettings
from appliance.gen.stems import filters

Samples = NDArray[np.float32]
_CLASSES = ("demucs.htdemucs.HTDemucs", "demucs.hdemucs.HDemucs", "demucs.demucs.Demucs")


class Demucs:
    """A model that is loaded. ``folder`` holds its weights (``.safetensors``, or ``.th`` of which only tensors and demucs' own
    classes are taken) and, of a bag of models, its ``.yaml``."""

    def __init__(self, folder: Path, model: str, settings: ModelSettings) -> None:
        """Raises :class:`BadFile`, :class:`Unavailable` with what is missing."""
        if not folder.is_dir():
            raise BadFile(f"gen.demucs: there is no folder {folder}", status=404)
        try:
            self._apply: Any = importlib.import_module("demucs.apply")
            self._classes: dict[str, Any] = {name: _class(name) for name in _CLASSES}
        except ImportError as error:
            raise Unavailable(f"demucs is not installed for gen.python ({error}); `make gen-env` installs it") from None
        self._settings = settings
        self._device = device_of(settings)
        self._model = self._bag(folder, model)
        self._model.eval()
        if not {"drums", "bass", "vocals"} <= set(self._model.sources):
            raise BadFile(f"{folder}: {model} gives {', '.join(self._model.sources)}, not drums, bass, vocals; take htdemucs")

    def separate(self, audio: Samples, rate: int, progress: Callable[[float], None] = lambda _: None) -> dict[str, Samples]:
        """Like :func:`.filters.separate`; what the model leaves over goes to ``other``. ``progress`` (0…1) may raise to stop.
        Raises :class:`BadValue`, MemoryError."""
        torch: Any = importlib.import_module("torch")
        if audio.ndim != 2 or audio.shape[1] != 2 or not len(audio):
            raise BadValue(f"stems are made of stereo, not of audio of shape {audio.shape}")
        own = int(self._model.samplerate)
        heard = resampled(audio, rate, own)
        middle, spread = float(heard.mean()), max(float(heard.std()), 1e-8)
        batch = torch.from_numpy(np.ascontiguousarray(((heard - middle) / spread).T))[None]

        def told(state: dict[str, Any]) -> None:
            share = (state["model_idx_in_bag"] + state["segment_offset"] / max(len(heard), 1)) / max(state["models"], 1)
            progress(min(share, 1.0))

        try:
            with torch.inference_mode():
                found = self._apply.apply_model(self._model, batch, shifts=0, split=True, overlap=0.25, device=self._device,
                                                callback=told)[0].cpu().numpy()
        except Exception as error:
            if is_out_of_memory(error):
                raise MemoryError(str(error)) from None
            raise
        stems: dict[str, Samples] = {}
        for name, part in zip(self._model.sources, found, strict=True):
            if name in filters.STEMS[:3]:
                stems[name] = _fitted(resampled(np.ascontiguousarray(part.T * spread, np.float32), own, rate), len(audio))
        stems["other"] = audio - np.sum(list(stems.values()), axis=0, dtype=np.float32)
        return {name: stems[name] for name in filters.STEMS}

    def _bag(self, folder: Path, model: str) -> Any:
        """A bag of models by its ``.yaml``, or one model by its file."""
        recipe = folder / f"{model}.yaml"
        if not recipe.is_file():
            return self._one(folder, model)
        try:
            bag = yaml.safe_load(recipe.read_text(encoding="utf-8"))
            signatures = [str(signature) for signature in bag["models"]]
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            raise BadFile(f"{recipe}: is no bag of models ({type(error).__name__}); download it again") from None
        return self._apply.BagOfModels([self._one(folder, signature) for signature in signatures], bag.get("weights"),
                                       bag.get("segment"))

    def _one(self, folder: Path, signature: str) -> Any:
        path = next((found for pattern in (f"{signature}.safetensors", f"{signature}.th", f"{signature}-*.th")
                     for found in sorted(folder.glob(pattern))), None)
        if path is None:
            raise BadFile(f"{folder}: there is no {signature}.safetensors and no {signature}.th; gen.demucs is a folder with "
                          "demucs' weights", status=404)
        states: Any = importlib.import_module("demucs.states")
        try:
            if path.suffix == ".safetensors":
                return states.load_model(self._package(path))
            _check_sum(path)
            return states.load_model(read_weights(path, self._settings, [*self._classes.values(), Fraction]))
        except (RuntimeError, KeyError, TypeError, ValueError) as error:
            line = (str(error).splitlines() or [""])[0][:160]
            raise BadFile(f"{path}: is no model of demucs ({type(error).__name__}: {line}); download it again") from None

    def _package(self, path: Path) -> dict[str, Any]:
        """Of a safetensors file as demucs writes it: the model's class and arguments stand beside the weights. Only demucs' own
        classes are taken: what stands there would be called."""
        weights = read_weights(path, self._settings)
        with importlib.import_module("safetensors").safe_open(str(path), framework="pt") as file:
            about = file.metadata() or {}
        name = about.get("klass", "")
        if name not in self._classes or "structure" in about:
            raise BadFile(f"{path}: names {name or 'no class'}, which is none of demucs' models; take the weights that demucs "
                          "publishes")
        decoded: Any = importlib.import_module("demucs.hf")._decode_json
        return {"klass": self._classes[name], "args": decoded(json.loads(about["args"])),
                "kwargs": decoded(json.loads(about["kwargs"])), "state": weights}


def _class(name: str) -> Any:
    module, _, member = name.rpartition(".")
    return getattr(importlib.import_module(module), member)


def _check_sum(path: Path) -> None:
    """The file's name ends in the beginning of its sha256."""
    repo: Any = importlib.import_module("demucs.repo")
    _, dash, checksum = path.stem.rpartition("-")
    try:
        if dash:
            repo.check_checksum(path, checksum)
    except repo.ModelLoadingError as error:
        raise BadFile(f"{path}: is truncated or damaged ({error}); download it again") from None


def _fitted(audio: Samples, frames: int) -> Samples:
    """Cut or filled up to ``frames``."""
    return np.pad(audio[:frames], ((0, frames - len(audio[:frames])), (0, 0)))
