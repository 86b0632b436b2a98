# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker has made goes into the store's folder; the gen process makes its row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.library.store import audio_hash
from appliance.library.wav import write_wav

Samples = NDArray[np.float32]


def finished(
    audio: Samples, rate: int, folder: Path, *, name: str, role: str, lineage: dict[str, Any], bpm: float | None = None,
    bars: int | None = None, beats: float | None = None, key: str | None = None, loudness: float | None = None,
    notes: Sequence[str] = (), said: Sequence[str] = (),
) -> dict[str, Any]:
    """Write (frames, 2) at ``rate`` Hz. The fields of its clip, and what a person is to be told: ``said``."""
    hash_ = audio_hash(audio, rate)
    path = folder / hash_[:2] / f"{hash_}.wav"
    if not path.is_file():
        write_wav(path, audio, rate)
    return {
        "hash": hash_, "frames": len(audio), "rate": rate, "loudness": None if loudness is None else round(loudness, 2),
        "bpm": bpm, "bars": bars, "beats": beats, "key": key, "role": role, "name": name, "notes": list(notes),
        "said": list(said), "lineage": lineage,
    }  # fmt: skip
