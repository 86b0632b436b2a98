# SPDX-License-Identifier: GPL-3.0-or-later
"""Dub: one-drop or steppers, a bass that carries the tune, the skank on the off-beat, and everything into the echo."""

from __future__ import annotations

from appliance.gen.backends.procedural.styles import Lane, Style, Tune

STYLE = Style(
    swing=(0.52, 0.58),
    progressions=(
        ((0, 0, 6, 0), 2.0),
        ((0, 0, 3, 0), 2.0),
        ((0, 3, 0, 4), 1.0),
        ((0, 0, 0, 0), 1.5),
    ),
    chord_degrees=((0, 2, 4), (0, 2, 4, 7)),
    drums={
        "kick": Lane(
            ("........9.......", "........9.......", "7.......9.......", "9...8...9...8..."),
            0.0, 1.0, 0.0, 0.05, "beater", "kit",
        ),
        "rim": Lane(
            ("........8.......", "........8.....4.", "........8..4..5.", "....4...8..5...."),
            0.0, 0.85, 0.05, 0.6, "rim", "kit",
        ),
        "snare": Lane(("................", "................", "..............5.", "........7......."), 0.5, 0.6, 0.0, 0.5),
        "closed": Lane(("..7...7...7...7.", "4.7.4.7.4.7.4.7.", "4.7.4574.57.4.75"), 0.0, 0.5, 0.25, 0.05),
        "open": Lane(("..............5.", "......5........."), 0.5, 0.4, 0.25, 0.25),
        "tom": Lane(("................",), 0.0, 0.6, -0.3, 0.6, "", "", 1.6),
    },
    percussion={
        "conga": Lane(("......5.......6.", "...4..6....4..6.", "..4.5.6...45..6."), 0.2, 0.5, -0.45, 0.35),
        "shaker": Lane(("3.5.3.5.3.5.3.5.", "3.534.533.534.53"), 0.4, 0.4, 0.4, 0.08),
        "woodblock": Lane(("............6...", "......5.....6..."), 0.3, 0.45, 0.5, 0.8),
    },
    bass=Tune(
        rhythms=(
            "9.....8.8......." "9...............",
            "9...8.8...8....." "8...8...........",
            "..8.8.8...8.8..." "9...8...........",
            "9.8...8.8.7.8..." "9..8..8...7.....",
        ),
        patches=("sub", "sub", "round"),
        degrees=((0, 4.0), (2, 1.8), (4, 2.2), (-3, 1.2), (7, 0.6)),
        low_note=28, high_note=43, gate_steps=2.0,
    ),
    chords=Tune(
        rhythms=("..8.......8.....", "..8...8...8...8.", "..8...8...8...8.", "..86..86..86..86"),
        patches=("skank", "skank", "organ", "skank"),
        low_note=55, high_note=74, gate_steps=0.8, echo=0.6, send=0.3,
    ),
    lead=Tune(
        rhythms=(
            "................" "8..7..6.........",
            "8...7.6.....7..." "................",
            "8.7.6...7.8....." "................",
            "8.7.6.7.8...7.6." "7...8...........",
        ),
        patches=("melodica", "melodica", "brass", "organ"),
        degrees=((0, 3.0), (2, 2.5), (3, 1.0), (4, 2.5), (6, 1.0), (7, 1.5)),
        low_note=62, high_note=81, gate_steps=2.2, echo=0.7, send=0.3,
    ),
    textures=("tape", "rumble", "siren", "crackle"),
    kick_hz=(46.0, 54.0),
    room_s=2.4,
    levels_db={"drums": -21.0, "percussion": -27.0, "bass": -16.0, "chords": -22.5, "lead": -26.0, "texture": -32.0},
    fills=(
        {"tom": "..6.7.88", "rim": "........"},
        {"rim": "-5-5-7-7"},
        {"snare": "8.......", "kick": "........", "closed": "........"},
        {"tom": "7.7.8..."},
    ),
    roll="rim",
    drum_dull=1,
    mutate=0.5,
    beat_duck=0.0,
)
