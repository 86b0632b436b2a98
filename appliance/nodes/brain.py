# SPDX-License-Identifier: GPL-3.0-or-later
"""The autopilot: it plays pads by rules, from phrase to phrase, and says before what it will do. Any touch wins."""

from appliance.namespace import Group, Type, call, choice, integer, number, state, switch
from appliance.nodes.gen import SECTIONS

CURVES = ("steady", "rise", "arc", "wave")

BRAIN = Group("brain", "/brain", (
    switch("on", False, "The autopilot plays: on phrase lines it adds, takes out and renews pads", session=False,
           owner="control"),
    number("energy", 0.7, 0.0, 1.0, "Calm … driving: the most that the curve goes up to", owner="control"),
    choice("curve", "wave", CURVES, "Energy over the set: steady; rise from a third; arc up and down again; wave, four of them",
           owner="control"),
    integer("minutes", 60, 5, 600, "Length of the set: after it the curve begins anew", unit="min", owner="control"),
    call("skip", "What it would do next is left out", owner="control"),
    state("next", "What it will do, when and why: {at_bar, add, remove, new, section, why}", type=Type.JSON, owner="control"),
    state("last", "What it has done last, in the same form", type=Type.JSON, owner="control"),
    state("target", "Energy that the curve asks for now", owner="control"),
    state("section", "Section of the set that it plays", type=Type.CHOICE, choices=SECTIONS, owner="control"),
    state("hands", "Pads, channels and decks that a person has touched, and the bar at which it may have them back",
          type=Type.JSON, owner="control"),
))
