# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks whether a JACK server answers: ``python probe.py SERVER``, exit status 0 yes, 1 no, 3 no JACK library.

A program of its own, so that the supervisor never becomes a JACK client and cannot be stalled by a hung server. It imports
nothing of ours.
"""

from __future__ import annotations

import ctypes
import sys

NO_START_SERVER, USE_EXACT_NAME, SERVER_NAME = 1, 2, 4


def main() -> int:
    server = sys.argv[1]
    try:
        jack = ctypes.CDLL("libjack.so.0")
    except OSError:
        return 3
    jack.jack_client_open.restype = ctypes.c_void_p
    jack.jack_client_open.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.c_char_p]
    jack.jack_client_close.argtypes = [ctypes.c_void_p]
    status = ctypes.c_int()
    client = jack.jack_client_open(b"appliance-probe", NO_START_SERVER | SERVER_NAME, ctypes.byref(status), server.encode())
    if not client:
        return 1
    jack.jack_client_close(client)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
