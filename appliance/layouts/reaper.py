# SPDX-License-Identifier: GPL-3.0-or-later
"""A pattern file for REAPER: which of its values go to which addresses of the box, and come back from there.

A line is an action of REAPER and a pattern: a letter for the argument (``n`` 0…1, ``f`` as it is, ``b`` 0 or 1, ``t`` a
trigger or switch), then the address; ``@`` stands for the number of the track. Only what both sides mean alike is there.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.errors import ApplianceError
from appliance.namespace import Type
from appliance.nodes import NAMESPACE
from appliance.nodes.mixer import CHANNELS


@dataclass(frozen=True)
class Line:
    """``kind``: n, f, b or t. ``address`` with ``@`` for the track; it must take what REAPER sends."""

    action: str
    kind: str
    address: str
    doc: str

    def __post_init__(self) -> None:
        node = NAMESPACE.find(self.address.replace("@", "1")).node
        wanted = Type.FLOAT if self.kind in ("n", "f") else Type.BOOL
        if node.type is not wanted or not node.writable or (self.kind == "n" and (node.minimum, node.maximum) != (0.0, 1.0)):
            raise ApplianceError(f"layouts: REAPER's {self.action} ({self.kind}) does not fit {self.address}")


LINES = (
    Line("TRACK_VOLUME", "n", "/channel/@/fader", "the fader's travel, 0 … 1"),
    Line("TRACK_MUTE", "b", "/channel/@/mute", ""),
    Line("TRACK_SOLO", "b", "/channel/@/solo", ""),
    Line("TRACK_MONITOR", "b", "/channel/@/cue", "a track's input monitoring is the channel's headphone button"),
    Line("TEMPO", "f", "/clock/bpm", "in BPM"),
    Line("PLAY", "t", "/clock/play", "REAPER plays: the clock runs; REAPER stops: it stands"),
    Line("METRONOME", "t", "/clock/metronome", ""),
)


def render(host: str, port: int) -> bytes:
    """The file; REAPER asks for host and port itself, so they stand in a comment."""
    lines = [
        "# REAPER and the appliance: written by `appliance export reaper`.",
        "# Preferences, Control/OSC/web, Add: OSC; mode: Configure device IP + local port;",
        f"# device IP: {host}; device port: {port}; local listen port: 8000; pattern config: this file.",
        "", f"DEVICE_TRACK_COUNT {CHANNELS}", "DEVICE_SEND_COUNT 0", "DEVICE_RECEIVE_COUNT 0", "DEVICE_FX_COUNT 0",
        "REAPER_TRACK_FOLLOWS REAPER", "DEVICE_TRACK_FOLLOWS DEVICE", "DEVICE_TRACK_BANK_FOLLOWS DEVICE", "",
    ]
    for line in LINES:
        node = NAMESPACE.find(line.address.replace("@", "1")).node
        lines.append(f"# {line.address}: {line.doc or node.doc}")
        lines.append(f"{line.action} {line.kind}{line.address}")
    return ("\n".join(lines) + "\n").encode()
