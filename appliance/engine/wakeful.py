# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the processor near at hand between blocks.

A core that sleeps deeply until the next block wakes late and slow, with its caches cold: the same block costs half as much
again. Linux lets a process name the longest time that waking may take; the request holds while its file is open
(Documentation/power/pm_qos_interface).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

DEVICE = Path("/dev/cpu_dma_latency")
_DRIVER = Path("/sys/devices/system/cpu/cpuidle/current_driver")
SHALLOW_US = 2
"""Lets a core rest in its first sleep state only, which is cool enough for a box without a fan."""


def longest_us() -> int:
    """How long waking may take. In a virtual machine a core that halts is given to others: there it does not halt."""
    try:
        halts = _DRIVER.read_text().strip() == "haltpoll"
    except OSError:
        halts = False
    return 0 if halts else SHALLOW_US


def stay_awake() -> BinaryIO | None:
    """Ask for it. Keep what is returned open as long as that is to hold; None when this user may not ask."""
    try:
        request = DEVICE.open("wb", buffering=0)
        request.write(struct.pack("i", longest_us()))
    except OSError:
        return None
    return request
