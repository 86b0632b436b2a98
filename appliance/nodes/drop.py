# SPDX-License-Identifier: GPL-3.0-or-later
"""Voice drops: what is said to the audience, over the music that steps back for it."""

from appliance.namespace import Group, Type, call, choice, integer, number, state, text

DROP_GENERATORS = ("espeak", "dia")

DROP = Group("drop", "/drop", (
    call("say", "Makes a drop: its text ([S1] … [S2] … is a dialogue), then the pad it goes to (none: /drop/pad)", owner="gen",
         optional=False),
    call("now", "Makes a drop and launches it on the pad's launch grid, as soon as it is there", owner="gen", optional=False),
    choice("generator", "espeak", DROP_GENERATORS, "What says new drops: the embedded voice, or Dia, where the config names it",
           owner="gen"),
    call("voices", "Lists the voices that are kept, and those that are installed, of a language or all", owner="gen"),
    text("voice", "en", "Voice of new drops: of espeak-ng, with a variant after a plus sign (en-gb+f3), or a kept one"),
    call("voice/keep", "Keeps a recording as a voice for Dia to speak in: a name, a pad, deck, clip or file, and what is said "
         "there", owner="gen", optional=False),
    call("voice/forget", "Forgets a kept voice by its name", owner="gen", optional=False),
    text("pad", "/bank/8/pad/16", "Pad of drops that are sent nowhere else"),
    integer("speed", 160, 80, 320, "How fast new drops are said", unit="words/min", owner="gen"),
    integer("pitch", 50, 0, 99, "Low … high", owner="gen"),
    number("guidance", 3.0, 1.0, 10.0, "How strictly Dia keeps to the text", owner="gen"),
    number("temperature", 1.8, 1.0, 3.0, "How differently Dia says it each time", owner="gen"),
    number("top_p", 0.9, 0.05, 1.0, "How far Dia leaves what is likely", owner="gen"),
    integer("seed", 1, 0, 2**31 - 1, "Same seed, same voice of Dia", owner="gen"),
    state("text", "The drop that was made last", type=Type.TEXT, owner="gen"),
))
