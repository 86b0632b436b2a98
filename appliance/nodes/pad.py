# SPDX-License-Identifier: GPL-3.0-or-later
"""Sixteen pads in eight banks; ``/pad/N/…`` means pad N of the chosen bank. Scenes launch rows of pads together."""

from appliance.namespace import Group, Type, call, choice, command, integer, number, state, switch, text
from appliance.nodes.clock import QUANTIZES

BANKS = 8
PADS = 16
SCENES = 8
TAKES = 16
VARIATIONS = ("complex", "simple", "like", "instrument", "rhythm", "melody", "length", "text")
"""Kinds of variation of a generated clip; ``like``: the same sounds play another figure."""
CANDIDATES = 5
"""So many are kept ready for a pad at most."""
LINES = ("now", "grid", "bar", "phrase")
"""Moments at which a pad starts, stops or goes on in another clip: at once, on its launch grid, on the next line."""
PAD_GROUPS = 4
"""Pads play through four channel strips after the decks' four."""

PAD_STATES = ("empty", "loaded", "queued", "playing", "stopping", "missing")
"""The engine tells the first five; control says ``missing`` of an empty pad whose file of the session is not there."""
MODES = ("loop", "oneshot", "gate", "stutter")
ROLES = ("none", "drums", "percussion", "bass", "chords", "lead", "texture", "voice", "recorded")

PAD = Group("pad", "/bank/{bank}/pad/{pad}", (
    number("gain", 0.0, -60.0, 12.0, "Level of the pad", unit="dB"),
    number("pan", 0.0, -1.0, 1.0, "Left … right"),
    number("filter", 0.0, -1.0, 1.0, "Low-pass … off … high-pass"),
    number("pitch", 0.0, -24.0, 24.0, "Transposition: by speed, or of a pad that follows the clock by a new rendering",
           unit="semitones"),
    number("start", 0.0, 0.0, 1.0, "Where the played region begins"),
    number("end", 1.0, 0.0, 1.0, "Where the played region ends"),
    choice("mode", "loop", MODES, "loop: until stopped; oneshot: once; gate: while held; stutter: while held, repeated"),
    choice("quantize", "clock", ("clock", *QUANTIZES), "Launch grid; clock: the one of /clock/quantize"),
    choice("stutter", "1/16", QUANTIZES[1:6], "Length of a stutter's repeat"),
    integer("choke", 0, 0, 8, "Pads of one choke group stop each other; 0: none"),
    switch("sync", True, "Follows the clock's tempo when the clip's tempo is known"),
    switch("keylock", True, "Keeps its pitch when it follows another tempo: from a bar line on, when that is rendered"),
    switch("reverse", False, "Plays backwards"),
    integer("group", 1, 1, PAD_GROUPS, "Channel strip: 1…4 are channels 5…8"),
    command("trigger", "Hits the pad; argument: velocity 0…1 (0 releases)", type=Type.FLOAT, optional=True, default=1.0,
            momentary=True, reads="pad.sounding"),
    command("release", "Releases a held pad"),
    command("stop", "Stops the pad on its launch grid"),
    command("cut", "Stops the pad at once"),
    call("launch", "Starts the pad on a line, unless it plays already: " + ", ".join(LINES[1:]) + " (none: phrase). A hit "
         "before that calls it off", owner="control"),
    call("finish", "Stops the pad on a line, unless it is silent: grid, bar, phrase (none: phrase)", owner="control"),
    call("load", "Loads an audio file: path, then options (name, role, bpm, beats, at: " + ", ".join(LINES) + ")",
         owner="control"),
    call("prepare", "Brings a file into memory, so that a load of it comes at once: path, then options as of load",
         owner="control"),
    call("clear", "Empties the pad", owner="control"),
    call("new", "The next candidate becomes the pad's next take: what is ready comes at once, on the pad's launch grid or the "
         "line that is said", owner="gen"),
    state("candidates", "Candidates that are ready", type=Type.INT, owner="gen", maximum=CANDIDATES),
    call("take/next", "The next of the pad's takes: what was generated for it; a loop that plays changes on its launch grid",
         owner="gen"),
    call("take/previous", "The take before", owner="gen"),
    call("take/load", "Take by its number, from 1", owner="gen"),
    call("take/keep", "Keeps a take when new ones come: true or false (none: the other one), then its number (none: this one)",
         owner="gen"),
    call("vary", "Makes a variation of the pad's clip as a new take: " + ", ".join(VARIATIONS) + "; then words or bars, "
         "then another target", owner="gen"),
    call("import", "Makes a loop of a recording, in the clock's tempo, and puts it here: a file, pad, deck or clip, then "
         "options (bpm, bars, key, role, name)", owner="gen"),
    call("stems", "Takes the pad's clip apart into drums, bass, vocals and other: a pad for the first, a list or object of "
         "pads, or store (none: empty pads)", owner="gen"),
    state("take", "Number of the take that stands on the pad; 0: none of them", type=Type.INT, owner="gen", maximum=TAKES),
    state("takes", "How many takes the pad has", type=Type.INT, owner="gen", maximum=TAKES),
    state("take/kept", "The take is kept", type=Type.BOOL, owner="gen"),
    state("state", "What the pad does", reads="pad.state", type=Type.CHOICE, choices=PAD_STATES),
    state("progress", "Playhead in the played region", reads="pad.progress"),
    text("name", "", "Name shown for the pad"),
    text("colour", "", "Colour as #rrggbb; empty: the role's"),
    text("role", "none", "Part it plays: " + ", ".join(ROLES)),
    text("file", "", "Path of the loaded file"),
), {"bank": BANKS, "pad": PADS})

BANK = Group("pads", "/pads", (
    integer("bank", 1, 1, BANKS, "The bank that /pad/N means"),
    command("stop", "Stops all pads on their launch grid"),
    command("cut", "Stops all pads at once"),
))

SCENE = Group("scene", "/scene/{scene}", (
    command("launch", "Starts the scene's pads together on the launch grid, with their settings; the bank's other pads stop"),
    call("store", "Keeps the pads that play now, with their settings, as this scene", owner="control"),
    call("clear", "Back to the default: scene R is row R of four pads, counted through the banks", owner="control"),
    text("name", "", "Name shown for the scene"),
), {"scene": SCENES})
