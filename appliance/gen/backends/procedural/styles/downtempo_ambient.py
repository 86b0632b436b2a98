# SPDX-License-Identifier: GPL-3.0-or-later
"""Downtempo and ambient: pads that breathe, single notes in a large room, hardly a kit."""

from __future__ import annotations

from appliance.gen.backends.procedural.styles import Lane, Style, Tune

STYLE = Style(
    swing=(0.5, 0.56),
    progressions=(
        ((0, 0, 3, 0), 2.0),
        ((0, 5, 0, 3), 1.5),
        ((0, 0, 0, 0), 1.0),
        ((0, 2, 3, 0), 1.0),
    ),
    chord_degrees=((0, 2, 4, 8), (0, 2, 6, 8), (0, 2, 4, 6, 8)),
    drums={
        "kick": Lane(
            ("7...............", "7.........5.....", "8.........6.....", "8......5..7....."),
            0.0, 0.8, 0.0, 0.2, "beater", "kit",
        ),
        "rim": Lane(
            ("........5.......", "........6.......", "........6.....3.", "....3...6..3...."),
            0.0, 0.6, 0.2, 0.8, "", "kit",
        ),
        "closed": Lane(("....3.......3...", "..3...3...3...3.", "3.2.3.2.3.2.3.2."), 0.15, 0.4, 0.3, 0.3),
        "snare": Lane(("........6.......",), 0.6, 0.5, 0.0, 0.6),
    },
    percussion={
        "shaker": Lane(("4...3...4...3...", "4.3.4.3.4.3.4.3."), 0.0, 0.6, -0.4, 0.4),
        "triangle": Lane(("5..............." "................", "5.......3......."), 0.2, 0.3, 0.5, 0.7),
        "woodblock": Lane(("......4.........", "......4....3...."), 0.35, 0.4, -0.5, 0.8, "", "", 0.8),
        "conga": Lane(("..........4..3..", "...3......4..3.."), 0.4, 0.4, 0.4, 0.5),
    },
    bass=Tune(
        rhythms=("8...............", "8...............", "8.........6.....", "8.....6...7....."),
        patches=("sub", "sub", "round"),
        degrees=((0, 8.0), (4, 1.2), (7, 0.8)),
        low_note=28, high_note=43, gate_steps=12.0,
    ),
    chords=Tune(
        rhythms=("8...............", "8.......6.......", "8...6...7...6..."),
        patches=("wash", "wash", "strings", "rhodes"),
        low_note=52, high_note=76, gate_steps=12.0, echo=0.2, send=0.6,
    ),
    lead=Tune(
        rhythms=(
            "7..............." "................",
            "7.....6........." "........5.......",
            "7...6...5......." "....6.......5...",
            "7..6..5...6..5.." "..6...5.....6...",
        ),
        patches=("mallet", "bell", "ping", "flute", "harp"),
        degrees=((0, 3.0), (2, 2.5), (4, 2.5), (5, 0.6), (7, 1.5), (9, 1.0)),
        low_note=67, high_note=91, gate_steps=4.0, echo=0.55, send=0.8,
    ),
    textures=("wind", "drone", "rumble", "shimmer"),
    kick_hz=(46.0, 52.0),
    room_s=3.2,
    levels_db={"drums": -25.0, "percussion": -32.0, "bass": -21.0, "chords": -19.5, "lead": -24.0, "texture": -24.5},
    fills=(
        {"rim": "-3-4"},
        {"closed": "2334"},
    ),
    roll="shaker",
    drum_dull=2,
    mutate=0.5,
    beat_duck=0.0,
)
