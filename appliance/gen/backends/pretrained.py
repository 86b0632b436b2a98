# SPDX-License-Identifier: GPL-3.0-or-later
"""What models of transformers have in common: how one is loaded from its folder, and how one is driven step by step."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from appliance.errors import BadFile, Unavailable
from appliance.gen.backends.base import Cancelled, GenerationCancelled, Progress
from appliance.gen.backends.checkpoints import allowed, device_of, dtype_of, is_out_of_memory, model_folder
from appliance.gen.model_settings import ModelSettings

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_STEPPED = 0.95
"""Of the progress; the rest is for what comes behind the last step."""


class Pretrained:
    """A model on its device, in evaluation."""

    def __init__(self, name: str, key: str, kind: str, type_: str, settings: ModelSettings, *, exact: bool = False) -> None:
        """``key`` is where the config names it, ``kind`` its class in transformers, ``type_`` what its config.json says it is;
        ``exact``: with the precision of the processor, fp32. Raises :class:`BadFile`, :class:`Unavailable`, BadValue with what
        is wrong and what to do."""
        self.folder = model_folder(name, key, [("config.json",), _WEIGHTS], settings)
        try:
            self.library: Any = importlib.import_module("transformers")
            made = getattr(self.library, kind)
        except (ImportError, AttributeError) as error:
            raise Unavailable(f"transformers is not installed for gen.python ({error}); `make gen-env` installs it") from None
        pickled = not any((self.folder / file).is_file() for file in _WEIGHTS[:2])
        if pickled and not allowed(self.folder / _WEIGHTS[2], settings):
            raise BadFile(f"{self.folder / _WEIGHTS[2]}: is a pickle, which may carry code; take the model as safetensors, or, "
                          f"if you trust it, add {_WEIGHTS[2]} to gen.pickles")
        self.device = device_of(settings)
        with self.loading(type_):
            config = self.library.AutoConfig.from_pretrained(self.folder, local_files_only=True)
            if config.model_type != type_:
                raise BadFile(f"{self.folder}: is a model of type {config.model_type}, not {type_}")
            model, report = made.from_pretrained(
                self.folder, config=config, local_files_only=True, use_safetensors=not pickled,
                dtype=dtype_of(settings, "cpu" if exact else self.device), output_loading_info=True,
            )  # fmt: skip
        if report["missing_keys"] or report["mismatched_keys"]:
            raise BadFile(f"{self.folder}: its weights are of another architecture than config.json says "
                          f"({len(report['missing_keys'])} tensors are missing); take both from one place")
        self.model: Any = model.to(self.device).eval()

    @contextmanager
    def loading(self, type_: str) -> Iterator[None]:
        """Whatever fails within is one line that names the folder: a :class:`BadFile`."""
        try:
            yield
        except BadFile:
            raise
        except Exception as error:  # noqa: BLE001 - safetensors' and tokenizers' own
            line = (str(error).strip().splitlines() or [""])[0][:200]
            raise BadFile(f"{self.folder}: cannot be loaded ({type(error).__name__}: {line}); is it whole, and a {type_} "
                          "model?") from None

    def generate(self, steps: int, progress: Progress, cancelled: Cancelled, **arguments: Any) -> Any:
        """What the model's ``generate`` gives in at most ``steps`` steps. Raises :class:`GenerationCancelled` within a step,
        MemoryError."""
        torch: Any = importlib.import_module("torch")
        done = 0

        class Step(self.library.StoppingCriteria):
            def __call__(self, ids: Any, _scores: Any, **_more: Any) -> Any:
                nonlocal done
                if cancelled():
                    raise GenerationCancelled("cancelled")
                done += 1
                progress(min(done / steps, 1.0) * _STEPPED)
                return torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)

        with self.computing(cancelled):
            return self.model.generate(**arguments, max_new_tokens=steps,
                                       stopping_criteria=self.library.StoppingCriteriaList([Step()]))

    @contextmanager
    def computing(self, cancelled: Cancelled) -> Iterator[None]:
        """Without gradients. Raises MemoryError, and :class:`GenerationCancelled` at the end of what nobody wants any more."""
        torch: Any = importlib.import_module("torch")
        try:
            with torch.inference_mode():
                yield
        except Exception as error:
            if is_out_of_memory(error):
                raise MemoryError(str(error)) from None
            raise
        if cancelled():
            raise GenerationCancelled("cancelled")
