# SPDX-License-Identifier: GPL-3.0-or-later
"""What a learned control does with its target: the binding that a person would write."""

from __future__ import annotations

from typing import Any

from appliance.control.learn.recognise import Form, Learned
from appliance.errors import NotAllowed
from appliance.namespace import Address, Kind, Scaling, Type

COARSE_STEPS = 40
"""A value with fewer steps moves by one with each tick of an encoder."""
NOT_LEARNED = ("/learn/", "/device/", "/system/", "/session/", "/pair/")


def check_target(found: Address) -> None:
    """Raises :class:`NotAllowed` for what no control can do."""
    if found.node.kind is Kind.STATE:
        raise NotAllowed(f"{found} is read only: no control can change it")
    if found.address.startswith(NOT_LEARNED) and found.address not in ("/learn/hold", "/learn/undo", "/session/save"):
        raise NotAllowed(f"{found} is not learned by a control; bind it in the profile if you need it")


def binding_for(found: Address, text: str, learned: Learned, given: list[Any], now: Any) -> Any:
    """The address alone, or with settings. ``text``: the target as it shall stand in the file; ``given``: the arguments of the
    last time; ``now``: its value. Raises :class:`NotAllowed` when the control does not suit the target."""
    match learned.form:
        case Form.FADER:
            return _fader(found, text, learned)
        case Form.ENCODER | Form.JOG:
            return _encoder(found, text)
        case _:
            return _button(found, text, learned, given, now)


def _fader(found: Address, text: str, learned: Learned) -> Any:
    node = found.node
    if node.kind is Kind.VALUE:
        both_ways = node.type is Type.FLOAT and node.minimum == -node.maximum and node.scaling is Scaling.LINEAR
        return {"to": text, "curve": "centre"} if both_ways and "cc" in learned.surface else text
    if node.kind is Kind.COMMAND and node.type is Type.FLOAT and node.minimum == 0 and not node.momentary:
        return text
    raise NotAllowed(f"{found} is no value that a knob or fader could follow; move a button instead")


def _encoder(found: Address, text: str) -> Any:
    node = found.node
    if node.kind is not Kind.VALUE and (node.kind is Kind.TEXT or node.type is not Type.FLOAT):
        raise NotAllowed(f"{found} cannot be turned by an endless encoder; press a button instead")
    if node.kind is Kind.VALUE and node.type is not Type.FLOAT:
        steps = len(node.choices) - 1 if node.type is Type.CHOICE else int(node.maximum - node.minimum)
        if 0 < steps <= COARSE_STEPS:
            return {"to": text, "step": round(1 / steps, 4)}
    return text


def _button(found: Address, text: str, learned: Learned, given: list[Any], now: Any) -> Any:
    node = found.node
    note = "note" in learned.surface
    switches_itself = not learned.released and "program" not in learned.surface
    if node.kind is Kind.VALUE and node.type is Type.BOOL:
        if switches_itself:
            return {"to": text, "mode": "hold"} if note else text
        return text if note or node.momentary or "program" in learned.surface else {"to": text, "mode": "toggle"}
    if node.kind in (Kind.VALUE, Kind.TEXT):
        return {"to": text, "value": round(now, 4) if isinstance(now, float) else now}
    if node.kind is Kind.COMMAND and node.type is Type.BOOL and not node.momentary and switches_itself:
        return {"to": text, "mode": "hold"}
    if node.type is Type.NONE or (node.kind is Kind.COMMAND and (node.momentary or node.type is Type.BOOL)):
        return text
    if given:
        return {"to": text, "value": given[0] if len(given) == 1 else given}
    if node.optional:
        return text
    raise NotAllowed(f"{found} needs an argument: do it once with it while learning (OSC, HTTP, `appliance send`), then press "
                     f"the button. {node.doc}")
