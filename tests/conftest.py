# SPDX-License-Identifier: GPL-3.0-or-later
"""A shell that starts the tests in the background has SIGINT ignored; all that they start would inherit that."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
