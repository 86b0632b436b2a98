# SPDX-License-Identifier: GPL-3.0-or-later
"""Generators. Each is a folder or file here with a class that obeys :class:`appliance.gen.backends.base.Backend`."""

#: Backends and their versions. A version changes whenever the same request would give other audio; it is part of the cache's
#: key and stands here, where it can be read without loading what a backend needs.
VERSIONS: dict[str, str] = {"procedural": "2"}
#: The one that needs nothing: no model, no other interpreter, no network.
EMBEDDED = "procedural"
