# SPDX-License-Identifier: GPL-3.0-or-later
"""A Stable Audio model from its folder: ``model_config.json`` and ``model.safetensors`` or ``model.ckpt``."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.errors import BadFile, Unavailable
from appliance.gen.backends.checkpoints import device_of, dtype_of, fill, model_folder, read_weights
from appliance.gen.backends.stable_audio import standins
from appliance.gen.model_settings import ModelSettings

KINDS = ("diffusion_cond", "diffusion_cond_inpaint")
WEIGHTS = ("model.safetensors", "model.ckpt")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is ready. ``ratio`` is how many frames one step of its latents is; ``window`` how many frames it makes at
    most; ``wants`` the names of its conditioning."""

    model: Any
    device: str
    dtype: Any
    rate: int
    window: int
    ratio: int
    objective: str
    inpaints: bool
    wants: tuple[str, ...]


def load(name: str, settings: ModelSettings) -> Loaded:
    """Raises :class:`BadFile`, :class:`Unavailable`: what is wrong with the model or the environment."""
    folder = model_folder(name, "stable_audio", [("model_config.json",), WEIGHTS], settings)
    config = read_config(folder / "model_config.json")
    factory = _library()
    device = device_of(settings)
    with _beside(folder):
        try:
            model = factory.create_model_from_config(config)
        except Exception as error:  # noqa: BLE001 - the library asserts, and raises whatever its parts do
            raise _of_building(error, folder) from None
    path = next(folder / file for file in WEIGHTS if (folder / file).is_file())
    weights = read_weights(path, settings)
    fill(model, weights.get("state_dict", weights), path)
    dtype = dtype_of(settings, device)
    model = model.to(device=device, dtype=dtype).eval().requires_grad_(requires_grad=False)
    return Loaded(
        model=model, device=device, dtype=dtype, rate=int(config["sample_rate"]), window=int(config["sample_size"]),
        ratio=int(model.pretransform.downsampling_ratio) if model.pretransform is not None else 1,
        objective=str(model.diffusion_objective), inpaints=config["model_type"] == "diffusion_cond_inpaint",
        wants=tuple(entry["id"] for entry in config["model"]["conditioning"]["configs"]),
    )  # fmt: skip


def read_config(path: Path) -> dict[str, Any]:
    """``model_config.json``. Raises :class:`BadFile`."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind = config["model_type"]
        _ = (int(config["sample_rate"]), int(config["sample_size"]), config["model"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFile(f"{path}: does not describe a model ({type(error).__name__}: {error}); download it again") from None
    if kind not in KINDS:
        raise BadFile(f"{path}: is a model of type {kind}; what makes audio from words is of type {' or '.join(KINDS)}")
    return config


def _library() -> Any:
    os.environ.setdefault("TQDM_DISABLE", "1")
    try:
        standins.install()
        return importlib.import_module("stable_audio_tools.models.factory")
    except ImportError as error:
        raise Unavailable(f"stable-audio-tools is not installed for gen.python ({error}); `make gen-env` installs it") from None


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """The library loads text encoders by name: a folder of that name beside the weights is taken, else the hub's cache."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _of_building(error: Exception, folder: Path) -> BadFile:
    line = (str(error).strip().splitlines() or [""])[0][:200]
    if isinstance(error, OSError):
        return BadFile(f"{folder}: its text encoder is not on this disk ({line}); put it beside the weights as a folder of its "
                       "name, such as t5-base, or download it before the show")
    return BadFile(f"{folder}/model_config.json: stable-audio-tools cannot build this model ({type(error).__name__}: {line})")
