# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters of the models' libraries, under the names that they have there. What is left out is as the library has it."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from appliance.gen.parsing import parsed

Sampler = Literal["dpmpp-3m-sde", "dpmpp-2m-sde", "dpmpp-2m", "k-heun", "k-lms", "k-dpmpp-2s-ancestral", "k-dpm-2",
                  "k-dpm-fast", "k-dpm-adaptive", "v-ddim", "v-ddim-cfgpp", "euler", "rk4", "dpmpp", "pingpong"]
FLOW_SAMPLERS: tuple[str, ...] = ("euler", "rk4", "dpmpp", "pingpong")
"""Of rectified flows."""
V_SAMPLERS: tuple[str, ...] = tuple(name for name in get_args(Sampler) if name not in FLOW_SAMPLERS)
"""Of models that predict v: those of k-diffusion, and DDIM."""


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())


class StableAudioOptions(_Options):
    """Of ``stable_audio_tools.inference.generation.generate_diffusion_cond`` and ``…_inpaint``, and of their samplers.
    ``seed``, ``init_audio`` and ``batch_size`` (``candidates``) are fields of the request. ``conditioning``: more than prompt,
    seconds_start and seconds_total, where a model wants it."""

    steps: int | None = Field(None, ge=1, le=1000)
    cfg_scale: float | None = Field(None, ge=0, le=100)
    sampler_type: Sampler | None = None
    sigma_min: float | None = Field(None, gt=0, le=1000)
    sigma_max: float | None = Field(None, gt=0, le=10_000)
    rho: float | None = Field(None, gt=0, le=100)
    init_noise_level: float | None = Field(None, gt=0, le=10_000)
    cfg_interval: tuple[float, float] | None = None
    scale_phi: float | None = Field(None, ge=0, le=1)
    sample_size: int | None = Field(None, ge=1024, le=48_000 * 600)
    seconds_start: float | None = Field(None, ge=0, le=3600)
    seconds_total: float | None = Field(None, gt=0, le=3600)
    conditioning: dict[str, Any] | None = None


class MusicgenOptions(_Options):
    """Of ``transformers.MusicgenForConditionalGeneration.generate``. ``max_new_tokens`` follows from the loop's length."""

    do_sample: bool | None = None
    guidance_scale: float | None = Field(None, ge=1, le=100)
    temperature: float | None = Field(None, gt=0, le=10)
    top_k: int | None = Field(None, ge=0, le=10_000)
    top_p: float | None = Field(None, gt=0, le=1)
    typical_p: float | None = Field(None, gt=0, le=1)
    repetition_penalty: float | None = Field(None, gt=0, le=10)
    renormalize_logits: bool | None = None


class DiaOptions(_Options):
    """Of ``transformers.DiaForConditionalGeneration.generate``. How long it speaks follows from the text."""

    do_sample: bool | None = None
    guidance_scale: float | None = Field(None, ge=1, le=100)
    temperature: float | None = Field(None, ge=1, le=10)
    top_k: int | None = Field(None, ge=1, le=10_000)
    top_p: float | None = Field(None, gt=0, le=1)


OPTIONS: dict[str, type[_Options]] = {
    "stable_audio": StableAudioOptions, "musicgen": MusicgenOptions,
}  # fmt: skip
"""Of the models that make loops."""


def parse_options(backend: str, fields: dict[str, Any]) -> dict[str, Any]:
    """What was said, checked. Raises :class:`BadValue`."""
    return parsed(OPTIONS[backend], backend, fields).model_dump(mode="json", exclude_none=True)
