# SPDX-License-Identifier: GPL-3.0-or-later
"""What a control is, by the bytes of one move of it.

A knob passes through the values between; it says the same one twice only at the ends of its travel. An endless encoder says
the same again and again, near the codes for one tick. A button goes to 0 and back. What trembles is none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from appliance.control.learn.streams import NOTE_OFF, Key, Said, Stream, sort
from appliance.control.mapping.controls import ticks
from appliance.control.mapping.profile import Encoding, Source

TREMBLE = 3
"""Values over which a worn knob trembles by itself."""
TRAVEL = 12
"""A knob that went over so many values of 128 was meant."""
TICKS = 3
"""An encoder that was turned so far was meant."""
REPEATS = 0.3
"""Share of values of an encoder that equal the one before, at least."""
SLOW = 4
"""Ticks in one message that a slow hand does not pass."""
PAIR_S = 0.006
"""The halves of a 14-bit value come so close together."""
FAST_PRESSES_S = 0.15
"""Nobody presses a button so often as an encoder ticks."""
JOG_RATE = 60
"""Messages a second: an encoder that ticks so densely is a wheel."""


class Form(StrEnum):
    """What it feels like in the hand."""

    BUTTON = "button"
    FADER = "fader"  # a knob too: it has a place
    ENCODER = "encoder"
    JOG = "jog"


@dataclass(frozen=True, slots=True)
class Learned:
    """A control: ``surface`` as a profile has it; ``keys`` all that it sends. ``released``: a button told its release;
    ``turned``: ticks of the longest turn in one direction; ``doubt``: what was assumed, in words; ``touch``: of a wheel."""

    form: Form
    surface: dict[str, Any]
    keys: frozenset[Key]
    first_s: float
    last_s: float
    weight: float
    released: bool = True
    turned: int = 0
    doubt: str = ""
    ask: str = ""
    touch: Key | None = None


def recognise(messages: Iterable[Said], usual: Encoding | None = None) -> Learned | None:
    """The control that was moved; None when nothing was, or not enough to tell. With ``ask`` set it is a guess, and more
    movement makes it sure. ``usual``: how the device's other encoders count, for where that decides."""
    streams = sort(messages)
    found = [one for one in (*_pairs(streams), *(_one(stream, usual) for stream in streams.values())) if one is not None]
    best = max(found, key=lambda one: one.weight, default=None)
    if best is None or (best.form is not Form.JOG and best.form is not Form.ENCODER):
        return best
    return _with_touch(best, streams)


def _one(stream: Stream, usual: Encoding | None) -> Learned | None:
    match stream.key.source:
        case Source.NOTE:
            return _note(stream)
        case Source.CC:
            return _controller(stream, usual)
        case Source.PROGRAM:
            return _made(stream, Form.BUTTON, 0.9, released=False)
        case Source.PRESSURE | Source.POLY:
            return _place(stream, 1, 0.0)  # of a pad that was hit: the hit counts
        case _:
            return _place(stream, 128, 2.5)


def _made(stream: Stream, form: Form, weight: float, *, surface: dict[str, Any] | None = None, **more: Any) -> Learned:
    key = stream.key
    own: dict[str, Any] = {key.source.value: True if key.number < 0 else key.number, **(surface or {})}
    if key.channel != 1:
        own["channel"] = key.channel
    return Learned(form, own, frozenset({key}), stream.times[0], stream.times[-1], weight, **more)


def _note(stream: Stream) -> Learned:
    presses = sum(value != NOTE_OFF for value in stream.values)
    released = stream.values[-1] == NOTE_OFF and presses > 0
    return _made(stream, Form.BUTTON, 1.0 + min(presses, 9) / 10, released=released)


def _place(stream: Stream, unit: int, weight: float) -> Learned | None:
    """Something that has a place; ``unit``: numbers to one of 128."""
    travel = (max(stream.values) - min(stream.values)) / unit
    if travel < TRAVEL or len(stream.values) < 3:
        return None
    return _made(stream, Form.FADER, weight + travel / 128)


# -- controllers

def _controller(stream: Stream, usual: Encoding | None) -> Learned | None:
    values = stream.values
    if (button := _button(stream)) is not None:
        return button
    if (encoder := _encoder(stream, usual)) is not None:
        return encoder
    if len(values) < 3 or max(values) - min(values) <= TREMBLE:
        return None
    return _place(stream, 1, 2.0)


def _button(stream: Stream) -> Learned | None:
    """Every other value is 0; or it has said one value, without a release."""
    values = stream.values
    rest = [value for value in values if value]
    if not rest:
        return _made(stream, Form.BUTTON, 0.9, released=False) if len(values) == 1 else None
    if len(rest) == len(values):
        alone = set(values) == {127} and (len(values) < 3 or _pace(stream) > FAST_PRESSES_S)
        return _made(stream, Form.BUTTON, 0.9, released=False) if alone else None
    alternates = all(bool(a) != bool(b) for a, b in zip(values, values[1:], strict=False))
    if not alternates or (len(values) > 2 and max(rest) <= TREMBLE) or (len(values) > 4 and max(rest) < 2 * TREMBLE):
        return None
    meant = 1.0 if max(rest) > TREMBLE else 0.5
    return _made(stream, Form.BUTTON, meant + min(len(rest), 9) / 10, released=values[-1] == 0)


def _pace(stream: Stream) -> float:
    """Seconds between messages."""
    return (stream.times[-1] - stream.times[0]) / max(len(stream.times) - 1, 1)


_CODES = {
    Encoding.TWOS: (*range(1, 41), *range(88, 128)),
    Encoding.OFFSET: (*range(24, 64), *range(65, 105)),
    Encoding.SIGN: (*range(1, 41), *range(65, 105)),
}


def _encoder(stream: Stream, usual: Encoding | None) -> Learned | None:
    fitting = [encoding for encoding in Encoding if _counts(stream.values, encoding)]
    if not fitting:
        return None
    encoding = usual if usual is not None and usual in fitting else fitting[0]
    turns = [ticks(encoding, value) for value in stream.values]
    if sum(map(abs, turns)) < TICKS or len(turns) < TICKS:
        return None
    ask = doubt = ""
    possible = [e.value for e in Encoding if all(value in _CODES[e] for value in stream.values)]
    if len(possible) > 1 and usual not in fitting:
        ask = "turn it the other way, too"
        doubt = f"turned one way only: it could also count as {possible[1]}"
    wheel = len(turns) >= JOG_RATE / 2 and _densest(stream.times) >= JOG_RATE
    form = Form.JOG if wheel else Form.ENCODER
    weight = 2.0 + min(sum(map(abs, turns)) / 20, 1.0)
    return _made(stream, form, weight, surface={"encoder": encoding.value}, turned=_longest(turns), ask=ask, doubt=doubt)


def _counts(values: Sequence[int], encoding: Encoding) -> bool:
    """Whether these are ticks in this encoding, and not places of a knob."""
    if any(value not in _CODES[encoding] for value in values):
        return False
    turns = [ticks(encoding, value) for value in values]
    pairs = list(zip(values, values[1:], strict=False))
    slow = sum(abs(turn) <= SLOW for turn in turns) / len(turns)
    repeats = sum(a == b for a, b in pairs) / max(len(pairs), 1)
    if repeats >= REPEATS and slow >= 0.4 and not _at_an_end(values):
        return True
    turned_round = sum(_sign(ticks(encoding, a)) != _sign(ticks(encoding, b)) and abs(a - b) > 48 for a, b in pairs)
    if encoding is not Encoding.OFFSET and turned_round and slow >= 0.3:
        return True
    # accelerated, hardly a value twice: but the way begins and ends with single ticks, with leaps between that no knob makes
    soft = abs(turns[0]) <= 2 and abs(turns[-1]) <= 2 and len(values) >= 6
    return soft and repeats >= REPEATS / 3 and slow >= 0.25 and not _at_an_end(values) and not _ramp(values)


def _at_an_end(values: Sequence[int]) -> bool:
    """A knob at its stop: it came there over other values, and only there it says the same again."""
    doubles = [a for a, b in zip(values, values[1:], strict=False) if a == b]
    rest = [value for value in values if value not in doubles]
    return bool(doubles) and set(doubles) <= {0, 127} and len(set(values)) > 4 and _ramp(rest)


def _ramp(values: Sequence[int]) -> bool:
    """All in one direction, each another one: what a knob does."""
    steps = [b - a for a, b in zip(values, values[1:], strict=False)]
    return bool(steps) and (all(step > 0 for step in steps) or all(step < 0 for step in steps))


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _longest(turns: Sequence[int]) -> int:
    """Ticks of the longest way in one direction."""
    best = run = 0
    for turn in turns:
        run = run + turn if run * turn > 0 else turn
        best = max(best, abs(run))
    return best


def _densest(times: Sequence[float]) -> float:
    """Messages a second in the busiest half second."""
    start = most = 0
    for end, time_s in enumerate(times):
        while time_s - times[start] > 0.5:
            start += 1
        most = max(most, end - start + 1)
    return most / 0.5


# -- what comes in several messages

def _pairs(streams: dict[Key, Stream]) -> list[Learned]:
    """Controllers n and n + 32 that always come together are the halves of one."""
    found: list[Learned] = []
    for key, coarse in list(streams.items()):
        fine = streams.get(key._replace(number=key.number + 32))
        if key.source is not Source.CC or key.number > 31 or fine is None:
            continue
        first = _fine_first(coarse, fine)
        if first is None:
            continue
        travel = _travel(coarse, fine) / 128
        if travel < TRAVEL / 4:
            continue
        own: dict[str, Any] = {"cc14": key.number}
        if first:
            own["fine_first"] = True
        if key.channel != 1:
            own["channel"] = key.channel
        first_s, last_s = min(coarse.times[0], fine.times[0]), max(coarse.times[-1], fine.times[-1])
        found.append(Learned(Form.FADER, own, frozenset({key, fine.key}), first_s, last_s, 3.0 + travel / 128))
    return found


def _travel(coarse: Stream, fine: Stream) -> int:
    """Of the whole value of 14 bits."""
    halves = [(place, value, True) for place, value in zip(coarse.places, coarse.values, strict=True)]
    halves += [(place, value, False) for place, value in zip(fine.places, fine.values, strict=True)]
    upper, lower = coarse.values[0], fine.values[0]
    whole: list[int] = []
    for _, value, is_coarse in sorted(halves):
        upper, lower = (value, lower) if is_coarse else (upper, value)
        whole.append(upper << 7 | lower)
    return max(whole) - min(whole)


def _fine_first(coarse: Stream, fine: Stream) -> bool | None:
    """Whether the fine half comes first; None when the two have nothing to do with each other."""
    halves = sorted([(place, time_s, True) for place, time_s in zip(coarse.places, coarse.times, strict=True)]
                    + [(place, time_s, False) for place, time_s in zip(fine.places, fine.times, strict=True)])
    after = before = 0
    alone = 0
    for at, (_, time_s, is_coarse) in enumerate(halves):
        if not is_coarse:
            continue
        following = halves[at + 1][1] - time_s if at + 1 < len(halves) and not halves[at + 1][2] else None
        leading = time_s - halves[at - 1][1] if at and not halves[at - 1][2] else None
        near = [gap for gap in (following, leading) if gap is not None and gap <= PAIR_S]
        if not near:
            alone += 1
        elif following is not None and (leading is None or following < leading):
            after += 1
        elif leading is not None and (following is None or leading < following):
            before += 1
    if alone > len(coarse.values) * 0.3 or len(coarse.values) + len(fine.values) < 4:
        return None
    if after == before:  # all at once: the order tells
        return not halves[0][2] and halves[-1][2]
    return before > after


def _with_touch(wheel: Learned, streams: dict[Key, Stream]) -> Learned:
    """A note that is down while the wheel turns is the hand on it."""
    for stream in streams.values():
        if stream.key.source is not Source.NOTE or stream.values[0] == NOTE_OFF or stream.times[0] > wheel.first_s + 0.05:
            continue
        up = next((t for t, value in zip(stream.times, stream.values, strict=True) if value == NOTE_OFF), None)
        if up is None or up > (wheel.first_s + wheel.last_s) / 2:
            last_s = max(wheel.last_s, up or 0.0)
            return replace(wheel, form=Form.JOG, keys=wheel.keys | {stream.key}, last_s=last_s, touch=stream.key)
    return wheel
