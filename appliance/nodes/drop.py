# SPDX-License-Identifier: GPL-3.0-or-later
"""Voice drops: what is said to the audience, over the music that steps back for it."""

from appliance.namespace import Group, Type, call, integer, state, text

DROP = Group("drop", "/drop", (
    call("say", "Makes a drop: its text ([S1] … [S2] … is a dialogue), then the pad it goes to (none: /drop/pad)", owner="gen",
         optional=False),
    call("now", "Makes a drop and launches it on the pad's launch grid, as soon as it is there", owner="gen", optional=False),
    call("voices", "Lists the voices that are installed, of a language or all", owner="gen"),
    text("voice", "en", "Voice of new drops, with a variant after a plus sign: en-gb+f3"),
    text("pad", "/bank/8/pad/16", "Pad of drops that are sent nowhere else"),
    integer("speed", 160, 80, 320, "How fast new drops are said", unit="words/min", owner="gen"),
    integer("pitch", 50, 0, 99, "Low … high", owner="gen"),
    state("text", "The drop that was made last", type=Type.TEXT, owner="gen"),
))
