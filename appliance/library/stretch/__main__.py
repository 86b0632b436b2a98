# SPDX-License-Identifier: GPL-3.0-or-later
"""The stretcher: a process that reads jobs, a line of JSON each, and answers each with a line: ``{}`` when the file is there,
else ``{"error": …}``. It ends when nothing more can come.

A job: ``segment`` (a clip in shared memory), ``frames``, ``rate``, ``speed``, ``semitones``, ``quick``, ``file`` to be written.
"""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

NICE = 10
"""Behind everything that sounds, before what nobody waits for."""


def render(job: dict[str, Any]) -> None:
    """Raises ApplianceError, OSError, ValueError."""
    import numpy as np
    import soundfile as sf

    from appliance.bus.memory import Segment
    from appliance.library.stretch.loop import stretched

    segment = Segment.open(job["segment"])
    audio = segment.view(np.float32, 2 * job["frames"]).reshape(-1, 2).copy()
    segment.close()
    made = stretched(audio, job["rate"], job["speed"], job["semitones"], quick=job["quick"])
    written = io.BytesIO()
    sf.write(written, made, job["rate"], "FLOAT", format="WAV")
    file = Path(job["file"])
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_bytes(written.getbuffer())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def main() -> int:
    os.setpriority(os.PRIO_PROCESS, 0, NICE)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries may print

    from appliance.errors import ApplianceError

    for line in sys.stdin:
        answer: dict[str, str] = {}
        try:
            render(json.loads(line))
        except ApplianceError as error:
            answer["error"] = error.message
        except OSError as error:
            answer["error"] = f"its version cannot be kept ({error.strerror or error}); make room on the disk"
        except (ValueError, RuntimeError, MemoryError) as error:
            answer["error"] = str(error) or type(error).__name__
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
