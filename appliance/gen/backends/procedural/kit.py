# SPDX-License-Identifier: GPL-3.0-or-later
"""The sounds of drum and percussion lanes by name, tuned to the song."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from appliance.gen.backends.procedural import drumheads, drumkit
from appliance.gen.backends.procedural.song import Song
from appliance.gen.backends.procedural.styles import Lane
from appliance.gen.maths import note_hz

Samples = NDArray[np.float32]
#: Percussion that a request may name, for styles that have no lane of its own for it.
EXTRA: dict[str, Lane] = {
    "conga": Lane(("...5......6.....", "...5..6....5..6.", ".3.5..4.6..3.5.4"), 0.0, 0.45, 0.45, 0.2),
    "shaker": Lane(("3.5.3.5.3.5.3.5.", "3253325332533253"), 0.0, 0.42, -0.3, 0.05),
    "tambourine": Lane(("....6.......6...", "..5...6...5...6.", "4.5.6.5.4.5.6.5."), 0.0, 0.4, 0.35, 0.15),
    "timpani": Lane(("8...............", "8.........6.....", "8.....5...6.5...", "8..5..6.5.6.6.7."), 0.0, 0.8, 0.0, 0.5),
    "woodblock": Lane(("......6.........", "...5..6....5....", "..5..5..6..5.5.."), 0.0, 0.4, -0.4, 0.3),
    "cowbell": Lane(("....6.......6...", "6.....6...6.....", "6..6..6..6..6.6."), 0.0, 0.35, 0.3, 0.1),
    "triangle": Lane(("6...............", "6.......4.......", "6.4.6.4.6.4.6.4."), 0.0, 0.3, -0.3, 0.3),
    "tom": Lane(("..............66", "...6......6...6.", "..5..6..5..6.66."), 0.0, 0.5, 0.2, 0.25),
}


def hits(name: str, lane: Lane, song: Song, rng: np.random.Generator) -> list[Samples]:
    """The sounds of a lane; several where repetition would be heard."""
    rate, tune = song.sample_rate, lane.tune
    energy = float(song.request.energy or 0)
    tone = 0.35 * float(song.request.mood or 0) + 0.3 * energy + 0.35 * float(rng.random())
    gritty = 0.3 if song.request.texture == "gritty" or "distortion" in (song.request.effects or ()) else 0.0

    def skin(octave: int) -> float:
        degree = (0, 2, 4, 6)[int(rng.integers(4))]
        return note_hz(song.key.note(degree, octave)) * tune

    shade, half_life = float(rng.random()), float(rng.random())
    makers: dict[str, Callable[[], list[Samples]]] = {
        "kick": lambda: [drumkit.kick(rng, rate, song.kick_hz, 0.25 + 0.6 * shade, 0.3 + 0.3 * energy + gritty)],
        "beater": lambda: [drumheads.beater(rng, rate, song.kick_hz, tone) for _ in range(2)],
        "boom": lambda: [drumheads.boom(rate, song.kick_hz, 0.5 + 0.35 * shade)],
        "snare": lambda: [
            drumheads.snare(rng, rate, (185 + 25 * shade) * tune, 0.028 + 0.022 * half_life, tone) for _ in range(3)
        ],
        "crack": lambda: [drumheads.snare(rng, rate, (255 + 50 * shade) * tune, 0.027, 0.3 + 0.7 * tone) for _ in range(3)],
        "clap": lambda: [drumkit.clap(rng, rate, tone) for _ in range(2)],
        "rim": lambda: [drumkit.rim(rng, rate, tone) for _ in range(2)],
        "open": lambda: [drumkit.hat(rng, rate, 0.035 + 0.035 * half_life, tone, 0.24)],
        "closed": lambda: [drumkit.hat(rng, rate, 0.007 + 0.008 * half_life, tone, 0.07) for _ in range(2)],
        "pedal": lambda: [drumkit.hat(rng, rate, 0.012, 0.2 * tone, 0.07) for _ in range(2)],
        "ride": lambda: [drumheads.cymbal(rng, rate, 0.09, 0.8, 0.4) for _ in range(2)],
        "crash": lambda: [drumheads.cymbal(rng, rate, 0.28, 0.1, 1.3)],
        "shaker": lambda: [drumkit.shaker(rng, rate, tone) for _ in range(2)],
        "tambourine": lambda: [drumheads.tambourine(rng, rate, tone) for _ in range(2)],
        "conga": lambda: [
            drumkit.conga(rng, rate, skin(3 if shade < 0.5 else 2) * bend, 0.4 + 0.5 * energy) for bend in (1, 0.75)
        ],
        "tom": lambda: [drumheads.tom(rng, rate, hz * tune) for hz in (92.0, 124.0)],
        "timpani": lambda: [
            drumheads.timpani(rng, rate, note_hz(song.key.note(degree, 2 if song.key.tonic < 5 else 1))) for degree in (0, 4)
        ],
        "blip": lambda: [drumkit.blip(rate, skin(5), (1.41, 2.76, 3.3)[int(shade * 2.999)], 1.5 + 3 * half_life)],
        "woodblock": lambda: [drumheads.woodblock(rate, (820 + 300 * shade) * tune)],
        "cowbell": lambda: [drumheads.cowbell(rate, 540 * tune)],
        "triangle": lambda: [drumheads.triangle(rate, (3100 + 600 * shade) * tune)],
        "glitch": lambda: [drumheads.glitch(rng, rate, skin(4 + number % 3)) for number in range(5)],
    }  # fmt: skip
    return makers[lane.sound or name]()
