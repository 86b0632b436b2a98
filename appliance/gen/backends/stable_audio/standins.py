# SPDX-License-Identifier: GPL-3.0-or-later
"""What stable-audio-tools imports and does not need here: torchaudio's resampler is Julius' (the same windowed sinc), and of
k-diffusion only the samplers are loaded, not the training code that wants a dozen packages more."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import Any


def install() -> None:
    """Before the first import of ``stable_audio_tools``. What is installed is left alone."""
    if importlib.util.find_spec("torchaudio") is None:
        _torchaudio()
    if "k_diffusion" not in sys.modules:
        _k_diffusion()


def _torchaudio() -> None:
    torch: Any = importlib.import_module("torch")
    julius: Any = importlib.import_module("julius")

    def resample(waveform: Any, orig_freq: int, new_freq: int, **_options: Any) -> Any:
        return julius.resample_frac(waveform, int(orig_freq), int(new_freq))

    class Resample(torch.nn.Module):
        def __init__(self, orig_freq: int = 16_000, new_freq: int = 16_000, **_options: Any) -> None:
            super().__init__()
            self.rates = int(orig_freq), int(new_freq)

        def forward(self, waveform: Any) -> Any:
            return resample(waveform, *self.rates)

    package = _module("torchaudio")
    package.transforms = _module("torchaudio.transforms", Resample=Resample)
    package.functional = _module("torchaudio.functional", resample=resample)


def _k_diffusion() -> None:
    spec = importlib.util.find_spec("k_diffusion")
    if spec is None or spec.submodule_search_locations is None:
        return
    package: Any = types.ModuleType("k_diffusion")
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = spec
    sys.modules["k_diffusion"] = package
    invented: list[str] = []
    if importlib.util.find_spec("torchvision") is None:  # its utils import it for pictures
        invented = ["torchvision", "torchvision.transforms", "torchvision.transforms.functional"]
        vision, transforms, functional = (_module(name) for name in invented)
        vision.transforms, transforms.functional = transforms, functional
    try:
        for name in ("utils", "sampling", "external"):
            setattr(package, name, importlib.import_module(f"k_diffusion.{name}"))
    finally:
        for name in invented:
            del sys.modules[name]


def _module(name: str, **members: Any) -> Any:
    module: Any = types.ModuleType(name)
    module.__path__ = []
    module.__spec__ = importlib.util.spec_from_loader(name, None)
    module.__dict__.update(members)
    sys.modules[name] = module
    return module
