# SPDX-License-Identifier: GPL-3.0-or-later
"""Four decks, with eight hot cues each."""

from appliance.namespace import Group, Type, call, choice, command, number, state, switch, text

HOT_CUES = 8
LONGEST_S = 36000.0
KEYLOCK_ENGINES = ("auto", "r2", "r3")
TRACK_STATES = ("none", "waiting", "running", "done", "failed")
_FOUR = {"deck": 4}

DECK = Group("deck", "/deck/{deck}", (
    number("rate", 1.0, 0.5, 1.5, "Speed of play; the pitch follows unless it is locked", unit="×"),
    switch("keylock", False, "Keeps the pitch when the speed changes"),
    choice("keylock/engine", "auto", KEYLOCK_ENGINES, "Pitch shifter: r2 costs less, r3 is finer, auto is the configuration's"),
    number("key", 0.0, -12.0, 12.0, "Shifts the key", unit="semitones"),
    number("key/fine", 0.0, -100.0, 100.0, "Shifts the key, in steps that are heard as tuning", unit="cents"),
    number("nudge", 0.0, -0.5, 0.5, "Added to the speed while it is held; a deck in sync moves against the beat", unit="×",
           session=False),
    switch("reverse", False, "Plays backwards"),
    switch("slip", False, "Loops, scratches, reverse and held hot cues come back to where the deck would have been"),
    switch("quantize", True, "Cues and loops are set on beats, and jumps keep the beat"),
    switch("sync", False, "Tempo and beat of the clock, for as long as it is on"),
    number("cue/at", 0.0, 0.0, LONGEST_S, "The cue point", unit="s"),
    number("loop/beats", 4.0, 1 / 32, 64.0, "Length of an auto loop", unit="beats"),
    number("loop/begin", 0.0, 0.0, LONGEST_S, "Where the loop begins", unit="s"),
    number("loop/end", 0.0, 0.0, LONGEST_S, "Where the loop ends", unit="s"),
    number("track/gain", 0.0, -24.0, 24.0, "Level that evens the track out; auto-gain sets it when the track is loaded",
           unit="dB", session=False),
    number("brake/seconds", 1.0, 0.05, 10.0, "Time in which the brake stops the deck", unit="s"),
    call("load", "Loads an audio file: path, then options (name, role, bpm, beats)", owner="control"),
    call("unload", "Empties the deck", owner="control"),
    command("play", "Plays or pauses; without argument it toggles", type=Type.BOOL, reads="deck.playing", optional=True),
    command("cue", "Club cue: playing, returns to the cue point and stops; stopped on it, plays while held; stopped elsewhere, "
            "sets it here", type=Type.BOOL, momentary=True, reads="deck.cueing"),
    command("seek", "Jumps to a place 0…1 of the file", type=Type.FLOAT, reads="deck.progress"),
    command("jump", "Jumps by beats, forward or back", type=Type.FLOAT, minimum=-64, maximum=64, unit="beats"),
    command("censor", "Backwards while held, then on from where the deck would be", type=Type.BOOL, momentary=True,
            reads="deck.censoring"),
    command("brake", "Runs down to a stand, or up again, as a turntable does when its motor is switched", type=Type.BOOL,
            reads="deck.braking", optional=True),
    command("lead", "Gives the clock the deck's tempo and beat"),
    command("jog/touch", "A hand on the jog: while it is there the jog scratches", type=Type.BOOL, momentary=True,
            reads="deck.touched"),
    command("jog/turn", "The jog has turned: touched it moves the record, untouched it pushes the deck along", type=Type.FLOAT,
            minimum=-16, maximum=16, unit="turns"),
    command("loop/in", "Sets the loop's start here"),
    command("loop/out", "Sets the loop's end here and loops"),
    command("loop/auto", "Loops the next loop/beats beats from here; again: leaves the loop", type=Type.BOOL,
            reads="deck.looping", optional=True),
    command("loop/exit", "Leaves the loop"),
    command("loop/reloop", "Jumps to the loop's start and loops again"),
    command("loop/halve", "Halves the loop"),
    command("loop/double", "Doubles the loop"),
    command("loop/move", "Moves the loop by beats, forward or back", type=Type.FLOAT, minimum=-64, maximum=64, unit="beats"),
    command("loop/roll", "Loops so many beats while held, then on from where the deck would be; 0 lets go", type=Type.FLOAT,
            minimum=0, maximum=64, unit="beats", reads="deck.rolling"),
    call("grid", "The beat grid: tells it, or sets it: {bpm, anchors: [[seconds, beat], …]}", owner="control"),
    call("grid/bpm", "Gives the grid this tempo, from the beat nearest to here", owner="control", type=Type.FLOAT),
    call("key/match", "Shifts the key to that of another deck (argument: /deck/N; none: the loudest that plays, else the "
                      "generator's key)", owner="control"),
    call("vary", "Makes a variation of the deck's loop, as /pad/N/vary does; without a target it goes to an empty pad",
         owner="gen"),
    call("stems", "Takes the deck's track apart into drums, bass, vocals and other: a pad for the first, a list or object of "
         "pads, or store (none: empty pads)", owner="gen"),
    call("grid/here", "Moves the grid so that a beat is here", owner="control"),
    call("grid/nudge", "Moves the grid by milliseconds, forward or back", owner="control", type=Type.FLOAT),
    call("grid/halve", "Half as many beats", owner="control"),
    call("grid/double", "Twice as many beats", owner="control"),
    state("position", "Playhead", reads="deck.position_s", unit="s", maximum=LONGEST_S),
    state("duration", "Length of the loaded file", reads="deck.duration_s", unit="s", maximum=LONGEST_S),
    state("beat", "Playhead in beats of the file's grid", reads="deck.beat", unit="beats", minimum=-1e4, maximum=1e6),
    state("bpm", "Tempo that is heard; 0 when it is not known", reads="deck.bpm", unit="BPM", maximum=1000),
    state("speed", "Speed at this moment, below 0 backwards", reads="deck.speed", unit="×", minimum=-16, maximum=16),
    state("keylock/heard", "The pitch shifter is what is heard right now", reads="deck.in_key", type=Type.BOOL),
    state("locked", "Follows the clock right now", reads="deck.locked", type=Type.BOOL),
    state("away", "Somewhere else than it would be: slip brings it back", reads="deck.away", type=Type.BOOL),
    state("loaded", "Something is loaded", reads="deck.loaded", type=Type.BOOL),
    state("meter", "Peak level after the strip", reads="channel.peak", maximum=8.0),
    state("track/state", "Analysis of the loaded file", type=Type.CHOICE, choices=TRACK_STATES, owner="control"),
    state("track/bpm", "Tempo that was found; 0: none", unit="BPM", maximum=1000, owner="control"),
    state("track/key", "Key that was found, such as A minor; empty: none", type=Type.TEXT, owner="control"),
    state("track/camelot", "Its place on the Camelot wheel, such as 8A; empty: none", type=Type.TEXT, owner="control"),
    state("track/downbeat", "Where its first bar begins", unit="s", maximum=LONGEST_S, owner="control"),
    state("track/energy", "How much it drives; 0: a quiet drone, or not known", maximum=10, owner="control"),
    state("track/loudness", "Integrated loudness of the whole file; -70: not known, or silence", unit="LUFS", minimum=-70,
          maximum=10, owner="control"),
    call("track/analysis", "Answers with all that was found of the file: also the course of its energy, its spectral "
                           "balance, embedding and waveform", owner="control"),
    state("track/problem", "Why it could not be analysed; empty: nothing is wrong", type=Type.TEXT, owner="control"),
    state("missing", "The session's file is not there; file tells which", type=Type.BOOL, owner="control"),
    text("file", "", "Path of the loaded file"),
    text("title", "", "Name shown for the loaded file"),
), _FOUR)

HOT_CUE = Group("hotcue", "/deck/{deck}/hotcue/{hotcue}", (
    number("at", -1.0, -1.0, LONGEST_S, "Where it is; -1: not set", unit="s"),
    command("press", "Sets it when it is not set; else jumps there, and plays while held when the deck stands", type=Type.BOOL,
            momentary=True),
    command("set", "Sets it here"),
    command("clear", "Forgets it"),
    text("name", "", "Name shown"),
    text("colour", "", "Colour as #rrggbb; empty: the surface's own"),
), _FOUR | {"hotcue": HOT_CUES})
