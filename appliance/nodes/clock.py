# SPDX-License-Identifier: GPL-3.0-or-later
"""The master clock: tempo, metre, bars."""

from appliance.namespace import Group, Scaling, Type, choice, command, edit, integer, number, state, switch

METRES = ("2/4", "3/4", "4/4", "5/4", "6/8", "7/8")
METRE_BEATS = (2.0, 3.0, 4.0, 5.0, 3.0, 3.5)
"""Length of a bar in quarter notes, by index of METRES."""
METRE_TYPES = (4.0, 4.0, 4.0, 4.0, 8.0, 8.0)
"""The note that is counted, by index of METRES: 4 quarters, 8 eighths."""

QUANTIZES = ("off", "1/32", "1/16", "1/8", "1/4", "1/2", "1 bar", "2 bars", "4 bars", "8 bars")
QUANTIZE_BEATS = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, -1.0, -2.0, -4.0, -8.0)
"""Grid in quarter notes, by index of QUANTIZES; negative: that many bars of the current metre."""

SOURCES = ("internal", "midi", "link", "jack")

CLOCK = Group("clock", "/clock", (
    switch("play", True, "The clock runs; stopped, everything that follows it holds its place"),
    number("bpm", 120.0, 20.0, 300.0, "Tempo in quarter notes a minute", unit="BPM", scaling=Scaling.LOG),
    choice("metre", "4/4", METRES, "Length of a bar; takes effect on the next bar line"),
    choice("quantize", "1 bar", QUANTIZES, "Launch grid of pads and scenes that follow the clock's"),
    integer("phrase", 8, 1, 64, "Bars in a phrase", unit="bars"),
    switch("metronome", False, "Clicks on the cue bus"),
    number("metronome_db", -12.0, -60.0, 0.0, "Level of the click", unit="dB", scaling=Scaling.DB),
    edit(choice("source", "internal", SOURCES, "internal: tempo and transport are set here; midi: the MIDI clock that comes "
                "in; link: the Ableton Link session; jack: JACK's transport")),
    edit(number("in/offset", 0.0, -200.0, 200.0, "How late the MIDI clock that comes in is heard: it is followed earlier by so "
                "much", unit="ms")),
    state("following", "Another clock is there and followed", reads="clock.following", type=Type.BOOL),
    edit(switch("link", False, "Takes part in the Ableton Link session of this network; so does the source link")),
    edit(number("link/offset", 0.0, -200.0, 200.0, "The box is heard so much earlier than Link's beat, or later below 0",
                unit="ms")),
    edit(switch("link/transport", True, "Start and stop go to Link's peers; with the source link they come from there, too")),
    state("link/peers", "Others in the Link session", type=Type.INT, owner="control"),
    state("link/bpm", "Tempo of the Link session, 0 outside one", owner="control", unit="BPM"),
    edit(switch("jack", False, "The box is JACK's timebase master, and JACK's transport starts and stops with the clock")),
    edit(number("jack/offset", 0.0, -200.0, 200.0, "The box is heard so much earlier than JACK's position, or later below 0",
                unit="ms")),
    state("jack/master", "The box is JACK's timebase master at the moment", reads="clock.timebase", type=Type.BOOL),
    edit(switch("out/midi", True, "Sends MIDI clock on the port clock_out")),
    edit(number("out/offset", 0.0, -200.0, 200.0, "Moves the MIDI clock that is sent: later, or earlier below 0", unit="ms")),
    command("tap", "Taps the tempo: the mean of the last taps up to 2 s apart"),
    integer("ramp/bars", 8, 1, 64, "Length of a tempo ramp", unit="bars"),
    command("ramp", "Moves the tempo there, evenly over ramp/bars bars", type=Type.FLOAT, minimum=20.0, maximum=300.0,
            unit="BPM", reads="clock.ramping"),
    command("restart", "Makes this moment beat 1 of bar 1"),
    state("beat", "Beat in the bar, from 1", reads="clock.beat_in_bar", type=Type.INT),
    state("bar", "Bars since the clock's start, from 1", reads="clock.bar", type=Type.INT),
    state("phrase_bar", "Bar in the phrase, from 1", reads="clock.phrase_bar", type=Type.INT),
    state("position", "Beats since the clock's start, with fraction", reads="clock.beat", unit="beats"),
))
