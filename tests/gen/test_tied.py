# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker dies with its gen process, even when it is busy or stopped and cannot notice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

GEN = """
import asyncio, sys
from pathlib import Path
from appliance.gen.pool import WorkerProcess

async def main():
    worker = WorkerProcess("procedural", Path(sys.argv[1]))
    await worker.start()
    print(worker.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_a_stopped_worker_goes_with_a_killed_gen(tmp_path: Path) -> None:
    gen = subprocess.Popen([sys.executable, "-c", GEN, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert gen.stdout
    worker = int(gen.stdout.readline())
    os.kill(worker, signal.SIGSTOP)
    gen.kill()
    gen.wait()
    gen.stdout.close()
    end = time.monotonic() + 5
    while Path(f"/proc/{worker}").exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert not Path(f"/proc/{worker}").exists()
