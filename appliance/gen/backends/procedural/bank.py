# SPDX-License-Identifier: GPL-3.0-or-later
"""Sixteen clips that go together: what fills an empty bank."""

from __future__ import annotations

import hashlib

from appliance.gen.request import GenRequest, Part, parse_request

#: A row is a step of intensity: name, energy, complexity, and the part in its last column.
_ROWS: tuple[tuple[str, float, float, Part], ...] = (
    ("Still", 0.25, 0.20, "texture"),
    ("Groove", 0.50, 0.40, "lead"),
    ("Drive", 0.70, 0.60, "texture"),
    ("Peak", 0.95, 0.85, "lead"),
)
_COLUMNS: tuple[Part, ...] = ("drums", "bass", "chords")


def bank_requests(
    seed: int, bpm: float, key: str, *, style: str = "techno_minimal", bars: int = 4, sample_rate: int = 48_000,
    beats_per_bar: float = 4,
) -> list[GenRequest]:
    """The requests of pads 1 … 16, row by row: drums, bass, chords, and texture or lead.

    All share ``seed`` as harmony seed, so any drums go with any bass, chords and lead; each has a seed of its own, its row's
    energy and complexity, a short name, and one part, which is its role. Raises :class:`BadValue` for a bad key or tempo.
    """
    requests = []
    for row, (name, energy, complexity, last) in enumerate(_ROWS):
        for part in (*_COLUMNS, last):
            digest = hashlib.sha256(f"bank/{seed}/{row}/{part}".encode()).digest()
            requests.append(parse_request({
                "prompt": f"{style.replace('_', ' ')}, {part}", "style": style, "parts": [part], "key": key, "bpm": bpm,
                "bars": bars, "beats_per_bar": beats_per_bar, "energy": energy, "complexity": complexity, "mood": 0.4,
                "texture": "clean", "effects": (), "seed": int.from_bytes(digest[:4], "big"), "harmony_seed": seed,
                "sample_rate": sample_rate, "name": f"{name} {part}",
            }))  # fmt: skip
    return requests
