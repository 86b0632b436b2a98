# SPDX-License-Identifier: GPL-3.0-or-later
"""Learning: a control is moved and does from then on what was chosen. Devices: which layers are on, by address."""

from appliance.namespace import Group, Type, call, edit, state, switch, text

LEARN_STATES = ("off", "target", "control", "listening")
DEVICES = 8
"""Devices with a profile that have addresses: 1…3 are those on the engine's own ports, 4… those that JACK does not own."""

LEARN = Group("learn", "/learn", (
    edit(text("target", "", "Address that the next moved control shall change; set it, then move the control", session=False)),
    edit(text("device", "", "Learn from this device only: part of its name; empty: from any", session=False)),
    edit(text("name", "", "Name of the next control in its profile; empty: named by what it does", session=False)),
    edit(switch("hold", False, "While held: what a hand changes becomes the target, then the control that moves learns it",
           session=False, owner="control", momentary=True)),
    edit(call("start", "Learns until /learn/stop, one control after the other; argument: the first target", owner="control")),
    edit(call("stop", "Ends learning; what has been learned stays", owner="control")),
    edit(call("cancel", "Forgets the target and what has been heard, and ends learning", owner="control")),
    edit(call("save", "Takes what has been heard so far, without waiting for the end of the move; argument: the control's name",
         owner="control")),
    edit(call("undo", "Takes back the last control that was learned", owner="control")),
    state("state", "What it waits for", type=Type.CHOICE, choices=LEARN_STATES, owner="control"),
    state("status", "The same in a sentence, with what was learned or why not", type=Type.TEXT, owner="control"),
    state("last", "What was learned last: address, device, control, surface, binding, file", type=Type.JSON, owner="control"),
))

DEVICE = Group("device", "/device/{device}", (
    state("name", "The port it sends from; empty: no device", type=Type.TEXT, owner="control"),
    state("profile", "Its profile", type=Type.TEXT, owner="control"),
    state("layers", "Its layers by name, each with its value: shift, banks, the deck that it plays", type=Type.JSON,
          owner="control"),
    call("layer", "Puts a layer on a value: its name, then the value (true and false are 1 and 0)", owner="control"),
    call("takeover", "Controls that stand elsewhere than their value: control, address, at and value 0…1 of the travel",
         owner="control"),
), {"device": DEVICES})
