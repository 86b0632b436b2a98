# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules: what to add to what plays and what to take out, so that a section has its parts and none is in another's way.

Rules that hold always: what a hand has touched stays as it is; one pad plays on across the line, so it is never silent; no two
pads of one part, so never two basses; what has notes is in the key; the loudness moves by ``MOST_LU`` at most. Of what these
allow the best is taken: the parts that the section wants, at the energy that is wanted, with room in the spectrum, by few
changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from appliance.library.room import Sound, room, together

MOST_LU, MOST_LU_MOVING = 1.8, 1.2
"""At a line, as reckoned; heard it may be an LU more, as clips are not strangers to each other. The second where what plays
goes on to another section: that is louder or softer by itself."""
MOST_CHANGES = 2
"""So many pads start at a line at most, and so many stop."""
_ORDER = {
    "intro": ("drums", "texture", "chords", "percussion", "bass", "lead"),
    "build": ("drums", "bass", "percussion", "chords", "texture", "lead"),
    "drop": ("drums", "bass", "chords", "lead", "percussion", "texture"),
    "break": ("chords", "texture", "lead", "percussion", "bass", "drums"),
    "outro": ("drums", "chords", "texture", "percussion", "bass", "lead"),
}
"""The parts of a section, the most wanted first."""
_COUNT = {"intro": (2, 3), "build": (3, 5), "drop": (4, 6), "break": (2, 4), "outro": (2, 3)}
"""How many of them, at no energy and at full energy."""
_MISSING, _TOO_MUCH, _ENERGY, _CROWD, _CHANGE = 2.0, 1.0, 1.5, 0.6, 0.08


@dataclass(frozen=True, slots=True)
class Part:
    """A pad: what its clip sounds like, its energy 0…1, whether it goes with the key, plays, and may be touched (``free``)."""

    pad: str
    sound: Sound
    energy: float = 0.5
    in_key: bool = True
    plays: bool = False
    free: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """Pads that start and that stop on one line, and why."""

    add: tuple[Part, ...] = ()
    remove: tuple[Part, ...] = ()
    why: str = ""


def wanted_roles(section: str, energy: float) -> tuple[str, ...]:
    """The parts that a section has at this energy, the most wanted first."""
    low, high = _COUNT[section]
    return _ORDER[section][: round(low + (high - low) * energy)]


def plan(
    parts: Sequence[Part], section: str, energy: float, most_lu: float = MOST_LU, level: float | None = None
) -> Change:
    """The best change, perhaps none. The loudness moves by ``most_lu`` at most; where a hand has taken it away from ``level``
    (LUFS), back there at once."""
    playing = [part for part in parts if part.plays]
    wanted = wanted_roles(section, energy)
    able = _changes(parts, playing, most_lu, level)
    best = min(able, key=lambda change: _badness(_after(playing, change), change, wanted, energy))
    return Change(best.add, best.remove, _why(best, playing, wanted, section, energy))


def _changes(parts: Sequence[Part], playing: list[Part], most_lu: float, level: float | None) -> Iterator[Change]:
    """All that the rules allow, nothing at all first."""
    able = [part for part in parts if not part.plays and part.free and part.in_key]
    free = [part for part in playing if part.free]
    before = together(part.sound for part in playing)
    lowest, highest = sorted((before, before if level is None else level))
    yield Change()
    for removed in _some(free):
        if removed and len(removed) == len(playing):
            continue
        stays = [part for part in playing if part not in removed]
        roles = {part.sound.role for part in stays}
        offered = [part for part in able if part.sound.role not in roles]
        for added in _some(offered):
            if not (added or removed) or len({part.sound.role for part in added}) < len(added):
                continue
            after = together(part.sound for part in (*stays, *added))
            if not playing or lowest - most_lu <= after <= highest + most_lu:
                yield Change(added, removed)


def _some(parts: list[Part]) -> Iterator[tuple[Part, ...]]:
    for count in range(MOST_CHANGES + 1):
        yield from combinations(parts, count)


def _after(playing: list[Part], change: Change) -> list[Part]:
    return [part for part in playing if part not in change.remove] + list(change.add)


def _badness(after: list[Part], change: Change, wanted: tuple[str, ...], energy: float) -> float:
    if not after:
        return 100.0
    roles = {part.sound.role for part in after}
    bad = sum(_MISSING * (1.0 - 0.15 * place) for place, role in enumerate(wanted) if role not in roles)
    bad += _TOO_MUCH * sum(part.sound.role not in wanted for part in after)
    bad += _ENERGY * abs(sum(part.energy for part in after) / len(after) - energy)
    for part in after:
        bad += _CROWD * (1.0 - room(part.sound, [other.sound for other in after if other is not part])) / len(after)
    return bad + _CHANGE * (len(change.add) + len(change.remove))


def _why(change: Change, playing: list[Part], wanted: tuple[str, ...], section: str, energy: float) -> str:
    """For a person, in a line."""
    if not playing:
        return f"nothing plays: {section} begins" if change.add else "no pad is loaded that it may play"
    sounding = {part.sound.role for part in playing}
    said = [f"{section} wants {part.sound.role}" if part.sound.role not in sounding else
            f"{part.sound.role} nearer to energy {energy:.1f}" for part in change.add]
    gone = [part.sound.role for part in change.remove if part.sound.role not in {new.sound.role for new in change.add}]
    said += [f"{section} has no {role}" if role not in wanted else f"{role} makes room" for role in gone]
    return "; ".join(said) or f"{section} has what it wants"
