# SPDX-License-Identifier: GPL-3.0-or-later
"""Effect units: their addresses, so that profiles can name them. What plays them has not started yet, and they say so."""

from dataclasses import replace

from appliance.namespace import Group, Node, Type, call, number, switch
from appliance.nodes.mixer import CHANNELS

UNITS = 4
SLOTS = 3
PARAMETERS = 4


def _later(*nodes: Node) -> tuple[Node, ...]:
    return tuple(replace(node, there=False) for node in nodes)


FX = Group("fx", "/fx/{unit}", _later(
    switch("enabled", False, "The unit is heard", owner="fx"),
    number("mix", 0.5, 0.0, 1.0, "Dry … wet", owner="fx"),
    number("super", 0.0, 0.0, 1.0, "One knob for the amounts of all its effects", owner="fx"),
    *(switch(f"assign/{one}", False, f"Channel {one} goes through it", owner="fx") for one in range(1, CHANNELS + 1)),
    switch("assign/master", False, "The master goes through it", owner="fx"),
    switch("assign/headphones", False, "The headphones go through it", owner="fx"),
    call("chain/move", "So many chains of effects on, back when negative", owner="fx", type=Type.FLOAT),
), {"unit": UNITS})

FX_SLOT = Group("fx_slot", "/fx/{unit}/slot/{slot}", _later(
    switch("enabled", True, "The effect in this place is heard", owner="fx"),
    number("amount", 0.5, 0.0, 1.0, "How much of the effect: one knob for what matters most in it", owner="fx"),
    *(number(f"param/{one}", 0.5, 0.0, 1.0, f"Parameter {one} of the effect", owner="fx") for one in range(1, PARAMETERS + 1)),
    call("effect/move", "So many effects on, back when negative", owner="fx", type=Type.FLOAT),
), {"unit": UNITS, "slot": SLOTS})
