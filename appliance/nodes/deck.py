# SPDX-License-Identifier: GPL-3.0-or-later
"""Four decks."""

from appliance.namespace import Group, Type, call, command, number, state, switch, text

DECK = Group("deck", "/deck/{deck}", (
    number("rate", 1.0, 0.5, 1.5, "Speed of play (varispeed: pitch follows)", unit="×"),
    switch("reverse", False, "Plays backwards"),
    number("loop/beats", 4.0, 1 / 32, 64.0, "Length of an auto loop", unit="beats"),
    call("load", "Loads an audio file: path, then options (name, role, bpm, beats)", owner="control"),
    call("unload", "Empties the deck", owner="control"),
    command("play", "Plays or pauses; without argument it toggles", type=Type.BOOL, reads="deck.playing", optional=True),
    command("cue", "Club cue: stopped, sets the cue point and plays while held; playing, returns to it and stops",
            type=Type.BOOL, momentary=True),
    command("seek", "Jumps to a place 0…1 of the file", type=Type.FLOAT, reads="deck.progress"),
    command("jump", "Jumps by beats, forward or back", type=Type.FLOAT, minimum=-64, maximum=64, unit="beats"),
    command("loop/in", "Sets the loop's start here"),
    command("loop/out", "Sets the loop's end here and loops"),
    command("loop/auto", "Loops the next loop/beats beats from here; again: leaves the loop", type=Type.BOOL,
            reads="deck.looping", optional=True),
    command("loop/exit", "Leaves the loop"),
    command("loop/reloop", "Jumps to the loop's start and loops again"),
    state("position", "Playhead", reads="deck.position_s", unit="s", maximum=36000),
    state("duration", "Length of the loaded file", reads="deck.duration_s", unit="s", maximum=36000),
    state("loaded", "Something is loaded", reads="deck.loaded", type=Type.BOOL),
    state("meter", "Peak level after the strip", reads="channel.peak", maximum=8.0),
    state("missing", "The session's file is not there; file tells which", type=Type.BOOL, owner="control"),
    text("file", "", "Path of the loaded file"),
    text("title", "", "Name shown for the loaded file"),
), {"deck": 4})
