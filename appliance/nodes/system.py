# SPDX-License-Identifier: GPL-3.0-or-later
"""The box itself: panic, sessions, profiles, faults."""

from appliance.namespace import Group, Type, call, command, edit, state, text

PANIC_ACTIONS = Group("panic_actions", "/panic", (
    command("tails", "Ends stuck notes and ringing tails; what plays on purpose plays on"),
    call("home", "Effects off, EQ flat, faders up, the safe loop on the beat, the safe scene", owner="control"),
    edit(text("loop", "", "Pad that plays after /panic/home (such as /bank/1/pad/1); empty: the first loaded pad")),
    edit(text("scene", "pulse", "Visual scene after /panic/home")),
))

SESSION = Group("session", "/session", (
    edit(call("save", "Saves the session now; argument: name", owner="control")),
    edit(call("load", "Loads a session by name or path", owner="control")),
    call("list", "Lists the sessions", owner="control"),
    edit(text("name", "default", "Name of the session", session=False)),
))

SYSTEM = Group("system", "/system", (
    state("message", "The last thing the box has to say: what, where, what to do", type=Type.TEXT, owner="control"),
    state("messages", "The last fifty, the newest at the end: at (seconds since 1970), text", type=Type.JSON, owner="control"),
    state("profiles", "Profiles in force and the devices they hold", type=Type.JSON, owner="control"),
    edit(call("profiles/reload", "Reads the mapping profiles again", owner="control")),
    edit(call("events/record", "true: begins an events file from here; false: ends it and tells its path", owner="control")),
    text("focus", "", "What a hand holds, such as /pad/3: its settings come up on tablet and display, its name is spoken",
         session=False),
    state("processes", "Processes with pid, role, restarts", type=Type.JSON, owner="control"),
    state("overruns", "Blocks that took longer than their period", reads="system.overruns", type=Type.INT, maximum=1e12),
    state("xruns", "Late cycles the audio server reported", reads="system.xruns", type=Type.INT, maximum=1e12),
    state("load", "Share of the period the engine works", reads="system.load_pct", unit="%", maximum=1000),
))
