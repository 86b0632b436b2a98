# SPDX-License-Identifier: GPL-3.0-or-later
"""Dia (Nari Labs, 2025), speech from dialogues, by transformers in the worker for models. Its codec is DAC (R. Kumar et al.,
"High-Fidelity Audio Compression with Improved RVQGAN", 2023)."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.errors import BadValue
from appliance.gen.backends.base import Cancelled, Progress
from appliance.gen.backends.pretrained import Pretrained
from appliance.gen.model_settings import ModelSettings

CHARACTERS_A_SECOND = 8.0
"""Of slow speech: what takes longer has lost its thread."""
_MORE_S = 3.0
DEFAULTS: dict[str, Any] = {"do_sample": True, "guidance_scale": 3.0, "temperature": 1.8, "top_p": 0.9, "top_k": 45}
"""As its authors show it."""


class Dia:
    """A model that is loaded, with its codec. Sounds are mono float32 at :attr:`rate`."""

    def __init__(self, name: str, settings: ModelSettings) -> None:
        """Raises :class:`BadFile`, :class:`Unavailable`, :class:`BadValue` with what is wrong and what to do."""
        self._made = Pretrained(name, "dia", "DiaForConditionalGeneration", "dia", settings)
        codec = Pretrained(settings.dia_codec, "dia_codec", "DacModel", "dac", settings, exact=True)
        library = self._made.library
        with self._made.loading("dia"):
            features = library.DiaFeatureExtractor.from_pretrained(self._made.folder, local_files_only=True)
            tokens = library.DiaTokenizer.from_pretrained(self._made.folder, local_files_only=True)
        self._processor: Any = library.DiaProcessor(features, tokens, audio_tokenizer=codec.model)
        self._hop = math.prod(codec.model.config.downsampling_ratios)
        self.rate = int(features.sampling_rate)

    def say(
        self, text: str, seed: int, options: dict[str, Any], progress: Progress, cancelled: Cancelled, *,
        like: NDArray[np.float32] | None = None, like_text: str = "",
    ) -> NDArray[np.float32]:
        """``text`` with its tags ([S1] …). ``options`` are those of :class:`appliance.gen.model_options.DiaOptions`. ``like``
        (n,) at :attr:`rate` is the voice of [S1], and what it says is ``like_text``. Raises :class:`GenerationCancelled` within
        a step, MemoryError, :class:`BadValue` for more than the model can hold."""
        torch: Any = importlib.import_module("torch")
        progress(0.0)
        torch.manual_seed(seed)
        said = text if like is None else f"{like_text} {text}"
        words = self._processor(text=[said], audio=None if like is None else [like], padding=True, return_tensors="pt")
        config = self._made.model.config
        room = config.decoder_config.max_position_embeddings - words["decoder_input_ids"].shape[1]
        if words["input_ids"].shape[1] > config.encoder_config.max_position_embeddings or room < 1:
            raise BadValue("dia: the text, or the voice that it is said in, is too long for this model; say less at once")
        before = None if like is None else self._processor.get_audio_prompt_len(words["decoder_attention_mask"])
        steps = min(math.ceil((len(text) / CHARACTERS_A_SECOND + _MORE_S) * self.rate / self._hop), room)
        made = self._made.generate(steps, progress, cancelled, **words.to(self._made.device), **(DEFAULTS | options))
        with self._made.computing(cancelled):
            sound = self._processor.batch_decode(made, audio_prompt_len=before)[0]
        progress(1.0)
        return np.nan_to_num(np.atleast_1d(sound.to(torch.float32).cpu().numpy()), posinf=0.0, neginf=0.0)
