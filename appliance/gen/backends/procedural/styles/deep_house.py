# SPDX-License-Identifier: GPL-3.0-or-later
"""Deep house: four on the floor under swung hats, minor sevenths on the off-beat, a round bass that answers the kick."""

from __future__ import annotations

from appliance.gen.backends.procedural.styles import Lane, Style, Tune

STYLE = Style(
    swing=(0.54, 0.59),
    progressions=(
        ((0, 3, 0, 0), 2.0),
        ((0, 0, 5, 3), 1.5),
        ((0, 5, 3, 4), 1.0),
        ((0, 0, 3, 4), 1.5),
        ((0, 6, 5, 6), 1.0),
    ),
    chord_degrees=((0, 2, 4, 6), (0, 2, 4, 6, 8)),
    drums={
        "kick": Lane(("9...9...9...9...",), 0.0, 1.0),
        "clap": Lane(("....9.......9...", "....9.......9..3", "....9..3....9..."), 0.2, 0.7, 0.0, 0.4),
        "open": Lane(("..8...8...8...8.",), 0.15, 0.75, 0.15, 0.06),
        "closed": Lane(("4..54..54..54..5", "4.354.354.354.35", "5335533553355335"), 0.3, 0.5, 0.25, 0.03),
        "rim": Lane(("...5......5.....", "...5..4...5..4..", "..4..5.4..4..5.4"), 0.5, 0.4, -0.35, 0.35),
        "crash": Lane(("8" + "." * 63,), 0.55, 0.3, -0.3, 0.3),
    },
    percussion={
        "shaker": Lane(("3254325432543254", "3354335433543354"), 0.2, 0.55, -0.3, 0.05),
        "conga": Lane(("...5..6....5..6.", ".4.5..6..4.5..65", "5.45.46.5.45.465"), 0.25, 0.55, 0.45, 0.2),
        "tambourine": Lane(("....5.......5...", "..4.5.4...4.5.4."), 0.5, 0.35, 0.3, 0.15),
        "woodblock": Lane(("5..5..5...5.5...",), 0.6, 0.3, -0.5, 0.3, "", "", 1.2),
    },
    bass=Tune(
        rhythms=(
            "..8.......8..7..",
            "..8..7....8..7..",
            "8..7..8....7..8.",
            "..8.87....8.8.7.",
            "8.78..7.8.78..87",
        ),
        patches=("round", "round", "rubber", "electric_bass"),
        degrees=((0, 5.0), (7, 1.5), (4, 1.5), (6, 1.2), (2, 0.8)),
        low_note=31, high_note=48, gate_steps=1.6, duck=0.5,
    ),
    chords=Tune(
        rhythms=("...8......7.....", "..8...7...8.....", "8..8..8...8..8..", "..8..8.7..8..8.7", "8..8..8.7..8..7."),
        patches=("rhodes", "stab", "organ", "rhodes"),
        low_note=55, high_note=76, gate_steps=2.4, echo=0.25, send=0.25, duck=0.35,
    ),
    lead=Tune(
        rhythms=(
            "................" "..8...7..6......",
            "..8...7........." "..8.....6.......",
            "8..7..8...7..6.." "................",
            "8..7..8.7..8.67." "..8..7..8...7...",
        ),
        patches=("mallet", "pluck", "flute", "reed"),
        degrees=((0, 3.0), (2, 2.5), (4, 2.5), (6, 1.5), (7, 1.5), (8, 0.6)),
        low_note=67, high_note=88, gate_steps=1.6, echo=0.45, send=0.3, duck=0.15,
    ),
    textures=("wind", "tape", "crackle", "shimmer"),
    kick_hz=(47.0, 54.0),
    room_s=1.5,
    levels_db={"drums": -16.5, "percussion": -25.5, "bass": -18.5, "chords": -21.5, "lead": -25.5, "texture": -39.0},
    fills=(
        {"kick": "...."},
        {"clap": "-5-5-6-8"},
        {"conga": "55665677"},
        {"kick": "--6-", "open": "...."},
    ),
    roll="clap",
    mutate=0.6,
    beat_duck=0.3,
)
