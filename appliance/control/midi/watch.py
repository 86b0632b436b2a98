# SPDX-License-Identifier: GPL-3.0-or-later
"""Who plays what: every message of every device with the control that sent it, the line of the profile that counted, and what
came of it. Costs nothing while nobody listens: then the engine tells only what control has to do anyway.

What control does itself is asked of it; what the engine does is told by the engine, in the events that follow the message.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from appliance.bus.binding import BindingFlag, BindingKind
from appliance.bus.events import Event, Kind
from appliance.bus.takeover import NOTHING, UNKNOWN, picked_up, scaled
from appliance.control.desk import Desk
from appliance.control.learn.propose import Proposer
from appliance.control.learn.where import Source, Sources
from appliance.control.mapping.controls import Touch
from appliance.control.mapping.planes import Entry
from appliance.control.mapping.profile import Mode, Takeover
from appliance.control.mapping.rules import Action, Rule
from appliance.control.mapping.selectors import Gesture
from appliance.control.midi.hand import Hand
from appliance.control.midi.router import place_of
from appliance.errors import ApplianceError
from appliance.namespace import Kind as NodeKind
from appliance.namespace import Type

log = logging.getLogger(__name__)

_BY_MIDI = 1


@dataclass(slots=True)
class Result:
    """What came of it at one address. ``state``: done, waits (for take-over), refused, nothing (a release, a condition)."""

    address: str
    value: Any = None
    state: str = "done"
    why: str = ""


@dataclass(slots=True)
class Line:
    """One message. ``at_s``: when, on the device's own clock; ``line`` of ``file``: the binding that counted; ``proposal``:
    what a profile could say of it that says nothing."""

    device: str
    at_s: float
    data: tuple[int, int, int]
    profile: str = ""
    file: str = ""
    line: int = 0
    control: str = ""
    place: float | None = None
    binding: str = ""
    results: list[Result] = field(default_factory=list)
    note: str = ""
    proposal: str = ""

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"data": " ".join(f"{byte:02X}" for byte in self.data), "at_s": round(self.at_s, 4)}


Listener = Callable[[Line], None]


@dataclass(slots=True)
class _Pending:
    """A message that the engine has obeyed; what it says of it follows."""

    line: Line
    frame: int
    rule: Rule | None
    entry: Entry
    touch: Touch | None


class Watch:
    """Lives on control's loop. ``switched(on)`` is called when somebody begins to listen, and when nobody does any more."""

    def __init__(self, desk: Desk, sources: Sources, switched: Callable[[bool], None]) -> None:
        self._desk = desk
        self._sources = sources
        self._switched = switched
        self._listeners: list[Listener] = []
        self._pending: _Pending | None = None
        self._current: Line | None = None
        self._proposer = Proposer()

    @property
    def open(self) -> bool:
        return bool(self._listeners)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell ``listener`` of every message from now on; returns what ends it."""
        self._listeners.append(listener)
        if len(self._listeners) == 1:
            self._switched(True)

        def leave() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)
                if not self._listeners:
                    self._switched(False)

        return leave

    # -- a message

    @contextlib.contextmanager
    def message(self, device: str, hand: Hand, data: tuple[int, int, int], at_s: float, frame: int = -1) -> Iterator[None]:
        """Round what the hand does with it. ``frame``: the engine's, where the engine has heard it first."""
        if not self._listeners:
            yield
            return
        self.flush()
        source = self._sources.of(device, hand.compiled)
        line = Line(device, at_s, data, source.profile, source.file)
        touch = source.touch(*data)
        rule = hand._rule(touch.control, Gesture.PRESS) if touch else None
        entry = _entry(hand, *data)
        before = _values(self._desk, rule)
        layers = dict(hand.layers)
        hand.observer = lambda of, by: self._done_by_hand(source, hand, of, by)
        self._current, last_said = line, self._last_said()
        try:
            yield
        finally:
            self._current = None
        if touch is not None:
            line.control, line.place = source.name(touch.control), round(touch.value, 4)
        changed = [f"layer {name} = {hand.layers[name]}" for name in layers if hand.layers[name] != layers[name]]
        if changed:
            line.note = ", ".join(changed)
        said = self._last_said()
        if said is not last_said and line.results and said is not None:
            line.results[-1].state, line.results[-1].why = "refused", said["text"]
        if entry is None or entry.kind is BindingKind.HAND_OVER:
            if touch is None:
                self._unbound(line, source)
            elif not line.results and not line.note:
                line.note = _nothing(self._desk, hand, touch, rule)
                if line.note == UNBOUND:
                    line.proposal = f"{line.control}: /…"
            self._tell(line)
            return
        if entry.kind in (BindingKind.LAYER, BindingKind.IGNORE) and not line.results:
            line.note = line.note or "released"
            self._tell(line)
            return
        source.explain(line, rule, touch)
        self._pending = _Pending(line, frame, rule, entry, touch)
        if frame < 0:
            self._compare(before)
        else:
            asyncio.get_running_loop().call_soon(self.flush)

    def _unbound(self, line: Line, source: Source) -> None:
        if source.is_part(*line.data[:2]):
            line.note = "part of a value"
            return
        line.note = "not in the profile" if line.profile else "no profile"
        line.proposal = self._proposer.take(line.device, line.at_s, line.data)

    def _last_said(self) -> Any:
        return self._desk._said[-1] if self._desk._said else None

    # -- what the engine did

    def event(self, event: Event) -> None:
        """What the engine tells of a message: it comes right after it."""
        pending = self._pending
        if pending is None or event.source != _BY_MIDI or event.frame != pending.frame:
            return
        address = _address(pending.rule)
        match event.kind:
            case Kind.VALUE:
                node = self._desk.box.values.namespace.by_slot[event.index]
                pending.line.results.append(Result(address or node.address, node.node.from_slot(event.a)))
            case Kind.COMMAND:
                pending.line.results.append(Result(address, _amount(self._desk, address, event.a)))
            case Kind.REFUSED:
                why = self._desk._reason(self._desk.find(address), int(event.a)) if address else "the engine refused it"
                pending.line.results.append(Result(address, None, "refused", why))
            case _:
                pass

    def _compare(self, before: dict[str, Any]) -> None:
        """Of a device that the engine does not hear: the values tell."""
        pending = self._pending
        if pending is None:
            return
        for address, value in _values(self._desk, pending.rule).items():
            if value != before.get(address) or pending.entry.kind is BindingKind.COMMAND:
                pending.line.results.append(Result(address, value))
        self.flush()

    def flush(self) -> None:
        """Tell of the message that waited for the engine's word."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        line, entry = pending.line, pending.entry
        if not line.results:
            pressed = line.data[0] & 0xF0 != 0x80 and line.data[2] > 0
            if entry.flags & (BindingFlag.PICKUP | BindingFlag.SCALE) and pending.touch and pending.rule:
                action = pending.rule.actions[0]
                line.results.append(self._waiting(action, pending.touch.value))
            elif not pressed:
                line.note = "released"
        self._tell(line)

    # -- what control does

    def _done_by_hand(self, source: Source, hand: Hand, rule: Rule | None, touch: Touch) -> None:
        """Just before a hand does what a rule says: for a message that is being taken, or later (a key held)."""
        if not self._listeners:
            return
        line = self._current
        later = line is None
        if line is None:
            data = touch.message[0], max(touch.message[1], 0), 0
            line = Line(source.device, 0.0, data, source.profile, source.file, control=source.name(touch.control))
        if rule is None:
            return
        source.explain(line, rule, touch)
        for action in rule.actions:
            line.results.append(self._expected(hand, action, touch))
        if later:
            line.note = f"{rule.gesture} {rule.after_s:g} s" if rule.gesture is Gesture.HELD else str(rule.gesture)
        asyncio.get_running_loop().call_soon(self._tell, line) if later else None

    def _expected(self, hand: Hand, action: Action, touch: Touch) -> Result:
        if action.midi:
            return Result("midi", " ".join("vv" if byte is None else f"{byte:02X}" for byte in action.midi))
        if action.mode is Mode.FOLLOW and action.takeover in (Takeover.PICKUP, Takeover.SCALE):
            try:
                found = self._desk.find(action.address)
                if found.node.type is Type.FLOAT and found.slot >= 0:
                    current = place_of(self._desk.get_now(found), action)
                    way = picked_up if action.takeover is Takeover.PICKUP else scaled
                    if way(touch.value, hand._last.get(touch.control, UNKNOWN), current) == NOTHING:
                        return self._waiting(action, touch.value)
            except ApplianceError:
                pass
        released = touch.value == 0.0 and action.mode not in (Mode.FOLLOW, Mode.HOLD, Mode.RELATIVE)
        return Result(action.address, None, "nothing" if released else "done", "released" if released else "")

    def _waiting(self, action: Action, share: float) -> Result:
        value = self._desk.get_now(action.address)
        current = place_of(value, action)
        way = "up" if current > share else "down"
        return Result(action.address, value, "waits",
                      f"take-over: the control stands at {share:.0%}, the value at {current:.0%}; move it {way} to there")

    # -- telling

    def _tell(self, line: Line) -> None:
        for result in line.results:
            if result.value is None and result.state == "done":
                with contextlib.suppress(ApplianceError):  # of an action, what is told is of some milliseconds ago
                    found = self._desk.find(result.address)
                    result.value = self._desk.get_now(found) if found.node.kind in (NodeKind.VALUE, NodeKind.TEXT) else None
        for listener in tuple(self._listeners):
            try:
                listener(line)
            except Exception:  # a listener's fault must not keep the message from the hand, nor from the others
                log.exception("a listener failed on a message of %s", line.device)


UNBOUND = "named in the surface, bound to nothing"


def _entry(hand: Hand, status: int, data1: int, data2: int) -> Entry | None:
    """The engine's entry for a message, in the plane that counted for it."""
    plane = hand.plane
    if status & 0xE0 == 0x80 and not (status & 0x10 and data2 > 0):
        plane = hand._note_planes.get((status & 15, data1), plane)
    return hand.compiled.planes[plane].get((status, data1))


def _values(desk: Desk, rule: Rule | None) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for action in rule.actions if rule else ():
        with contextlib.suppress(ApplianceError):
            values[action.address] = desk.get_now(action.address) if action.address else None
    return values


def _address(rule: Rule | None) -> str:
    return rule.actions[0].address if rule and rule.actions else ""


def _amount(desk: Desk, address: str, amount: float) -> Any:
    """What a command carried, for a person."""
    with contextlib.suppress(ApplianceError):
        node = desk.find(address).node
        if node.type is Type.NONE or amount < node.minimum:
            return None
        return node.from_slot(amount)
    return amount


def _nothing(desk: Desk, hand: Hand, touch: Touch, rule: Rule | None) -> str:
    """Why a control of the profile did nothing."""
    rules = [one for one in hand.compiled.rules.get(touch.control, ()) if one.gesture is Gesture.PRESS]
    if rule is not None or touch.value == 0.0:
        return "released" if touch.value == 0.0 else ""
    if not hand.compiled.rules.get(touch.control) and touch.control not in hand.compiled.layer_of:
        return UNBOUND
    in_layers = [one for one in rules if all(hand.layers[name] == value for name, value in one.layers)]
    if not in_layers:
        on = ", ".join(f"{name} {value}" for name, value in hand.layers.items())
        return f"not bound in the layers that are on ({on})" if rules else "bound to a gesture (held, double)"
    for address, wanted in in_layers[0].when:
        with contextlib.suppress(ApplianceError):
            now = desk.get_now(address)
            if now != wanted:
                return f"condition not true: {address} is {_word(now)}, the binding wants {_word(wanted)}"
    return "its condition is not true"


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
