# SPDX-License-Identifier: GPL-3.0-or-later
"""The library: walking through it from a controller."""

from appliance.namespace import Group, Type, call

LIBRARY = Group("library", "/library", (
    call("browse/move", "Moves the selection by so many entries, back when negative", owner="control", type=Type.FLOAT),
    call("browse/list", "Goes so many lists on, back when negative", owner="control", type=Type.FLOAT),
    call("browse/open", "Opens the selected list, or closes it again", owner="control"),
    call("browse/load", "Loads the selected entry: onto the deck or pad that is named, else onto the first deck that rests",
         owner="control"),
))
