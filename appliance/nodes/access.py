# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may play the box from elsewhere: devices that ask, devices that are paired."""

from appliance.namespace import Group, Type, admin, call, private, state, switch

ACCESS = Group("access", "/access", (
    admin(switch("open", True, "Devices of the network may ask to be paired", session=False, owner="control")),
    admin(switch("confirm", False, "Held for a second: lets in the device that has typed its code", session=False,
                 owner="control", momentary=True)),
    admin(call("list", "Lists the devices that are paired", owner="control")),
    admin(call("approve", "The same as confirm, at once; argument: id or name, none when only one device waits",
               owner="control")),
    admin(call("refuse", "Sends a device away that waits; argument: id or name, none when only one waits", owner="control")),
    admin(call("revoke", "Ends a pairing; argument: id or name, or all", owner="control", optional=False)),
    private(state("requests", "Devices that ask to be paired: id, name, host, scope, code, typed, confirmed, until (seconds "
                  "since 1970)", type=Type.JSON, owner="control")),
    private(state("code", "Code of the device that asked last, empty when none waits", type=Type.TEXT, owner="control")),
    private(state("message", "The last thing to say about pairing to who plays, codes included: for ear and eye of the "
                  "performer, never for the audience", type=Type.TEXT, owner="control")),
))
