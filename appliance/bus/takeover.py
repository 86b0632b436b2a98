# SPDX-License-Identifier: GPL-3.0-or-later
"""Soft take-over: what a fader does that stands elsewhere than the value that it is bound to.

All places are shares 0…1 of the control's travel. A control has its value while the value stands where the control was last; so
nothing needs to be remembered but that, and whoever else moves the value takes it out of the hand.
"""

from __future__ import annotations

from appliance.bus.lean import njit

NEAR = 1.0 / 127.0
"""A step of a controller: nobody hears the difference, nor can a hand do better."""
NOTHING = -1.0
UNKNOWN = -1.0


@njit(inline="always")
def picked_up(share: float, last: float, current: float) -> float:
    """The new share of the value for a control that was at ``last`` (UNKNOWN: it has not moved yet) and is at ``share``.
    NOTHING until it has met the value, passed it, or is at the end of its travel beyond which the value stands."""
    if last >= 0.0 and (abs(last - current) <= NEAR or (last - current) * (share - current) < 0.0):
        return share
    if abs(share - current) <= NEAR or (current > 1.0 and share >= 1.0) or (current < 0.0 and share <= 0.0):
        return share
    return NOTHING


@njit(inline="always")
def scaled(share: float, last: float, current: float) -> float:
    """The same for scaled take-over: every move counts at once, as the same part of what is left of the value's range as of
    what is left of the control's travel; so both come to the end together. NOTHING for the first place that is heard."""
    if abs(share - current) <= NEAR or (last >= 0.0 and abs(last - current) <= NEAR):
        return share
    if last < 0.0:
        return NOTHING
    inside = min(max(current, 0.0), 1.0)
    if share > last:
        return inside + (share - last) * (1.0 - inside) / (1.0 - last)
    if share < last:
        return inside - (last - share) * inside / last
    return NOTHING
