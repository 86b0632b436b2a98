# SPDX-License-Identifier: GPL-3.0-or-later
"""Styles are data: rhythms, progressions and choices of voices. The mechanics that play them are the same for all.

A rhythm is a string, one character a sixteenth: ``.`` is silent, ``1`` … ``9`` is played at that ninth of full velocity.
Strings of more than a bar run over several bars; in other metres than 4/4 they are cut or repeated to the bar.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Lane:
    """A drum lane: rhythms from plain to busy, and the energy from which it is heard at all."""

    rhythms: tuple[str, ...]
    from_energy: float = 0.0
    gain: float = 1.0
    pan: float = 0.0
    send: float = 0.0  # share that goes into the room


@dataclass(frozen=True, slots=True)
class Tune:
    """A tonal part: rhythms from plain to busy, the patches that may play it, and the degrees it likes (with weights)."""

    rhythms: tuple[str, ...]
    patches: tuple[str, ...]
    degrees: tuple[tuple[int, float], ...] = ((0, 1.0),)
    low_note: int = 36
    high_note: int = 60
    gate_steps: float = 1.0
    echo: float = 0.0
    send: float = 0.0
    duck: float = 0.0


@dataclass(frozen=True, slots=True)
class Style:
    """Everything that makes a style itself. ``progressions`` are degrees of the scale, one a bar, with weights."""

    swing: tuple[float, float]
    progressions: tuple[tuple[tuple[int, ...], float], ...]
    chord_degrees: tuple[tuple[int, ...], ...]
    drums: dict[str, Lane]
    bass: Tune
    chords: Tune
    lead: Tune
    textures: tuple[str, ...]
    kick_hz: tuple[float, float]
    room_s: float
    levels_db: dict[str, float] = field(default_factory=dict)


def table() -> dict[str, Style]:
    """All styles by name; imported late, so that one style costs nothing to the others."""
    from appliance.gen.backends.procedural.styles import techno_minimal

    return {"techno_minimal": techno_minimal.STYLE}
