# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that dies with its parent, whatever kills the parent.

Run as a program (``python lifeline.py PARENT_PID COMMAND …``) it ties itself to its parent and becomes the command: so
programs that know nothing of it can be tied too. It imports nothing of ours and needs no installed package.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def hold(parent: int, death_signal: int = signal.SIGKILL) -> bool:
    """Ask the kernel to send ``death_signal`` to this process when its parent ends.

    ``parent`` is the process id that the parent is expected to have. Returns False when it has ended already: nobody would
    send the signal then, and the caller should leave.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    return os.getppid() == parent


def tied(command: list[str], parent: int | None = None) -> list[str]:
    """``command`` as it must be started by this process (or by ``parent``) so that it dies with it."""
    return [sys.executable, "-I", "-S", __file__, str(parent or os.getpid()), *command]


def main() -> int:
    """Tie, then become the command. Exit status 127 when there is no such command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if not hold(parent):
        return 0
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127


if __name__ == "__main__":
    raise SystemExit(main())
