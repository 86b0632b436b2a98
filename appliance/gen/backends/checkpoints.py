# SPDX-License-Identifier: GPL-3.0-or-later
"""Models on the disk: where they are, and their weights without the code that a pickle may carry."""

from __future__ import annotations

import importlib
import pickle
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from appliance.errors import BadFile, BadValue
from appliance.gen.model_settings import ModelSettings

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_NO_MEMORY = ("out of memory", "can't allocate memory", "failed to allocate", "could not create a primitive")
"""What torch says when an allocation fails: CUDA's, the processor's, and oneDNN's."""
PICKLES = (".ckpt", ".pth", ".pt", ".bin", ".th")


def model_folder(name: str, key: str, files: Iterable[tuple[str, ...]], settings: ModelSettings) -> Path:
    """The folder of a model named by its folder or its name on the hub. ``key`` is where the config names it; of each of
    ``files`` one of the alternatives must be there. Raises :class:`BadFile` with what to do."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if not _HUB_NAME.fullmatch(name) or folder.is_absolute():
            raise BadFile(f"gen.{key}: there is no folder {name}; name a model's folder, or its name on the hub", status=404)
        folder = _from_hub(name, key, files, settings)
    for alternatives in files:
        if not any((folder / file).is_file() for file in alternatives):
            raise BadFile(f"{folder}: lacks {' or '.join(alternatives)}; it is no model, or its download was cut off")
    return folder.resolve()


def _from_hub(name: str, key: str, files: Iterable[tuple[str, ...]], settings: ModelSettings) -> Path:
    hub: Any = importlib.import_module("huggingface_hub")
    wanted = {f"*{Path(file).suffix}" for alternatives in files for file in alternatives} - {f"*{end}" for end in PICKLES}
    try:
        found = hub.snapshot_download(name, local_files_only=not settings.fetch,
                                      allow_patterns=sorted(wanted | {"*.json", "*.model", "*.txt"}))
    except Exception as error:  # noqa: BLE001 - of the hub's client, and of what it stands on
        if settings.fetch:
            why = str(error).strip().splitlines() or [type(error).__name__]
            raise BadFile(f"gen.{key}: {name} cannot be downloaded ({why[0][:160]}); its licence may have to be accepted on "
                          "the hub first") from None
        raise BadFile(f"gen.{key}: {name} is not on this disk; download it before the show (`hf download {name}`), name its "
                      "folder, or set gen.fetch to true", status=404) from None
    return Path(found)


def read_weights(path: Path, settings: ModelSettings, safe: Iterable[Any] = ()) -> dict[str, Any]:
    """What a checkpoint holds: of safetensors the tensors, of others the object that was saved. ``safe`` are classes that a
    pickle may name. Raises :class:`BadFile` for a damaged one and for one that would run code."""
    torch: Any = importlib.import_module("torch")
    if path.suffix == ".safetensors":
        safetensors: Any = importlib.import_module("safetensors")
        try:
            return importlib.import_module("safetensors.torch").load_file(path)
        except (safetensors.SafetensorError, OSError, ValueError) as error:
            raise _damaged(path, error) from None
    try:
        with torch.serialization.safe_globals(list(safe)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        if named is None:
            raise BadFile(f"{path}: is no checkpoint, or damaged; download it again") from None
        if not allowed(path, settings):
            raise BadFile(f"{path}: is a pickle with code in it ({named.group(1)}), which could do anything to this machine; "
                          f"take the model as safetensors, or, if you trust it, add {path.name} to gen.pickles") from None
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        raise _damaged(path, error) from None
    try:
        return torch.load(path, map_location="cpu", weights_only=False)  # allowed by name
    except Exception as error:  # noqa: BLE001 - code of others
        raise BadFile(f"{path}: cannot be loaded ({type(error).__name__}: {_line(error)})") from None


def allowed(path: Path, settings: ModelSettings) -> bool:
    return path.name in settings.pickles


def fill(model: Any, weights: dict[str, Any], path: Path) -> None:
    """Give a torch module its weights. Raises :class:`BadFile` when they are of another architecture."""
    own = model.state_dict()
    missing = [name for name in own if name not in weights]
    other = [name for name in weights if name not in own]
    shapes = [name for name, tensor in weights.items() if name in own and own[name].shape != tensor.shape]
    if missing or other or shapes:
        raise BadFile(f"{path}: is of another architecture than its config says ({len(missing)} tensors are missing, "
                      f"{len(other)} unknown, {len(shapes)} of another shape, such as {(missing + other + shapes)[0]}); take "
                      "both from one place")
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise BadFile(f"{path}: does not fit its config ({_line(error)})") from None


def device_of(settings: ModelSettings) -> str:
    """``cpu`` or ``cuda``. Raises :class:`BadValue` when cuda is asked for and not there."""
    torch: Any = importlib.import_module("torch")
    there = bool(torch.cuda.is_available())
    if settings.device == "cuda" and not there:
        raise BadValue("gen.device is cuda, but torch finds no CUDA device; set it to auto or cpu, or mend the driver",
                       status=409)
    return "cuda" if there and settings.device != "cpu" else "cpu"


def dtype_of(settings: ModelSettings, device: str) -> Any:
    """torch's type of the weights."""
    torch: Any = importlib.import_module("torch")
    name = settings.precision if settings.precision != "auto" else ("fp16" if device == "cuda" else "fp32")
    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[name]


def is_out_of_memory(error: BaseException) -> bool:
    """Of torch on a GPU or the processor, or Python's own."""
    torch: Any = importlib.import_module("torch")
    said = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(words in said for words in _NO_MEMORY)
    )


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def _damaged(path: Path, error: BaseException) -> BadFile:
    return BadFile(f"{path}: is truncated or damaged ({_line(error)}); download it again")
