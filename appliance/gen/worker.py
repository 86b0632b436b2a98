# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker: a process that makes audio, conforms it and writes it to the store.

Started by :mod:`appliance.gen.pool` as ``python -m appliance.gen.worker --fd N --name NAME --data PATH``. It speaks JSON
lines on the inherited socket N; its stdout goes to stderr, so libraries may print. One job at a time.

To the worker: ``{"op": "generate", "job": 7, "request": {…}, "candidates": [0, 1]}``, ``{"op": "cancel", "job": 7}``.
From it: ``ready`` (name), ``progress`` (job, value 0…1), ``made`` (job, candidate, clip: what
:class:`appliance.library.store.Clip` needs), ``done``, ``cancelled``, ``failed`` (job, message, retry).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import math
import os
import queue
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any, Protocol

import soundfile as sf

from appliance.errors import ApplianceError, BadValue
from appliance.gen.backends.base import Backend, Cancelled, GenerationCancelled, Progress, Samples
from appliance.gen.conform import ROLE_LUFS, ConformReport, conform
from appliance.gen.drop import DROP_VERSION, DropRequest
from appliance.gen.finished import finished
from appliance.gen.fuse import fuse
from appliance.gen.fusion import FUSION_VERSION, FusionRequest
from appliance.gen.heap import give_back, keep_memory
from appliance.gen.model_settings import ModelSettings
from appliance.gen.request import GenRequest
from appliance.gen.standback import stand_back
from appliance.gen.work import Request, parse_job
from appliance.library.analysis.loudness import LoudnessMeter
from appliance.library.analysis.spectrum import balance_of

log = logging.getLogger(__name__)
REST_S = 5.0
"""After so long without work its memory is given back."""
_PROGRESS_EVERY_S = 0.05


class Maker(Protocol):
    """What a worker can do. ``name`` is one of :data:`appliance.gen.backends.WORKERS`."""

    @property
    def name(self) -> str: ...

    def warm(self) -> None:
        """Load what takes time, before the first request."""

    def make(self, request: Request, folder: Path, progress: Progress, cancelled: Cancelled) -> dict[str, Any]:
        """The fields of a clip whose audio lies in the store's ``folder`` now. ``progress`` takes 0…1; ``cancelled`` is asked
        often. Raises :class:`GenerationCancelled`, :class:`ApplianceError`."""
        ...


class Embedded:
    """The embedded generator, fusions, and the embedded voice."""

    name = "procedural"

    def __init__(self) -> None:
        self._backend = backend_named(self.name)

    def warm(self) -> None:
        self._backend.warm()

    def make(self, request: Request, folder: Path, progress: Progress, cancelled: Cancelled) -> dict[str, Any]:
        if isinstance(request, FusionRequest):
            return make_fusion(request, folder, progress, cancelled)
        if isinstance(request, DropRequest):
            return make_drop(request, folder, progress, cancelled)
        if isinstance(request, GenRequest):
            return make_clip(self._backend, request, folder, progress, cancelled)
        raise BadValue(f"the embedded generator cannot make {request.title()}")


def maker_named(name: str, settings: dict[str, Any]) -> Maker:
    """Raises :class:`BadValue` when there is none of this name."""
    match name:
        case "procedural":
            return Embedded()
        case "material":
            from appliance.gen.material_maker import MaterialMaker

            return MaterialMaker()
        case "models":
            from appliance.gen.backends.models import ModelMaker

            return ModelMaker(ModelSettings.model_validate(settings))
        case _:
            raise BadValue(f"there is no generator {name!r}; the embedded one is called procedural")


def backend_named(name: str) -> Backend:
    """One that makes loops from words in this process. Raises :class:`BadValue` when there is none of this name."""
    if name == "procedural":
        from appliance.gen.backends.procedural import ProceduralBackend

        return ProceduralBackend()
    raise BadValue(f"there is no generator {name!r}; the embedded one is called procedural")


def make_clip(backend: Backend, request: GenRequest, folder: Path, progress: Progress, cancelled: Cancelled) -> dict[str, Any]:
    """Generate, conform and store one candidate of the embedded generator, which is exact. Returns the fields of its clip."""
    request = request.resolved()
    audio = backend.generate(request, progress, cancelled)
    if cancelled():
        raise GenerationCancelled("cancelled")
    loop, report, _ = conform(
        audio.mix, audio.sample_rate, bpm=request.bpm or 120, bars=request.bars or 1, beats_per_bar=request.beats_per_bar,
        target_rate=request.sample_rate, target_lufs=ROLE_LUFS[request.role], downbeat_frame=0,
    )  # fmt: skip
    if cancelled():
        raise GenerationCancelled("cancelled")
    return _loop(loop, report, request, folder, {
        "backend": backend.name, "version": backend.version, "request": request.model_dump(mode="json", exclude_none=True),
    })  # fmt: skip


def make_fusion(request: FusionRequest, folder: Path, progress: Progress, cancelled: Cancelled) -> dict[str, Any]:
    """A clip out of clips that are in the store."""

    def read(hash_: str) -> tuple[Any, int]:
        path = folder / hash_[:2] / f"{hash_}.wav"
        if not path.is_file():
            raise BadValue(f"a clip of the fusion has vanished ({hash_[:12]}…); generate it again")
        return sf.read(path, dtype="float32", always_2d=True)

    loop, report = fuse(request, read, progress, cancelled)
    return _loop(loop, report, request, folder, {
        "backend": "fusion", "version": FUSION_VERSION, "parents": [parent.hash for parent in request.parents],
        "fusion": request.model_dump(mode="json", exclude_none=True),
    })  # fmt: skip


def make_drop(request: DropRequest, folder: Path, progress: Progress, cancelled: Cancelled) -> dict[str, Any]:
    """A clip of a voice that says a text."""
    from appliance.gen.speaking import say

    audio, loudness, notes = say(request, progress, cancelled)
    return finished(
        audio, request.sample_rate, folder, name=request.title(), role=request.role, loudness=loudness, notes=notes,
        lineage={"backend": "espeak", "version": DROP_VERSION, "drop": request.model_dump(mode="json")},
    )  # fmt: skip


def _loop(
    loop: Samples, report: ConformReport, request: GenRequest | FusionRequest, folder: Path, lineage: dict[str, Any]
) -> dict[str, Any]:
    return finished(
        loop, request.sample_rate, folder, name=request.title(), role=request.role, bpm=request.bpm, bars=request.bars,
        beats=request.beats, key=request.key, loudness=report.loudness_lufs, notes=report.notes,
        lineage=lineage | {"heard": heard(loop, request.sample_rate)},
    )  # fmt: skip


def heard(loop: Samples, rate: int) -> dict[str, Any]:
    """What those who mix by rule must know: the mean loudness in LUFS with its pauses, and the shares of the bands."""
    meter = LoudnessMeter(rate)
    meter.feed(loop)
    level = -0.691 + 10.0 * math.log10(max(float(meter.tenths().mean()), 1e-9)) if len(loop) >= rate / 10 else -70.0
    return {"level": round(level, 2), "balance": [round(share, 4) for share in balance_of(loop, rate)]}


class Worker:
    """The loop of the worker process: one thread reads the socket, the main thread makes audio."""

    def __init__(self, link: socket.socket, maker: Maker, folder: Path) -> None:
        self._link = link
        self._maker = maker
        self._folder = folder
        self._work: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._sending = threading.Lock()

    def run(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        self._maker.warm()
        self._say("ready", name=self._maker.name)
        while True:
            message = self._next()
            self._generate(int(message["job"]), message["request"], list(message.get("candidates") or [0]))

    def _next(self) -> dict[str, Any]:
        with contextlib.suppress(queue.Empty):
            return self._work.get(timeout=REST_S)
        give_back()
        return self._work.get()

    def _listen(self) -> None:
        """Read until the other side is gone, then leave at once: a worker must not outlive its gen process."""
        with self._link.makefile("rb") as lines, contextlib.suppress(OSError):
            for line in lines:
                message = json.loads(line)
                if message.get("op") == "cancel":
                    self._cancelled.add(int(message["job"]))
                elif message.get("op") == "generate":
                    self._cancelled.discard(int(message["job"]))
                    self._work.put(message)
        os._exit(0)

    def _generate(self, job: int, fields: dict[str, Any], candidates: list[int]) -> None:
        last_s = 0.0

        def progress(number: int, value: float) -> None:
            nonlocal last_s
            now_s = time.monotonic()
            if now_s - last_s >= _PROGRESS_EVERY_S or value >= 1:
                last_s = now_s
                self._say("progress", job=job, value=(number + min(value, 1.0)) / len(candidates))

        def cancelled() -> bool:
            return job in self._cancelled

        try:
            request = parse_job(fields)
            for number, candidate in enumerate(candidates):
                clip = self._maker.make(
                    request.candidate(candidate), self._folder, lambda value, number=number: progress(number, value), cancelled
                )
                self._say("made", job=job, candidate=candidate, clip=clip)
            self._say("done", job=job)
        except GenerationCancelled:
            self._say("cancelled", job=job)
        except ApplianceError as error:
            self._say("failed", job=job, message=error.message, retry=False, status=error.status)
        except MemoryError:
            self._say("failed", job=job, message="not enough memory for this request; ask for fewer bars", retry=True)
        except Exception as error:
            log.exception("job %d failed", job)
            self._say("failed", job=job, message=f"the generator failed: {type(error).__name__}: {error}"[:300], retry=True)
        finally:
            self._cancelled.discard(job)

    def _say(self, op: str, **fields: Any) -> None:
        line = json.dumps({"op": op, **fields}, separators=(",", ":")).encode() + b"\n"
        with self._sending:
            self._link.sendall(line)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m appliance.gen.worker")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--name", required=True, help="one of appliance.gen.backends.WORKERS")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--settings", type=json.loads, default={}, help="the worker's own, as JSON")
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=f"worker {options.name}: %(message)s")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    stand_back()
    keep_memory()
    link = socket.socket(fileno=options.fd)
    try:
        maker = maker_named(options.name, options.settings)
    except ApplianceError as error:
        link.sendall(json.dumps({"op": "refused", "message": error.message}).encode() + b"\n")
        return 1
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError, ConnectionResetError):
        Worker(link, maker, options.data / "audio").run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
