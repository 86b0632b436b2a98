# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded generator: our own synthesis, no samples, no model; the same request gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from appliance.gen.backends import VERSIONS
from appliance.gen.backends.base import Audio, Cancelled, GenerationCancelled, Progress, Samples
from appliance.gen.backends.procedural.arrangement import loudness
from appliance.gen.backends.procedural.drums import drums, percussion
from appliance.gen.backends.procedural.song import Song, compose
from appliance.gen.backends.procedural.texture import texture
from appliance.gen.backends.procedural.tonal import bass, chords, lead
from appliance.gen.maths import decibels
from appliance.gen.request import PARTS, GenRequest, parse_request

MAKERS: dict[str, Callable[[Song], Samples]] = {
    "drums": drums, "percussion": percussion, "bass": bass, "chords": chords, "lead": lead, "texture": texture,
}  # fmt: skip


class ProceduralBackend:
    """See :class:`appliance.gen.backends.base.Backend`."""

    name = "procedural"
    version = VERSIONS["procedural"]

    def warm(self) -> None:
        """Play a bar of everything, so that tables and FFT plans exist."""
        self.generate(parse_request({"bars": 1, "seed": 1}).resolved(), lambda _: None, lambda: False)

    def generate(self, request: GenRequest, progress: Progress, cancelled: Cancelled) -> Audio:
        """Play ``request``; the mix is the sum of its stems, sample by sample."""
        request = request.resolved()

        def poll() -> None:
            if cancelled():
                raise GenerationCancelled("cancelled")

        song = compose(request, poll)
        parts = request.parts or PARTS
        stems: dict[str, Samples] = {}
        mix = np.zeros((request.frames, 2), np.float32)
        for number, part in enumerate(parts):
            poll()
            level = decibels(song.style.levels_db[part]) * loudness(song.section, part)
            stem = _levelled(MAKERS[part](song), level)
            stems[part] = np.ascontiguousarray(stem.T)
            mix += stems[part]
            progress((number + 1) / len(parts))
        return Audio(mix, request.sample_rate, stems)


def _levelled(stem: Samples, rms: float) -> Samples:
    """The stem at the RMS level that its style and section give the part; silence stays silence."""
    level = float(np.sqrt(np.mean(stem * stem, dtype=np.float64)))
    return stem * np.float32(rms / level) if level > 1e-9 else stem
