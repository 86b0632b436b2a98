# SPDX-License-Identifier: GPL-3.0-or-later
"""Stems by demucs (S. Rouard, F. Massa, A. Défossez, "Hybrid Transformers for Music Source Separation", ICASSP 2023), where it
and its weights are installed in the worker's environment. Nothing is ever fetched: a folder with the weights is named."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.errors import BadValue, Unavailable
from appliance.gen.stems import filters

Samples = NDArray[np.float32]
log = logging.getLogger(__name__)
MODEL = "htdemucs"


class Demucs:
    """A model that is loaded. ``folder`` holds its ``.th`` files and, of a bag of models, its ``.yaml``."""

    def __init__(self, folder: Path, model: str = MODEL) -> None:
        """Raises :class:`Unavailable` with what is missing."""
        if not folder.is_dir():
            raise Unavailable(f"{folder}: there is no such folder with demucs' weights")
        if importlib.util.find_spec("demucs") is None:
            raise Unavailable("demucs is not installed in the worker's environment")
        try:
            self._apply: Any = importlib.import_module("demucs.apply").apply_model
            self._torch: Any = importlib.import_module("torch")
            self._model: Any = importlib.import_module("demucs.pretrained").get_model(model, repo=folder)
        except (ImportError, OSError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
            raise Unavailable(f"demucs' model {model} in {folder} cannot be loaded ({type(error).__name__}: {error})") from None
        self._model.eval()
        self._device = "cuda" if self._torch.cuda.is_available() else "cpu"

    def separate(self, audio: Samples, rate: int) -> dict[str, Samples]:
        """Like :func:`.filters.separate`; what the model leaves over goes to ``other``."""
        import soxr

        own = int(self._model.samplerate)
        heard = np.asarray(soxr.resample(audio, rate, own, quality="HQ"), np.float32) if own != rate else audio
        middle, spread = float(heard.mean()), max(float(heard.std()), 1e-8)
        batch = self._torch.from_numpy(np.ascontiguousarray(((heard - middle) / spread).T))[None]
        with self._torch.no_grad():
            found = self._apply(self._model, batch, device=self._device, split=True, overlap=0.25)[0].cpu().numpy()
        stems: dict[str, Samples] = {}
        for name, part in zip(self._model.sources, found, strict=True):
            if name in filters.STEMS[:3]:
                sound = np.ascontiguousarray(part.T * spread, np.float32)
                stems[name] = _fitted(soxr.resample(sound, own, rate, quality="HQ") if own != rate else sound, len(audio))
        if len(stems) != len(filters.STEMS) - 1:
            raise BadValue(f"the model gives {', '.join(self._model.sources)}, not drums, bass and vocals; take {MODEL}")
        stems["other"] = audio - np.sum(list(stems.values()), axis=0, dtype=np.float32)
        return {name: stems[name] for name in filters.STEMS}


def separate(
    audio: Samples, rate: int, folder: Path | None = None, model: str = MODEL, say: Callable[[str], None] = log.info
) -> dict[str, Samples]:
    """(frames, 2) float32 at ``rate`` Hz as drums, bass, vocals and other, which add up to it: by demucs with the weights in
    ``folder``, else by filters alone, which ``say`` is told in a line. Raises :class:`BadValue` for wrong shapes."""
    if folder is not None:
        try:
            return Demucs(folder, model).separate(audio, rate)
        except Unavailable as error:
            say(f"stems are made by filters, which is rougher: {error.message}")
    return filters.separate(audio, rate)


def _fitted(audio: Any, frames: int) -> Samples:
    """Cut or filled up to ``frames``."""
    audio = np.asarray(audio, np.float32)[:frames]
    return np.pad(audio, ((0, frames - len(audio)), (0, 0)))
