# SPDX-License-Identifier: GPL-3.0-or-later
"""The analyser: a process for one file, behind everything that sounds. It prints one line of JSON: an
:class:`~appliance.library.analysis.result.Analysis`, or ``{"error": "what is wrong with the file"}``."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import resource
import sys
from pathlib import Path

NICE = 19
CPU_S = 600
"""Processor time after which the kernel ends it."""
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_IDLE_CLASS = 3 << 13


def stand_back() -> None:
    """Run only when nobody else wants to: processor, disk, and the first to go when memory is short."""
    os.setpriority(os.PRIO_PROCESS, 0, NICE)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    if number := _IOPRIO_SET.get(platform.machine()):
        ctypes.CDLL(None).syscall(number, 1, 0, _IDLE_CLASS)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 5))


def main() -> int:
    stand_back()
    answer = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries may print

    from appliance.errors import ApplianceError
    from appliance.library.analysis.listen import analyse

    try:
        line = analyse(Path(sys.argv[1])).model_dump_json()
    except ApplianceError as error:
        line = json.dumps({"error": error.message})
    except MemoryError:
        line = json.dumps({"error": f"{sys.argv[1]}: not enough memory to analyse it"})
    with os.fdopen(answer, "w", encoding="utf-8") as out:
        out.write(line + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
