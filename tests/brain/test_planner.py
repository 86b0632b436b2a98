# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules by themselves: whatever lies on the pads, what is planned keeps them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.control.brain.arc import INTRO, OUTRO, energy_at, section_of
from appliance.control.brain.hands import Hands
from appliance.control.brain.planner import MOST_CHANGES, MOST_LU, Part, plan
from appliance.gen.conform import ROLE_LUFS
from appliance.library.room import PARTS, TYPICAL, Sound, most_missed, room, together
from appliance.nodes.brain import CURVES
from appliance.nodes.gen import SECTIONS


def part(number: int, role: str, **fields: object) -> Part:
    return Part(f"/bank/1/pad/{number}", Sound(role, ROLE_LUFS[role]), **fields)  # type: ignore[arg-type]


PADS = st.lists(st.tuples(st.sampled_from(PARTS), st.floats(0, 1), st.booleans(), st.booleans(), st.booleans()), max_size=12)


@settings(max_examples=150, deadline=None)
@given(PADS, st.sampled_from(SECTIONS), st.floats(0, 1))
def test_the_rules_hold_whatever_lies_on_the_pads(
    pads: list[tuple[str, float, bool, bool, bool]], section: str, energy: float
) -> None:
    parts = [part(number, role, energy=e, in_key=key, plays=plays, free=free)
             for number, (role, e, key, plays, free) in enumerate(pads, 1)]
    change = plan(parts, section, energy)
    before = [one for one in parts if one.plays]
    stays = [one for one in before if one not in change.remove]
    after = [*stays, *change.add]
    assert change.why
    assert all(one.free for one in (*change.add, *change.remove)), "what is in a hand stays as it is"
    assert all(one.in_key and not one.plays for one in change.add) and all(one.plays for one in change.remove)
    assert len(change.add) <= MOST_CHANGES and len(change.remove) <= MOST_CHANGES
    for one in change.add:
        assert [other.sound.role for other in after].count(one.sound.role) == 1, "no two of one part"
    if before:
        assert stays, "it is never silent"
        if change.add or change.remove:
            step = together(one.sound for one in after) - together(one.sound for one in before)
            assert abs(step) <= MOST_LU + 1e-9


def test_a_drop_has_a_bass_and_a_break_has_none() -> None:
    pads = [part(number, role, energy=0.7) for number, role in enumerate(("drums", "bass", "chords", "lead", "texture"), 1)]
    playing = {"/bank/1/pad/1"}
    for section, phrases in (("drop", 3), ("break", 5)):
        for _ in range(phrases):
            now = [Part(one.pad, one.sound, one.energy, plays=one.pad in playing) for one in pads]
            change = plan(now, section, 0.7)
            playing |= {one.pad for one in change.add}
            playing -= {one.pad for one in change.remove}
        roles = {one.sound.role for one in pads if one.pad in playing}
        if section == "drop":
            assert {"drums", "bass", "chords"} <= roles
        else:
            assert {"chords", "texture"} <= roles and "bass" not in roles, roles


def test_room_is_what_stands_clear_and_the_missing_part_comes_first() -> None:
    bass, other, hats = Sound("bass", -18), Sound("bass", -18), Sound("percussion", -18)
    assert room(bass, []) == 1 and room(bass, [other]) < 0.51 and room(hats, [bass]) > 0.7
    assert [one.role for one in most_missed([], [hats, bass, Sound("drums", -16)])] == ["drums", "bass", "percussion"]
    assert most_missed([bass], [other]) == []
    assert all(abs(sum(shares) - 1) < 0.02 for shares in TYPICAL.values()) and set(TYPICAL) == set(PARTS)


def test_a_set_begins_and_ends_and_its_sections_follow_each_other() -> None:
    sections = [section_of(phrase, 40) for phrase in range(40)]
    assert sections[:INTRO] == ["intro"] * INTRO and sections[-OUTRO:] == ["outro"] * OUTRO
    for one, following in zip(sections, sections[1:], strict=False):
        assert one == following or following in {"intro": ("build",), "build": ("drop", "outro"), "drop": ("break", "outro"),
                                                 "break": ("build", "outro"), "outro": ()}[one]
    for curve in CURVES:
        values = [energy_at(curve, place / 100, 0.8) for place in range(101)]
        assert min(values) > 0 and max(values) <= 0.8 + 1e-9 and max(values) > 0.79


def test_a_touch_right_before_the_line_holds_for_the_next_phrase() -> None:
    hands = Hands()
    hands.touch("/bank/1/pad/1", 3, 8)
    hands.touch("/bank/1/pad/2", 8, 8)
    hands.touch("/channel/5", 9, 8)
    assert hands.held == {"/bank/1/pad/1": 9, "/bank/1/pad/2": 17, "/channel/5": 17}
    hands.hand_back(9)
    assert set(hands.held) == {"/bank/1/pad/2", "/channel/5"}
