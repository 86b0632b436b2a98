# SPDX-License-Identifier: GPL-3.0-or-later
"""Generators. Each is a folder or file here with a class that obeys :class:`appliance.gen.backends.base.Backend`."""

#: Backends and their versions. A version changes whenever the same request would give other audio; it is part of the cache's
#: key and stands here, where it can be read without loading what a backend needs.
VERSIONS: dict[str, str] = {
    "procedural": "3", "import": "2", "filters": "1", "demucs": "1", "stable_audio": "2", "musicgen": "2",
    "dia": "1",
}  # fmt: skip
#: The one that needs nothing: no model, no other interpreter, no network.
EMBEDDED = "procedural"
#: Processes and the backends that work in them. The first two run in our own interpreter, ``models`` in that of ``gen.python``.
WORKERS: dict[str, tuple[str, ...]] = {
    "procedural": ("procedural",), "material": ("import", "filters"), "models": ("stable_audio", "musicgen", "demucs", "dia"),
}  # fmt: skip
