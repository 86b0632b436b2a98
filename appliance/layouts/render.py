# SPDX-License-Identifier: GPL-3.0-or-later
"""One layout, by its kind: what ``appliance export`` writes and ``GET /layouts/KIND`` serves."""

from __future__ import annotations

from appliance.errors import BadValue
from appliance.layouts import openstagecontrol, reaper, touchosc

KINDS = ("touchosc", "openstagecontrol", "reaper")
HOST = "appliance.local"
PORT = 9000
LISTEN = 9001
"""Where TouchOSC listens when nothing else is set there."""


def render(
    kind: str, host: str = HOST, port: int = PORT, token: str = "", *, listen: int = LISTEN, portrait: bool = False
) -> tuple[bytes, str]:
    """The file's bytes and its name.

    ``host`` and ``port``: where the box listens for OSC; ``token``: what ``/hello`` shows it; ``listen``: the tablet's own port
    (TouchOSC). Raises :class:`BadValue`.
    """
    for name, number in (("port", port), ("listen", listen)):
        if not 1 <= number <= 65535:
            raise BadValue(f"layouts: {name} {number} is no port; 1 … 65535")
    if not host or any(c.isspace() or c in "\"'\\<>" for c in host):
        raise BadValue(f"layouts: {host!r} is no name of a host; give the box's name or number, such as 192.168.1.20")
    if not token.isprintable() or len(token) > 256 or any(c in "\"'\\<>]" for c in token):
        raise BadValue("layouts: this is no token; take the one that pairing gave you")
    upright = "-portrait" if portrait else ""
    if kind == "touchosc":
        return touchosc.render(token, listen, portrait=portrait), f"appliance{upright}.tosc"
    if kind == "openstagecontrol":
        return openstagecontrol.render(host, port, token, portrait=portrait), f"appliance{upright}.openstagecontrol.json"
    if kind == "reaper":
        return reaper.render(host, port), "appliance.ReaperOSC"
    raise BadValue(f"layouts: there is no layout {kind!r}; there is {', '.join(KINDS)}")
