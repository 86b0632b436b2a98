# SPDX-License-Identifier: GPL-3.0-or-later
"""MusicGen (J. Copet et al., "Simple and Controllable Music Generation", 2023) by transformers, in the worker for models."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

from appliance.errors import BadFile, BadValue, Unavailable
from appliance.gen.backends.base import Cancelled, GenerationCancelled, Progress, Samples, stereo
from appliance.gen.backends.checkpoints import allowed, device_of, dtype_of, is_out_of_memory, model_folder
from appliance.gen.model_settings import ModelSettings

LONGEST_S = 30.0
"""What MusicGen was trained on."""
_GUIDANCE = 3.0
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")


class Musicgen:
    """A model that is loaded. Sounds are (frames, 2) float32 at :attr:`rate`."""

    longest_s = LONGEST_S

    def __init__(self, name: str, settings: ModelSettings) -> None:
        """Raises :class:`BadFile`, :class:`Unavailable`, :class:`BadValue` with what is wrong and what to do."""
        folder = model_folder(name, "musicgen", [("config.json",), _WEIGHTS], settings)
        try:
            library: Any = importlib.import_module("transformers")
            kind = library.MusicgenForConditionalGeneration
        except (ImportError, AttributeError) as error:
            raise Unavailable(f"transformers is not installed for gen.python ({error}); `make gen-env` installs it") from None
        pickled = not any((folder / file).is_file() for file in _WEIGHTS[:2])
        if pickled and not allowed(folder / _WEIGHTS[2], settings):
            raise BadFile(f"{folder / _WEIGHTS[2]}: is a pickle, which may carry code; take the model as safetensors, or, if "
                          f"you trust it, add {_WEIGHTS[2]} to gen.pickles")
        self._device = device_of(settings)
        try:
            config = library.AutoConfig.from_pretrained(folder, local_files_only=True)
            if config.model_type != "musicgen":
                raise BadFile(f"{folder}: is a model of type {config.model_type}, not musicgen")
            self._tokens: Any = library.AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model, report = kind.from_pretrained(
                folder, config=config, local_files_only=True, use_safetensors=not pickled,
                dtype=dtype_of(settings, self._device), output_loading_info=True,
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - safetensors' and tokenizers' own
            raise _of_loading(error, folder) from None
        if report["missing_keys"] or report["mismatched_keys"]:
            raise BadFile(f"{folder}: its weights are of another architecture than config.json says "
                          f"({len(report['missing_keys'])} tensors are missing); take both from one place")
        self._model: Any = model.to(self._device).eval()
        self._library = library

    @property
    def rate(self) -> int:
        return int(self._model.config.audio_encoder.sampling_rate)

    def generate(
        self, prompt: str, negative_prompt: str, seed: int, frames: int, options: dict[str, Any],
        progress: Progress, cancelled: Cancelled, *, init: Samples | None = None,
    ) -> Samples:
        """``frames`` of sound. ``options`` are those of :class:`appliance.gen.model_options.MusicgenOptions`. Raises
        :class:`GenerationCancelled` within a step, MemoryError, :class:`BadValue` for what MusicGen cannot do."""
        if init is not None:
            raise BadValue("musicgen takes no init_audio; that takes stable_audio", status=409)
        torch: Any = importlib.import_module("torch")
        config = self._model.config
        steps = math.ceil(frames / self.rate * config.audio_encoder.frame_rate)
        books = int(config.decoder.num_codebooks)
        done = 0

        class Step(self._library.StoppingCriteria):
            def __call__(self, ids: Any, _scores: Any, **_more: Any) -> Any:
                nonlocal done
                if cancelled():
                    raise GenerationCancelled("cancelled")
                done += 1
                progress(min(done / (steps + books), 1.0) * 0.95)
                return torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)

        progress(0.0)
        torch.manual_seed(seed)
        words = self._tokens([prompt], padding=True, return_tensors="pt").to(self._device)
        given = {"do_sample": True, "guidance_scale": _GUIDANCE} | options
        try:
            with torch.inference_mode():
                made = self._model.generate(**words, **given, max_new_tokens=steps + books,
                                            stopping_criteria=self._library.StoppingCriteriaList([Step()]))
            sound = made[0].to(torch.float32).cpu().numpy()
        except Exception as error:
            if is_out_of_memory(error):
                raise MemoryError(str(error)) from None
            raise
        if cancelled():
            raise GenerationCancelled("cancelled")
        progress(1.0)
        return stereo(sound, frames)


def _of_loading(error: Exception, folder: Path) -> BadFile:
    if isinstance(error, BadFile):
        return error
    line = (str(error).strip().splitlines() or [""])[0][:200]
    return BadFile(f"{folder}: cannot be loaded ({type(error).__name__}: {line}); is it whole, and a MusicGen model?")
