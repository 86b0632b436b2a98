# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd wants to hear from a service of ``Type=notify``: datagrams to the socket named in the environment."""

from __future__ import annotations

import os
import socket


class Notifier:
    """Silent when nobody asked for it. ``watchdog_s`` is the longest time between two signs of life; 0: none wanted."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if address else None
        if self._socket:
            self._socket.setblocking(False)
        wanted = os.environ.get("WATCHDOG_USEC", "0")
        ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_s = int(wanted) / 1e6 if address and ours and wanted.isdigit() else 0.0

    def tell(self, **words: object) -> None:
        """``tell(READY=1, STATUS="plays")``. A full or vanished socket is no reason to stop the sound."""
        if not self._socket:
            return
        text = "\n".join(f"{key}={value}" for key, value in words.items())
        try:
            self._socket.sendto(text.encode(), self._address)
        except OSError:
            return
