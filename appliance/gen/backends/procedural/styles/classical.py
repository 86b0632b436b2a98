# SPDX-License-Identifier: GPL-3.0-or-later
"""Classical: strings and keys in functional harmony, a melody over broken chords, kettle drums, no kit."""

from __future__ import annotations

from appliance.gen.backends.procedural.styles import Lane, Style, Tune

STYLE = Style(
    swing=(0.5, 0.5),
    progressions=(
        ((0, 3, 4, 0), 3.0),
        ((0, 5, 3, 4), 2.0),
        ((0, 4, 5, 3), 1.5),
        ((0, 0, 4, 0), 1.5),
        ((0, 3, 0, 4), 1.5),
    ),
    chord_degrees=((0, 2, 4), (0, 2, 4, 7)),
    drums={
        "timpani": Lane(
            (
                "8..............." "8.......7.......",
                "8.......6......." "8.......6...7...",
                "8...6...7...6..." "8...6...7.6.7...",
                "8...6.6.8...6.6." "8.6.7.6.8.6.7.77",
            ),
            -1.0, 1.0, 0.0, 0.3,
        ),
        "drum": Lane(("....4.......4...", "....4..3....4.33", "4.334.334.334.33"), 0.75, 0.35, 0.2, 0.5, "snare"),
        "crash": Lane(("7" + "." * 63,), 0.7, 0.35, -0.1, 0.4),
    },
    percussion={
        "triangle": Lane(("6...............", "6.......5.......", "6...5...6...5..."), 0.2, 0.35, -0.4, 0.4),
        "tambourine": Lane(("....5.......5...", "4...5...4...5..."), 0.45, 0.35, 0.4, 0.4),
        "woodblock": Lane(("4...4...4...4...",), 0.7, 0.25, 0.5, 0.4),
    },
    bass=Tune(
        rhythms=("8...............", "8.......7.......", "8...7...7...7...", "8...7...8.7.8.7."),
        patches=("cello", "cello", "upright"),
        degrees=((0, 6.0), (4, 2.0), (2, 1.5), (7, 1.0)),
        low_note=33, high_note=50, gate_steps=7.5, send=0.2,
    ),
    chords=Tune(
        rhythms=("7...6...7...6...", "7.5.6.5.7.5.6.5.", "7.5.6.5.7.5.6.5.", "7565656575656565"),
        patches=("strings", "piano", "harpsichord", "piano", "harp"),
        low_note=53, high_note=74, gate_steps=2.5, send=0.3,
        arpeggios=((0, 2, 1, 2), (0, 1, 2, 1), (0, 1, 2, 0, 1, 2, 0, 1)),
    ),
    lead=Tune(
        rhythms=(
            "8.......7......." "8...7...6.......",
            "8.....6.7...6..." "8.......7.......",
            "8...7.6.7...6.5." "8...7...8.......",
            "8.7.6.7.8.7.6.5." "8.76.78.8...7...",
        ),
        patches=("violin", "flute", "violin", "brass"),
        degrees=((0, 3.0), (1, 1.2), (2, 2.5), (3, 1.2), (4, 2.5), (5, 1.0), (6, 0.8), (7, 2.0)),
        low_note=67, high_note=86, gate_steps=5.0, send=0.45,
    ),
    textures=("wind", "shimmer"),
    kick_hz=(55.0, 60.0),
    room_s=2.6,
    levels_db={"drums": -25.0, "percussion": -35.0, "bass": -21.0, "chords": -19.0, "lead": -20.5, "texture": -42.0},
    fills=({"timpani": "66778899"}, {"timpani": "7.7.8.8."}, {"drum": "33445566"}),
    roll="timpani",
    mutate=0.0,
    beat_duck=0.0,
)
