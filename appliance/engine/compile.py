# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m appliance.engine.compile``: compile every kernel into the cache, at set-up and upgrade, never at a start."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from appliance.bus.kernelcache import choose

_TYPES = (
    "from numba import types as t, typeof; from appliance.bus import layout; from appliance.engine.context import CONTEXT; "
    "from numba.np.numpy_support import from_dtype; import numpy as np; "
    "ctx, state, n = from_dtype(CONTEXT), from_dtype(layout.STATE), t.int64; "
)

STAGES: tuple[dict[str, str], ...] = (
    {
        "sound": "import appliance.engine.cell",
        "execute": "import appliance.engine.execute",
        "bus": "from appliance.bus import atomic, jacknews, linkword, telemetry; import numpy as np; "
               "a = np.zeros(2048, np.int64); atomic.read(a.ctypes.data); atomic.write(a.ctypes.data, 1); "
               "atomic.swap(a.ctypes.data, 1, 2); "
               "telemetry._copy(a.ctypes.data, a, a.copy()); linkword._write(a.ctypes.data, a[:4])",
    },
    {
        "block": _TYPES + "from appliance.engine import standby; standby.take_part.compile((ctx, n, n, n))",
        "tell": _TYPES + "from appliance.engine import tell; tell.tell.compile((ctx, state, n, n, n, n, n))",
    },
    {
        "jack": "import appliance.engine.backends.jack",
        "clock": _TYPES + "from appliance.engine.backends import clock; clock.run_clock.compile((n, n)); "
                          "clock._set_stop.compile((n,))",
        "offline": "from appliance.engine.backends.offline import OfflineEngine; OfflineEngine().run(256)",
    },
)
"""What is compiled, in the order of use; the parts of a stage side by side, each in a process of its own."""


def stamp() -> Path:
    """The file that says that the kernels of these sources are compiled."""
    return choose() / "complete"


def compile_all() -> int:
    """Compile everything; the JACK part is told and left out where its library lacks. Returns the exit status."""
    began = time.monotonic()
    status = 0
    for stage in STAGES:
        children = {name: subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
                    for name, code in stage.items()}
        for name, child in children.items():
            _, errors = child.communicate()
            if child.returncode and name == "jack" and ("libjack" in errors or "JACK library" in errors):
                print("kernels: the JACK library is not installed, so the box paces itself by the clock", file=sys.stderr)
            elif child.returncode:
                print(errors, file=sys.stderr)
                status = 1
    if status == 0:
        stamp().touch()
    print(f"kernels compiled in {time.monotonic() - began:.0f} s")
    return status


if __name__ == "__main__":
    sys.exit(compile_all())
