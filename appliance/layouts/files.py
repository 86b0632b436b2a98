# SPDX-License-Identifier: GPL-3.0-or-later
"""The layouts as they are shipped, without a token: ``python -m appliance.layouts.files mappings``."""

from __future__ import annotations

import sys
from pathlib import Path

from appliance.layouts.render import render


def shipped() -> dict[str, bytes]:
    """File names and contents."""
    made = [render(kind, portrait=portrait) for kind in ("touchosc", "openstagecontrol") for portrait in (False, True)]
    return {name: content for content, name in [*made, render("reaper")]}


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "mappings")
    for name, content in shipped().items():
        (folder / name).write_bytes(content)
        print(folder / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
