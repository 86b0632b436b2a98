# SPDX-License-Identifier: GPL-3.0-or-later
"""One declaration: addresses, checks, slots."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import BadValue, UnknownAddress
from appliance.namespace import Kind, Type
from appliance.nodes import ENGINE_VALUES, NAMESPACE

NUMERIC = [a for a in NAMESPACE if a.slot >= 0]


def test_every_value_has_a_slot_of_its_own_and_the_engines_come_first() -> None:
    slots = [a.slot for a in NUMERIC]
    assert len(set(slots)) == len(slots) == NAMESPACE.values.itemsize // 8
    engine = ENGINE_VALUES.itemsize // 8
    assert all((a.slot < engine) == (a.node.owner == "engine") for a in NUMERIC)


def test_defaults_are_valid_and_every_node_says_what_it_is() -> None:
    for address in NAMESPACE:
        assert address.node.doc, address
        if address.node.kind is Kind.VALUE:
            value = address.node.from_slot(float(NAMESPACE.defaults()[address.slot]))
            assert address.node.check(value, address.address) == value


def test_a_pad_without_bank_is_the_chosen_banks() -> None:
    assert NAMESPACE.find("/pad/3/gain", 2).address == "/bank/2/pad/3/gain"


@pytest.mark.parametrize(("wrong", "right"), [("/deck/1/rat", "/deck/1/rate"), ("/mixer/crosfader", "/mixer/crossfader"),
                                              ("/pad/1/triger", "/pad/1/trigger")])
def test_did_you_mean(wrong: str, right: str) -> None:
    with pytest.raises(UnknownAddress, match=f"did you mean {right}"):
        NAMESPACE.find(wrong)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "loud", None, [1], {"a": 1}, 99.0, -99.0])
def test_what_is_no_speed_is_refused(value: object) -> None:
    with pytest.raises(BadValue, match="/deck/1/rate"):
        NAMESPACE.find("/deck/1/rate").node.check(value, "/deck/1/rate")


@given(st.sampled_from(NUMERIC), st.floats(0, 1))
def test_a_controls_travel_and_back(address, unit: float) -> None:
    node = address.node
    value = node.from_unit(unit)
    assert node.check(value, address.address) == pytest.approx(value) if node.type is Type.FLOAT else True
    assert node.from_slot(node.to_slot(value)) == value
    if node.type is Type.FLOAT:
        assert node.to_unit(value) == pytest.approx(unit, abs=1e-6)


@given(st.sampled_from(NUMERIC), st.one_of(st.floats(), st.integers(), st.text(max_size=20), st.booleans(), st.none()))
def test_check_returns_a_valid_value_or_refuses(address, value: object) -> None:
    try:
        checked = address.node.check(value, address.address)
    except BadValue:
        return
    assert math.isfinite(address.node.to_slot(checked))
    assert address.node.minimum - 1e-9 <= address.node.to_slot(checked) <= address.node.maximum + 1e-9
