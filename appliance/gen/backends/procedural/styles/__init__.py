# SPDX-License-Identifier: GPL-3.0-or-later
"""Styles are data: rhythms, progressions and choices of voices. The mechanics that play them are the same for all.

A rhythm is a string, one character a sixteenth: ``.`` is silent, ``1`` … ``9`` is played at that ninth of full velocity.
Strings of more than a bar run over several bars; in other metres than 4/4 they are cut or repeated to the bar.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module

from appliance.gen.vocabulary import STYLE_BPM


@dataclass(frozen=True, slots=True)
class Lane:
    """A drum lane: rhythms from plain to busy, and the energy from which it is heard at all.

    Lanes of one ``group`` were played by one pair of hands: they take the rhythm at the same place of their lists, and are
    chopped together.
    """

    rhythms: tuple[str, ...]
    from_energy: float = 0.0
    gain: float = 1.0
    pan: float = 0.0
    send: float = 0.0  # share that goes into the room
    sound: str = ""  # of the kit; the lane's name when empty
    group: str = ""
    tune: float = 1.0  # factor of the sound's frequencies


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
    arpeggios: tuple[tuple[int, ...], ...] = ()  # orders in which a chord's notes are played one by one; none: together


@dataclass(frozen=True, slots=True)
class Style:
    """Everything that makes a style itself. ``progressions`` are degrees of the scale, one a bar, with weights.

    ``fills`` are ends of a phrase: what lanes play in the last bar, ``-`` where they go on as before; shorter strings end with
    the bar. ``roll`` is the sound that leads from a build into the drop.
    """

    swing: tuple[float, float]
    progressions: tuple[tuple[tuple[int, ...], float], ...]
    chord_degrees: tuple[tuple[int, ...], ...]
    drums: dict[str, Lane]
    percussion: dict[str, Lane]
    bass: Tune
    chords: Tune
    lead: Tune
    textures: tuple[str, ...]
    kick_hz: tuple[float, float]
    room_s: float
    levels_db: dict[str, float] = field(default_factory=dict)
    fills: tuple[dict[str, str], ...] = ()
    roll: str = "snare"
    chop: float = 0.0  # how likely a bar of the groups' break is cut up and put together otherwise, 0…1
    drum_drive: float = 0.0  # saturation of the whole kit, 0…1
    drum_dull: int = 0  # times the kit goes through the binomial low-pass: an old sampler's top end
    mutate: float = 1.0  # how readily lanes outside groups vary, 0…1
    beat_duck: float = 0.35  # how far the texture gives way on every beat


def table() -> dict[str, Style]:
    """All styles by name."""
    return {name: import_module(f"{__name__}.{name}").STYLE for name in STYLE_BPM}
