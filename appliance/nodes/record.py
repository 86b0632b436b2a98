# SPDX-License-Identifier: GPL-3.0-or-later
"""The recorder."""

from appliance.namespace import Group, Type, call, edit, state, switch

RECORD = Group("record", "/record", (
    edit(switch("on", False, "Records the master; off: the recording ends", session=False, owner="control")),
    call("mark", "Puts a mark into the cue sheet; argument: its name", owner="control"),
    call("list", "Lists the recordings", owner="control"),
    edit(call("copy", "Copies a recording (the last one without a name) to a USB stick and ejects it", owner="control")),
    state("file", "Path of the recording that runs, or of the last one", type=Type.TEXT, owner="control"),
    state("seconds", "Its length", owner="control", unit="s", maximum=1e6),
    state("room", "How long the disk lasts", owner="control", unit="s", maximum=1e9),
    state("lost", "Seconds that the disk has not taken", owner="control", unit="s", maximum=1e6),
))
