# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways in which jackd can be started on this machine, the best first."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.config import Audio
from appliance.supervision.cards import sound_card

DUMMY = "dummy"


@dataclass(frozen=True)
class Way:
    """One way to start jackd: on which device, real time or not."""

    device: str
    realtime: bool

    def command(self, audio: Audio) -> list[str]:
        priority = ["-R", "-P", str(_priority())] if self.realtime else ["-r"]
        driver = ["-d", "dummy"] if self.device == DUMMY else ["-d", "alsa", "-d", self.device, "-n", "3"]
        return ["jackd", *priority, "-n", audio.server, *driver, "-r", str(audio.rate), "-p", str(audio.period)]


def wanted_device(audio: Audio) -> str | None:
    """The device that the config means; None when it takes any card and there is none."""
    return sound_card() if audio.device == "auto" else audio.device


def all_ways(audio: Audio) -> Iterator[Way]:
    """The wanted device first, then none at all: a JACK box without a card is still a JACK box."""
    for device in dict.fromkeys((wanted_device(audio) or DUMMY, DUMMY)):
        if realtime_permitted():
            yield Way(device, True)
        yield Way(device, False)


def realtime_permitted() -> bool:
    """Whether this user may run threads in real time."""
    return os.geteuid() == 0 or resource.getrlimit(resource.RLIMIT_RTPRIO)[0] != 0


def _priority() -> int:
    most = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    return 80 if os.geteuid() == 0 or most == resource.RLIM_INFINITY else max(1, min(80, most))


def pipewire_runs() -> bool:
    folder = os.environ.get("PIPEWIRE_RUNTIME_DIR") or os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return (Path(folder) / os.environ.get("PIPEWIRE_REMOTE", "pipewire-0")).exists()
