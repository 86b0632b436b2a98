# SPDX-License-Identifier: GPL-3.0-or-later
"""Where compiled kernels are kept.

numba notices a change of a function's own file, but not of a function it calls in another file; so the folder's name holds
a hash of all sources that take part in a kernel and of numba's and numpy's versions.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from appliance.config import cache_folder

PACKAGE = Path(__file__).resolve().parent.parent
PLAIN = {"__main__.py", "clipmap.py", "compile.py", "links.py", "process.py", "streams.py"}
"""Files of the engine that compile nothing and give nothing that is compiled."""


def sources() -> list[Path]:
    """The files whose content decides what is compiled."""
    folders = ("engine", "nodes")
    found = [path for folder in folders for path in (PACKAGE / folder).rglob("*.py") if path.name not in PLAIN]
    found += [PACKAGE / "namespace.py", *(PACKAGE / "bus" / f"{name}.py" for name in
              ("atomic", "binding", "clips", "commands", "commit", "events", "jacknews", "layout", "telemetry"))]
    return sorted(found)


def fingerprint() -> str:
    digest = hashlib.sha256()
    for path in sources():
        digest.update(path.relative_to(PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    for package in ("numba", "llvmlite", "numpy"):
        with contextlib.suppress(PackageNotFoundError):  # the models' environment compiles nothing
            digest.update(version(package).encode())
    return digest.hexdigest()[:16]


def choose() -> Path:
    """Set ``NUMBA_CACHE_DIR`` unless somebody did; a folder that cannot be written is replaced by a temporary one."""
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen)
    folder = cache_folder() / f"kernels-{fingerprint()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(folder)
    except OSError:
        folder = Path(tempfile.gettempdir()) / f"appliance-{os.getuid()}" / folder.name
        folder.mkdir(parents=True, exist_ok=True)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    return folder
