# SPDX-License-Identifier: GPL-3.0-or-later
"""Hip hop: boom-bap. A late swing, a fat kick and a cracking snare out of an old sampler, a sampled electric piano."""

from __future__ import annotations

from appliance.gen.backends.procedural.styles import Lane, Style, Tune

STYLE = Style(
    swing=(0.57, 0.63),
    progressions=(
        ((0, 3, 0, 0), 2.0),
        ((0, 0, 5, 4), 1.5),
        ((0, 5, 0, 6), 1.5),
        ((0, 0, 3, 0), 1.5),
    ),
    chord_degrees=((0, 2, 4, 6), (0, 2, 4, 6, 8)),
    drums={
        "kick": Lane(
            (
                "9.........8....." "9.........8.....",
                "9.......7.8....." "9..7......8.....",
                "9..7......8....." "9..7....7.8.....",
                "9..8...7..8..7.." "9..8...7..8.....",
            ),
            0.0, 1.0, 0.0, 0.02, "beater", "kit",
        ),
        "snare": Lane(
            ("....9.......9...", "....9.......9...", "....9.......9..2", "....9..2.2..9..2"),
            0.0, 0.95, 0.0, 0.16, "snare", "kit",
        ),
        "closed": Lane(("7...6...7...6...", "7.5.6.5.7.5.6.5.", "7.5.7.5.7.547.5.", "7.5.7545.75.7.54"), 0.0, 0.5, 0.2, 0.02),
        "open": Lane(("..............5.", "......5........."), 0.6, 0.4, 0.2, 0.03),
        "rim": Lane((".......3......4.", "...3...4..3....."), 0.5, 0.35, -0.3, 0.15),
    },
    percussion={
        "shaker": Lane(("4.5.4.5.4.5.4.5.", "3.534.533.534.53"), 0.3, 0.5, -0.4, 0.04),
        "tambourine": Lane(("....5.......5...",), 0.45, 0.35, 0.4, 0.1),
        "conga": Lane(("......5..4......", "...4..5...4..5.."), 0.5, 0.45, -0.45, 0.15),
    },
    bass=Tune(
        rhythms=(
            "9.........7....." "9...............",
            "9..7......8....." "9.....7...8.....",
            "9..8...7..8....." "9..8......8..7..",
            "9..8.7.7..8..76." "9..8...7..8.7.6.",
        ),
        patches=("sub", "sub", "upright", "electric_bass"),
        degrees=((0, 6.0), (7, 1.0), (4, 1.5), (6, 1.0), (-1, 1.0), (2, 0.5)),
        low_note=28, high_note=43, gate_steps=3.2,
    ),
    chords=Tune(
        rhythms=("8...............", "8.........6.....", "8.....7...6.....", "8..7......7..6.."),
        patches=("rhodes", "rhodes", "piano", "glass"),
        low_note=53, high_note=74, gate_steps=6.0, send=0.1,
    ),
    lead=Tune(
        rhythms=(
            "................" "....8..7..6.....",
            "8..7..6........." "................",
            "..8..7..6..7...." "8...............",
            "8..7.6.8..7..6.." "..8..7.6........",
        ),
        patches=("mallet", "flute", "guitar", "brass"),
        degrees=((0, 3.0), (2, 2.5), (3, 1.0), (4, 2.5), (6, 1.5), (7, 1.5)),
        low_note=62, high_note=82, gate_steps=2.0, echo=0.2, send=0.15,
    ),
    textures=("tape", "rumble", "crackle"),
    kick_hz=(50.0, 58.0),
    room_s=0.7,
    levels_db={"drums": -16.5, "percussion": -28.0, "bass": -18.5, "chords": -23.5, "lead": -27.0, "texture": -33.0},
    fills=(
        {"kick": "........", "snare": "--------"},
        {"snare": "-3-5-6-8"},
        {"kick": "8.8.----", "closed": "........"},
        {"snare": "6..6.68."},
    ),
    roll="snare",
    drum_drive=0.5,
    drum_dull=3,
    mutate=0.4,
    beat_duck=0.2,
)
