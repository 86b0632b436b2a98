# SPDX-License-Identifier: GPL-3.0-or-later
"""Stable Audio (Z. Evans et al., "Stable Audio Open", 2024) by stable-audio-tools, in the worker for models."""

from __future__ import annotations

import contextlib
import importlib
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from appliance.errors import BadValue
from appliance.gen.backends.base import Cancelled, GenerationCancelled, Progress, Samples, stereo
from appliance.gen.backends.checkpoints import is_out_of_memory
from appliance.gen.backends.stable_audio.loading import Loaded, load
from appliance.gen.model_options import FLOW_SAMPLERS, V_SAMPLERS
from appliance.gen.model_settings import ModelSettings

_STEPS = {"v": 100, "rectified_flow": 50, "rf_denoiser": 8}
_CFG_SCALE = {"v": 7.0, "rectified_flow": 7.0, "rf_denoiser": 1.0}
_SAMPLER = {"v": "dpmpp-3m-sde", "rectified_flow": "euler", "rf_denoiser": "pingpong"}
_SIGMAS = {"sigma_min": 0.3, "sigma_max": 500.0}
"""What the library's own interface begins with for models that predict v."""
_FREE = {"sampler_type", "sigma_min", "sigma_max", "rho", "cfg_interval", "scale_phi"}
_DECODED = 0.95


class StableAudio:
    """A model that is loaded. Sounds are (frames, 2) float32 at :attr:`rate`."""

    def __init__(self, name: str, settings: ModelSettings) -> None:
        """Raises :class:`BadFile`, :class:`Unavailable`, :class:`BadValue` with what is wrong and what to do."""
        self._loaded: Loaded = load(name, settings)
        self._name = name

    @property
    def rate(self) -> int:
        return self._loaded.rate

    @property
    def inpaints(self) -> bool:
        return self._loaded.inpaints

    @property
    def longest_s(self) -> float:
        return self._loaded.window / self._loaded.rate

    def generate(
        self, prompt: str, negative_prompt: str, seed: int, frames: int, options: dict[str, Any],
        progress: Progress, cancelled: Cancelled, *, init: Samples | None = None, inpaint: Samples | None = None,
        regions: Sequence[tuple[int, int]] = (),
    ) -> Samples:
        """``frames`` of sound. ``options`` are those of :class:`appliance.gen.model_options.StableAudioOptions`. ``init`` is
        where it starts from; of ``inpaint`` the ``regions`` (begin, end) are made anew, the rest comes back about as it was.

        Raises :class:`GenerationCancelled` within a step, MemoryError, :class:`BadValue` for what this model cannot do.
        """
        torch: Any = importlib.import_module("torch")
        library: Any = importlib.import_module("stable_audio_tools.inference.generation")
        loaded = self._loaded
        if inpaint is not None and not loaded.inpaints:
            raise BadValue(f"{self._name} cannot inpaint or continue; that takes a model of type diffusion_cond_inpaint, while "
                           "init_audio works with this one, too", status=409)
        size = int(options.get("sample_size") or frames)
        size = min(math.ceil(max(size, frames) / loaded.ratio) * loaded.ratio, max(loaded.window, loaded.ratio))
        arguments = self._arguments(options)
        steps = int(arguments["steps"])
        done = 0

        def step(_state: Any) -> None:
            nonlocal done
            if cancelled():
                raise GenerationCancelled("cancelled")
            done += 1
            progress(min(done / steps, 1.0) * _DECODED)

        arguments |= {
            "conditioning": [self._conditioning(prompt, frames, options)], "sample_size": size, "seed": seed, "callback": step,
            "device": loaded.device,
        }  # fmt: skip
        if negative_prompt:
            arguments["negative_conditioning"] = [self._conditioning(negative_prompt, frames, options)]
        if init is not None:
            arguments["init_audio"] = (loaded.rate, self._tensor(init))
            arguments["init_noise_level"] = options.get("init_noise_level", 0.7 if loaded.objective != "v" else 5.0)
        make = library.generate_diffusion_cond
        if inpaint is not None:
            mask = torch.ones(1, size)
            for begin, end in regions:
                mask[:, begin:end] = 0
            mask[:, len(inpaint):] = 0
            arguments |= {"inpaint_audio": (loaded.rate, self._tensor(inpaint)), "inpaint_mask": mask}
        if loaded.inpaints:
            make = library.generate_diffusion_cond_inpaint
        progress(0.0)
        try:
            with torch.inference_mode(), contextlib.redirect_stdout(io.StringIO()):  # it prints seeds
                made = make(loaded.model, **arguments)
            sound = made[0].to(torch.float32).cpu().numpy()
        except Exception as error:
            if is_out_of_memory(error):
                raise MemoryError(str(error)) from None
            raise
        if cancelled():
            raise GenerationCancelled("cancelled")
        progress(1.0)
        return stereo(sound, frames)

    def _arguments(self, options: dict[str, Any]) -> dict[str, Any]:
        """Raises :class:`BadValue` for a sampler of the other kind of model."""
        objective = self._loaded.objective
        fits = V_SAMPLERS if objective == "v" else FLOW_SAMPLERS
        sampler = options.get("sampler_type") or _SAMPLER.get(objective, fits[0])
        if sampler not in fits:
            raise BadValue(f"sampler_type: this model is a {objective} model; it takes {', '.join(fits)}, not {sampler}")
        given = {name: value for name, value in options.items() if name in _FREE}
        sigmas = _SIGMAS if objective == "v" and sampler in V_SAMPLERS[:-2] else {}
        return {
            "steps": options.get("steps", _STEPS.get(objective, 50)),
            "cfg_scale": options.get("cfg_scale", _CFG_SCALE.get(objective, 7.0)), **sigmas, **given, "sampler_type": sampler,
        }  # fmt: skip

    def _conditioning(self, prompt: str, frames: int, options: dict[str, Any]) -> dict[str, Any]:
        """Raises :class:`BadValue` when the model wants what nobody has said."""
        seconds = options.get("seconds_total") or frames / self._loaded.rate
        known = {"prompt": prompt, "seconds_start": options.get("seconds_start", 0), "seconds_total": seconds}
        known |= options.get("conditioning") or {}
        lacking = [name for name in self._loaded.wants if name not in known]
        if lacking:
            raise BadValue(f"this model wants to be told {', '.join(lacking)}; say it as conditioning: {{\"{lacking[0]}\": …}}")
        return {name: known[name] for name in self._loaded.wants}

    def _tensor(self, sound: Samples) -> Any:
        torch: Any = importlib.import_module("torch")
        return torch.from_numpy(np.ascontiguousarray(sound.T)).to(self._loaded.dtype)
