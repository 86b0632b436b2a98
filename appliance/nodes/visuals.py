# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture."""

from appliance.namespace import Group, Type, call, number, state, switch, text

VISUALS = Group("visuals", "/visuals", (
    switch("blackout", False, "Black output", owner="visuals"),
    switch("freeze", False, "Holds the picture", owner="visuals"),
    number("brightness", 1.0, 0.0, 1.0, "Of the whole picture", owner="visuals"),
    number("reactivity", 1.0, 0.0, 2.0, "How strongly the picture follows the sound", owner="visuals"),
    number("speed", 1.0, 0.0, 4.0, "Of the scene's time", owner="visuals"),
    text("scene", "pulse", "Name or path of the scene shown"),
    call("next", "Shows the next scene", owner="visuals"),
    call("scenes", "Lists the scenes", owner="visuals"),
    call("snapshot", "The picture as PNG", owner="visuals"),
    state("state", "Scene shown, frames a second, output", type=Type.JSON, owner="visuals"),
    state("message", "The last thing that visuals have to say", type=Type.TEXT, owner="visuals"),
))

VISUALS_PARAM = Group("visuals_param", "/visuals/param/{param}", (
    number("value", 0.5, 0.0, 1.0, "Parameter of the scene, in the order in which the scene declares them", owner="visuals"),
), {"param": 8})
