# SPDX-License-Identifier: GPL-3.0-or-later
"""The voice: what the box says into the headphones, and nowhere else."""

from appliance.namespace import Group, Scaling, Type, call, choice, number, state

LEVELS = ("off", "faults", "all")

VOICE = Group("voice", "/voice", (
    number("gain", 0.0, -60.0, 12.0, "Level of the voice in the headphones", unit="dB", scaling=Scaling.DB),
    state("speaking", "The voice is heard right now", reads="voice.speaking", type=Type.BOOL),
))

SPEECH = Group("speech", "/voice", (
    choice("level", "faults", LEVELS, "off: it is silent; faults: what goes wrong, and what it is asked for; all: names, too",
           owner="control"),
    call("say", "Says a text; a long one is cut", owner="control", type=Type.TEXT, optional=False),
    call("status", "Says style, key, tempo and how much is ready", owner="control"),
    call("repeat", "Says the last thing again", owner="control"),
    call("stop", "Falls silent, and forgets what it has not said yet", owner="control"),
    state("text", "What it said last", type=Type.TEXT, owner="control"),
))
