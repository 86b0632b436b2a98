# SPDX-License-Identifier: GPL-3.0-or-later
"""A keyboard player as a JACK client of its own: notes for the pads at random frames, for as long as it takes.

Started as ``python -m tests.soak.player SERVER FILE``. FILE gets a row for every note: life of the server, frame time, pad,
and the monotonic time in ns at which it was written down. It plugs itself in when nothing is plugged into it, and counts
that. """

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import jack

from tests.jackgear import NotePlayer
from tests.soak.lives import Gone, live

COUNT = 60_000
GAP_CYCLES = 83
"""About five notes a second."""


def main(server: str, path: Path) -> None:
    jack.set_error_function(lambda message: None)
    jack.set_info_function(lambda message: None)

    def one_life(number: int, opened: Callable[[], None], stop: threading.Event) -> None:
        try:
            player = NotePlayer(server, COUNT, GAP_CYCLES, "soak-keys")
        except jack.JackError:
            raise Gone from None
        opened()
        plugged = written = 0
        with path.open("a", buffering=1) as file:
            while not stop.wait(0.1) and not player.done and not player.gone.is_set():
                plugged += plug_in(player)
                now = int(player.words[10])
                for when, pad in player.sent[written:now]:
                    file.write(f"{number} {when} {pad} {time.monotonic_ns()}\n")
                written = now
            file.write(f"# plugged in {plugged} times\n")

    live(one_life, lambda: None)


def plug_in(player: NotePlayer) -> int:
    """Into the box, when nothing is plugged in; returns 1 when that was needed."""
    try:
        if player.client.get_all_connections(player.port):  # also when the box has plugged itself in
            player.go()
            return 0
        for engine in ("appliance-a", "appliance-b"):
            if player.client.get_ports(f"{engine}:midi_in$"):
                player.client.connect(player.port, f"{engine}:midi_in")
                return 1
    except jack.JackError:  # the server is going
        return 0
    return 0


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
