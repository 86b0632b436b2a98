# SPDX-License-Identifier: GPL-3.0-or-later
"""Channel strips (1…4 the decks, 5…8 the pad groups), crossfader, master, cue bus."""

from appliance.namespace import Group, Scaling, Type, call, choice, edit, number, state, switch
from appliance.nodes.clock import QUANTIZES

CHANNELS = 8
ASSIGNS = ("thru", "A", "B")
CURVES = ("dipless", "power", "cut")
FADER_CURVES = ("taper", "linear", "slow", "steep")
BALANCE_DB = 6.0
"""Auto-balance adds or takes away so much at most."""

CHANNEL = Group("channel", "/channel/{channel}", (
    number("trim", 0.0, -24.0, 12.0, "Input level", unit="dB", scaling=Scaling.DB),
    number("low", 0.0, -60.0, 6.0, "Isolator below 250 Hz; -60 is silence", unit="dB", scaling=Scaling.DB),
    number("mid", 0.0, -60.0, 6.0, "Isolator 250 … 2500 Hz; -60 is silence", unit="dB", scaling=Scaling.DB),
    number("high", 0.0, -60.0, 6.0, "Isolator above 2500 Hz; -60 is silence", unit="dB", scaling=Scaling.DB),
    switch("kill/low", False, "Low band off"),
    switch("kill/mid", False, "Mid band off"),
    switch("kill/high", False, "High band off"),
    number("filter", 0.0, -1.0, 1.0, "Low-pass … off … high-pass"),
    number("fader", 1.0, 0.0, 1.0, "Channel fader, by /mixer/fader/curve"),
    number("pan", 0.0, -1.0, 1.0, "Balance left … right"),
    switch("mute", False, "Silences the channel"),
    switch("solo", False, "Silences all channels that are not soloed"),
    switch("cue", False, "Sends the channel to the cue bus, before its fader"),
    switch("talkover", False, "While something is heard on it, the other channels step back"),
    choice("assign", ("A", "B", "A", "B", "thru", "thru", "thru", "thru"), ASSIGNS, "Side of the crossfader"),
    state("meter", "Peak level after the strip", reads="channel.peak", maximum=8.0),
    state("balance", "What auto-balance adds to the channel", reads="channel.correction", unit="dB", minimum=-BALANCE_DB,
          maximum=BALANCE_DB),
    state("balance/held", "A hand on trim or fader has stopped auto-balance for this channel", reads="channel.held",
          type=Type.BOOL),
), {"channel": CHANNELS})

MIXER = Group("mixer", "/mixer", (
    number("crossfader", 0.0, -1.0, 1.0, "A … B"),
    choice("curve", "dipless", CURVES, "dipless: both full in the middle; power: -3 dB in the middle; cut: for scratching"),
    switch("crossfader/reverse", False, "The crossfader's sides change places (hamster)"),
    number("crossfader/lag", 0.0, 0.0, 0.2, "With the curve cut: travel from the end before the other side opens"),
    choice("fader/curve", "taper", FADER_CURVES,
           "Channel faders half way: taper -12 dB, linear -6 dB, slow -24 dB, steep -1 dB"),
    number("master", 0.0, -60.0, 6.0, "Master level", unit="dB", scaling=Scaling.DB),
    number("balance", 0.0, -1.0, 1.0, "Master left … right"),
    switch("autogain", True, "Brings tracks that are loaded on decks to one loudness; while one plays it is left as it is"),
    number("autogain/target", -14.0, -30.0, -6.0, "Loudness that auto-gain brings tracks to, by 12 dB at most", unit="LUFS"),
    switch("balance/auto", False, "Brings the loudness of the channels together, slowly, by up to 6 dB each"),
    number("talkover/depth", -12.0, -60.0, 0.0, "How far the others step back while a channel talks over them", unit="dB",
           scaling=Scaling.DB),
    choice("talkover/back", "1/4", QUANTIZES, "Line of the grid on which they are back, after it has fallen silent"),
    number("booth", 0.0, -60.0, 6.0, "Level of the booth, whatever the master's is", unit="dB", scaling=Scaling.DB),
    switch("booth/mono", False, "Both sides on both loudspeakers of the booth"),
    switch("booth/mute", False, "Silences the booth"),
    edit(number("limiter/ceiling", -0.3, -12.0, 0.0, "Neither master nor booth goes above it, not between samples either",
                unit="dB", scaling=Scaling.DB)),
    edit(number("limiter/release", 120.0, 10.0, 1000.0, "Time in which the limiter lets go", unit="ms", scaling=Scaling.LOG)),
    number("cue/mix", 0.0, 0.0, 1.0, "Cue … master in the headphones"),
    switch("cue/split", False, "The cue on the left ear, the master on the right, both in mono"),
    number("cue/level", 0.0, -60.0, 6.0, "Headphone level", unit="dB", scaling=Scaling.DB),
    state("meter/left", "Peak level of the master", reads="master.peak_left", maximum=8.0),
    state("meter/right", "Peak level of the master", reads="master.peak_right", maximum=8.0),
    state("meter/rms", "Mean level of the master over 300 ms", reads="master.rms", maximum=8.0),
    state("meter/true_peak", "Highest point between the samples", reads="master.true_peak", maximum=8.0),
    state("loudness/momentary", "Loudness of the last 400 ms", reads="master.momentary", unit="LUFS", minimum=-70, maximum=10),
    state("loudness/short_term", "Loudness of the last 3 s", reads="master.short_term", unit="LUFS", minimum=-70, maximum=10),
    state("loudness/integrated", "Loudness since start or reset", owner="control", unit="LUFS", minimum=-70, maximum=10),
    state("loudness/range", "Between its soft and its loud parts", owner="control", unit="LU", maximum=70),
    call("loudness/reset", "Begins to measure anew", owner="control"),
    state("limiter/reduction", "What the limiter takes away", reads="master.reduction_db", unit="dB", maximum=60.0),
))

PANIC = Group("panic", "/panic", (
    switch("mute", False, "Master and booth fall silent in 10 ms; off: they come back", session=False),
))
