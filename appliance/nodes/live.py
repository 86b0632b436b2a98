# SPDX-License-Identifier: GPL-3.0-or-later
"""The live channel: music that is made while it plays, on a strip of the mixer."""

from appliance.namespace import Group, Scaling, Type, integer, number, state
from appliance.nodes.mixer import CHANNELS

LIVE = Group("live", "/live", (
    integer("channel", CHANNELS, 1, CHANNELS, "Strip that it plays on"),
    number("gain", 0.0, -60.0, 12.0, "Level before the strip", unit="dB", scaling=Scaling.DB),
    number("buffer", 0.4, 0.05, 8.0, "So much has to be there before it begins, or goes on after a stall", unit="s"),
    state("playing", "It is heard right now", reads="live.playing", type=Type.BOOL),
    state("ahead", "What has come and was not played yet", reads="live.ahead_s", unit="s", maximum=12.0),
    state("stalls", "How often it ran dry since the engine's first start", reads="live.stalls", type=Type.INT, maximum=1e9),
))
