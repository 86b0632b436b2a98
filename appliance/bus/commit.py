# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the four state slots counts: one word ``epoch | slot | sequence``, moved on by compare-and-swap.

An engine copies the committed slot into the one of its own two that is free, advances it by a block and publishes it. The
swap fails when another engine has taken the epoch: then this one is fenced, and nothing that it did counts.
"""

from __future__ import annotations

import numpy as np

from appliance.bus import atomic, layout
from appliance.bus.lean import njit
from appliance.bus.memory import PrivateSegment, Segment

EPOCH_SHIFT = 48
SLOT_SHIFT = 40
SEQUENCE_MASK = (1 << SLOT_SHIFT) - 1


@njit(inline="always")
def pack(epoch: int, slot: int, sequence: int) -> int:
    return (epoch << EPOCH_SHIFT) | (slot << SLOT_SHIFT) | (sequence & SEQUENCE_MASK)


@njit(inline="always")
def epoch_of(word: int) -> int:
    return word >> EPOCH_SHIFT


@njit(inline="always")
def slot_of(word: int) -> int:
    return (word >> SLOT_SHIFT) & 0xFF


@njit(inline="always")
def sequence_of(word: int) -> int:
    return word & SEQUENCE_MASK


def commit_word(segment: Segment | PrivateSegment) -> int:
    return int(atomic.read(segment.address + layout.offset("commit")))


def slots(segment: Segment | PrivateSegment) -> np.ndarray:
    """The four slots (``layout.STATE``)."""
    return segment.view(layout.STATE, layout.SLOTS, layout.offset("slot"))


def committed(segment: Segment | PrivateSegment) -> np.ndarray:
    """The committed slot as a live view of shape (1,): it stands still for one block; copy what must not move."""
    place = (commit_word(segment) >> SLOT_SHIFT) & 0xFF
    return slots(segment)[place : place + 1]


def clips_in(state: np.ndarray | np.void) -> frozenset[int]:
    """Handles of the clips that decks, pads, the voice and what rings out of them refer to, in one state."""
    found: set[int] = set()
    for part in ("deck", "pad"):
        record = state[part]
        for clips in (record["clip"], record["main"]["clip"], record["tail"]["clip"]):
            found.update(np.unique(clips).tolist())
    speech = state["speech"]
    for clips in (speech["main"]["clip"], speech["tail"]["clip"]):
        found.update(np.unique(clips).tolist())
    return frozenset(found - {0})
