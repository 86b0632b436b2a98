# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m tests.soak --minutes 30 --seed 1 --every 5``: the long form; ends with 1 when it is not passed."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.soak.faults import FAULTS
from tests.soak.soak import soak
from tests.soak.stage import can_soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two faults, on average")
    parser.add_argument("--hogs", type=int, default=2, help="busy processes beside the box")
    parser.add_argument("--faults", nargs="*", default=[], help=f"only these: {', '.join(FAULTS)}")
    parser.add_argument("--varispeed", action="store_true", help="pads change their pitch with the tempo")
    parser.add_argument("--audio", type=Path, help="folder with more files to play")
    parser.add_argument("--out", type=Path, default=Path("build/soak"), help="where the report goes")
    parser.add_argument("--keep", action="store_true", help="keep the recording (700 MB for 30 minutes)")
    arguments = parser.parse_args()
    if why := can_soak():
        print(f"no soak can be played here: {why}")
        return 2
    arguments.out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir=arguments.out))
    report = soak(folder, arguments.minutes, arguments.seed, arguments.every, names=tuple(arguments.faults) or tuple(FAULTS),
                  audio=arguments.audio, hogs=arguments.hogs, in_pitch=not arguments.varispeed)
    print(report.text(), end="")
    for name in ("report.txt", "report.json", "log"):
        shutil.copy(folder / name, arguments.out / name)
    print(f"the report is in {arguments.out}" + (f", all else in {folder}" if arguments.keep else ""))
    if not arguments.keep:
        shutil.rmtree(folder)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
