# SPDX-License-Identifier: GPL-3.0-or-later
"""Generation: what to make, and the jobs that make it."""

from appliance.namespace import Group, Type, call, choice, integer, number, state, text
from appliance.nodes.pad import CANDIDATES

STYLES = ("techno_minimal", "experimental", "rock", "hip_hop", "jungle_dnb", "dub", "deep_house", "downtempo_ambient",
          "classical", "trip_hop")
SECTIONS = ("intro", "build", "drop", "break", "outro")
KEYS = tuple(f"{tonic} {mode}" for mode in ("minor", "major")
             for tonic in ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"))

GENERATORS = ("procedural", "stable_audio", "musicgen")

GEN = Group("gen", "/gen", (
    choice("generator", "procedural", GENERATORS, "What makes loops from words: the embedded generator, or a model that the "
           "config names", owner="gen"),
    choice("style", "techno_minimal", STYLES, "Style of what is generated", owner="gen"),
    choice("section", "drop", SECTIONS, "Place in a song that a loop is made for", owner="gen"),
    choice("key", "A minor", KEYS, "Key of what is generated", owner="gen"),
    integer("bars", 4, 1, 32, "Length of a loop", unit="bars", owner="gen"),
    number("energy", 0.5, 0.0, 1.0, "Calm … driving", owner="gen"),
    number("complexity", 0.5, 0.0, 1.0, "Sparse … busy", owner="gen"),
    number("humanize", 0.2, 0.0, 1.0, "On the grid … loose", owner="gen"),
    integer("seed", 1, 0, 2**31 - 1, "Same seed, same music", owner="gen"),
    text("prompt", "", "What to make, in words"),
    call("prompt/keep", "Keeps /gen/prompt, with style, key, section, bars and knobs, under a name", owner="gen"),
    call("prompt/recall", "Brings back a prompt by its name, with what was kept with it; or a template", owner="gen"),
    call("prompt/forget", "Forgets a kept prompt", owner="gen"),
    call("prompt/suggest", "Puts a suggestion in the box's style into /gen/prompt, another one each time", owner="gen"),
    call("prompts", "Lists the kept prompts and the templates", owner="gen"),
    integer("candidates", 2, 0, CANDIDATES, "Candidates that are made ahead for every pad and kept ready", owner="gen"),
    state("ahead", "What look-ahead does: ready, making, or why it rests", type=Type.TEXT, owner="gen"),
    call("section/next", "What was generated and plays goes on in the next section, from the phrase line on: a section (none: "
         "the one that follows), then another line", owner="gen"),
    call("auto", "Adds the part that is missing most to what plays, on the phrase line: a part (none: by room and role), then "
         "another line", owner="gen"),
    call("generate", "Makes a loop: prompt or request, then where it goes (/pad/3)", owner="gen"),
    call("fill", "Fills the empty pads of a bank", owner="gen"),
    call("cancel", "Cancels a job by its id", owner="gen"),
    call("retry", "Queues a failed job again by its id", owner="gen"),
    call("vary", "Makes a variation of a clip: its hash or path, then kind, words or bars, and a target (none: an empty pad)",
         owner="gen"),
    call("fuse", "Makes one loop of two to four: a list of pads, decks or clips, then align (start, downbeat, weave), weights, "
         "bpm, bars, name, then a target", owner="gen"),
    call("stems", "Takes a clip or track apart into drums, bass, vocals and other: a pad, deck, clip or file, then a pad for "
         "the first, a list or object of pads, or store (none: empty pads)", owner="gen"),
    call("want", "Somebody waits for a pad or deck: what is made for it comes first", owner="gen"),
    call("jobs", "Lists the jobs: all, those of a state, or one by its id with what was asked", owner="gen"),
    state("job", "The job that changed last", type=Type.JSON, owner="gen"),
    state("queued", "Jobs that wait", type=Type.INT, owner="gen", maximum=100000),
    state("running", "Jobs at work", type=Type.INT, owner="gen", maximum=100000),
    state("message", "The last thing that generation has to say", type=Type.TEXT, owner="gen"),
))
