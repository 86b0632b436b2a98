# SPDX-License-Identifier: GPL-3.0-or-later
"""MusicGen (J. Copet et al., "Simple and Controllable Music Generation", 2023) by transformers, in the worker for models."""

from __future__ import annotations

import importlib
import math
from typing import Any

from appliance.errors import BadValue
from appliance.gen.backends.base import Cancelled, Progress, Samples, stereo
from appliance.gen.backends.pretrained import Pretrained
from appliance.gen.model_settings import ModelSettings

LONGEST_S = 30.0
"""What MusicGen was trained on."""
_GUIDANCE = 3.0


class Musicgen:
    """A model that is loaded. Sounds are (frames, 2) float32 at :attr:`rate`."""

    longest_s = LONGEST_S

    def __init__(self, name: str, settings: ModelSettings) -> None:
        """Raises :class:`BadFile`, :class:`Unavailable`, :class:`BadValue` with what is wrong and what to do."""
        self._made = Pretrained(name, "musicgen", "MusicgenForConditionalGeneration", "musicgen", settings)
        with self._made.loading("musicgen"):
            self._tokens: Any = self._made.library.AutoTokenizer.from_pretrained(self._made.folder, local_files_only=True)

    @property
    def rate(self) -> int:
        return int(self._made.model.config.audio_encoder.sampling_rate)

    def generate(
        self, prompt: str, negative_prompt: str, seed: int, frames: int, options: dict[str, Any],
        progress: Progress, cancelled: Cancelled, *, init: Samples | None = None,
    ) -> Samples:
        """``frames`` of sound. ``options`` are those of :class:`appliance.gen.model_options.MusicgenOptions`. Raises
        :class:`GenerationCancelled` within a step, MemoryError, :class:`BadValue` for what MusicGen cannot do."""
        if init is not None:
            raise BadValue("musicgen takes no init_audio; that takes stable_audio", status=409)
        torch: Any = importlib.import_module("torch")
        config = self._made.model.config
        steps = math.ceil(frames / self.rate * config.audio_encoder.frame_rate) + int(config.decoder.num_codebooks)
        progress(0.0)
        torch.manual_seed(seed)
        words = self._tokens([prompt], padding=True, return_tensors="pt").to(self._made.device)
        given = {"do_sample": True, "guidance_scale": _GUIDANCE} | options
        made = self._made.generate(steps, progress, cancelled, **words, **given)
        progress(1.0)
        return stereo(made[0].to(torch.float32).cpu().numpy(), frames)
