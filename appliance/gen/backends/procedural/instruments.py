# SPDX-License-Identifier: GPL-3.0-or-later
"""All patches by name, and how some of them want to be played."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from appliance.gen.backends.procedural.acoustic import ACOUSTIC
from appliance.gen.backends.procedural.patches import SYNTHETIC, Tone

PATCHES: dict[str, Callable[[Tone], NDArray[np.float32]]] = {**SYNTHETIC, **ACOUSTIC}
#: Chord patches that hold a chord for its bar, whatever the rhythm.
HELD = frozenset({"wash", "strings"})
#: Chord patches that make a chord of one note: they are given its root alone.
ROOTED = frozenset({"power"})
