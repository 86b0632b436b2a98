# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place through which everything is read and changed: hub, OSC, HTTP, MIDI and sessions all work at this desk.

Everything here runs on control's event loop; other threads come in by ``loop.call_soon_threadsafe``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from appliance.bus.box import Box
from appliance.bus.commands import Code
from appliance.bus.events import Event, Refusal
from appliance.bus.events import Kind as EventKind
from appliance.bus.pattern import compile_pattern, is_pattern
from appliance.control.announce import Announcer, Listener, Wants, is_continuous, pad_aliases
from appliance.control.texts import Texts, template_of
from appliance.errors import ApplianceError, BadValue, NotAllowed, Unavailable
from appliance.namespace import Address, Kind, Type
from appliance.nodes import NAMESPACE

if TYPE_CHECKING:
    from appliance.bus.hub import HubServer
    from appliance.control.osc.packet import Message as OscMessage

log = logging.getLogger(__name__)

CallHandler = Callable[[Address, list[Any]], Awaitable[Any]]

OUTCOME_WAIT_S = 0.3
MESSAGES = 50
_REASONS = {
    int(Refusal.EMPTY): "nothing is loaded there; load a file first",
    int(Refusal.NO_CLIP): "the clip is not in the engine's memory; load it again",
    int(Refusal.FULL): "the engine has too much waiting; try again",
    int(Refusal.NO_GRID): "the track's beats are not known; give them with grid/bpm",
    int(Refusal.TOO_SHORT): "the loop would have no length, or lie outside the track",
}

_ALIASES = tuple(pad_aliases())
_ALL = tuple(a.address for a in NAMESPACE) + _ALIASES


@lru_cache(maxsize=512)
def matching(pattern: str) -> tuple[str, ...]:
    """All addresses, ``/pad/N/…`` among them, that a pattern means; a plain prefix means all that stands below it."""
    if not is_pattern(pattern):
        exact = pattern.rstrip("/")
        if exact in NAMESPACE:
            return (exact,)
        return tuple(a for a in _ALL if a.startswith(exact + "/"))
    compiled = compile_pattern(pattern, deep=True)
    return tuple(a for a in _ALL if compiled.fullmatch(a))


class Desk:
    """Reads, changes and does by address. ``hub`` is set when the socket is served; ``frame`` 0 means at once.

    ``safe``: control has crashed again and again and does without what a person has added.
    """

    def __init__(self, box: Box, *, safe: bool = False) -> None:
        self.box = box
        self.safe = safe
        self.texts = Texts()
        self.announcer = Announcer(box)
        self.announcer.bank_changed = self._tell_pads
        self.hub: HubServer | None = None
        self._published: dict[str, Any] = {}
        self._said: deque[dict[str, Any]] = deque(maxlen=MESSAGES)
        self._handlers: dict[str, CallHandler] = {}
        self._served: set[str] = set()
        self._served_changed = asyncio.Event()
        self.touched: Callable[[Address, list[Any]], None] | None = None
        """Hears what a hand changes or does by OSC, HTTP or the hub, while somebody learns."""
        self._listeners: set[Callable[[dict[str, Any]], None]] = set()
        self._monitor: Callable[[Callable[[Any], None]], Callable[[], None]] | None = None
        self._leave_monitor: Callable[[], None] | None = None
        self._event_listeners: list[Callable[[Event], None]] = []
        self._hand_listeners: list[Callable[[Address], None]] = []
        self._fault_listeners: list[Callable[[str], None]] = []
        self.rested: Callable[[str], None] = lambda _address: None
        """A finger has stayed on a button that stands for this address; the voice sets it."""
        self.speak: Callable[[str], None] = lambda _text: None
        """Say a text in the headphones, as soon and as surely as a fault; the voice sets it. Digits that are to be said one by
        one stand apart."""
        self._events_lost = 0
        self._outcomes: dict[int, asyncio.Future[Event]] = {}
        self.osc_send: Callable[[bytes, tuple[str, int]], object] | None = None
        """Sends a datagram from the box's OSC port, while that is open."""
        self.osc_programs: Callable[[OscMessage, tuple[str, int]], bool] | None = None
        """Takes OSC that the namespace does not know, where a profile does; set while profiles are in force."""

    # -- reading

    def find(self, address: str | Address) -> Address:
        """What an address means now (``/pad/N`` by the chosen bank). Raises UnknownAddress."""
        return address if isinstance(address, Address) else self.box.values.find(address)

    async def get(self, address: str) -> Any:
        """The value of a readable address. Raises UnknownAddress, NotAllowed for a plain action."""
        return self.get_now(address)

    def get_now(self, address: str | Address) -> Any:
        found = self.find(address)
        found.require_readable()
        node = found.node
        if node.kind is Kind.VALUE:
            return self.box.values.get(found)
        if node.kind is Kind.TEXT:
            return self.texts.get(found)
        if node.reads:
            telemetry = self.box.telemetry
            value = node.from_slot(telemetry.field(telemetry.snapshot(), node.reads, found.index))
            return "missing" if node.reads == "pad.state" and value == "empty" and self._is_missing(found) else value
        return self._published.get(found.address)

    def _is_missing(self, found: Address) -> bool:
        """The session's file of this pad or deck is not there."""
        if found.group.record == "pad":
            return bool(self.announcer.missing[found.index])
        return found.group.record == "deck" and bool(self.get_now(f"/deck/{found.index + 1}/missing"))

    def say_missing(self, place: str, missing: bool) -> None:
        """Of a pad (``/bank/1/pad/3``) or deck: whether the session names a file for it that is not there."""
        found = NAMESPACE.find(f"{place}/load")
        if found.group.record == "pad":
            self.announcer.missing[found.index] = missing
        else:
            self.publish(f"{place}/missing", missing)

    def ls(self, pattern: str) -> list[dict[str, Any]]:
        """Descriptions of all addresses that match an OSC pattern or stand below a plain prefix."""
        return [self.describe(address) for address in matching(pattern)]

    def describe(self, address: str) -> dict[str, Any]:
        found = self.find(address)
        node = found.node
        default = node.default[found.index % len(node.default)] if isinstance(node.default, tuple) else node.default
        facts: dict[str, Any] = {
            "address": address, "kind": node.kind.value, "type": node.type.value, "doc": node.doc, "unit": node.unit,
            "choices": list(node.choices), "default": default, "scaling": node.scaling.value, "owner": node.owner,
            "readable": node.readable, "writable": node.writable, "momentary": node.momentary,
            "optional": node.optional, "session": node.session, "scope": node.scope.value,
        }
        if not node.there:
            facts["there"] = False
        if node.type in (Type.FLOAT, Type.INT):
            facts["range"] = [node.minimum, node.maximum]
        if node.readable:
            facts["value"] = self.get_now(found)
        return facts

    def current(self, pattern: str, *, private: bool = False) -> list[tuple[str, Any]]:
        """Readable addresses that match, with their values; states that nobody has published yet are left out, and so are
        private nodes unless they are asked for."""
        pairs = ((address, self.find(address)) for address in matching(pattern))
        readable = ((a, found) for a, found in pairs if found.node.readable and (private or not found.node.private))
        return [(address, value) for address, found in readable if (value := self.get_now(found)) is not None]

    # -- changing

    async def set(self, address: str | Address, value: Any) -> Any:
        """Check, take and announce a value; returns it as taken. Actions that are no switch cannot be set."""
        found = self.find(address)
        if not found.node.writable:
            raise _not_settable(found)
        self.by_hand(found, [value])
        return self.set_now(found, value)

    def set_now(self, address: str | Address, value: Any) -> Any:
        """The same without waiting, for OSC and MIDI; also does a COMMAND with ``value`` as its argument."""
        found = self.find(address)
        found.require_there()
        kind = found.node.kind
        if kind is Kind.VALUE:
            taken = self.box.values.set(found, value)
            self.announcer.announce(found, taken)
            return taken
        if kind is Kind.TEXT:
            return self.set_text(found, self.texts.check(found, value))
        if kind is Kind.COMMAND:
            self.do_now(found, [value])
            return value
        raise _not_settable(found)

    def set_text(self, address: Address, value: str) -> str:
        """Keep a text that needs no further check (a file's name, a session's) and announce it if it is new."""
        if self.texts.keep(address, value):
            self.announcer.announce(address, value)
        return value

    # -- doing

    async def do(self, address: str | Address, args: list[Any]) -> Any:
        """Do an action: COMMAND by the engine, CALL by its owner; VALUE and TEXT with one argument are set."""
        found = self.find(address)
        self.by_hand(found, args)
        if found.node.kind is Kind.CALL:
            return await self._call(found, args)
        if found.node.kind is Kind.COMMAND:
            return await self._outcome(found, self.send(found, args, 0))
        return self.do_now(found, args)

    def by_hand(self, found: Address, args: list[Any]) -> None:
        if self.touched is not None:
            self.touched(found, args)
        for listener in self._hand_listeners:
            listener(found)

    def on_hand(self, listener: Callable[[Address], None]) -> None:
        """``listener(address)`` for what is done or set by address, before it is; not for what the engine does by itself."""
        self._hand_listeners.append(listener)

    async def do_at(self, address: str | Address, args: list[Any], frame: int) -> None:
        """A COMMAND or a change of a VALUE at an engine frame."""
        self.do_now(address, args, frame)

    def do_now(self, address: str | Address, args: list[Any], frame: int = 0) -> Any:
        """COMMAND, VALUE or TEXT without waiting. With ``frame`` the engine does it at that frame (not for TEXT).

        An action without argument that comes with a number below 0.5 is a button let go: nothing happens.
        Raises BadValue for wrong arguments, Unavailable when the engine takes no commands.
        """
        found = self.find(address)
        found.require_there()
        node = found.node
        if node.kind in (Kind.VALUE, Kind.TEXT):
            if len(args) != 1:
                raise BadValue(f"{found.address} takes one value, not {len(args)}")
            if frame <= 0:
                return self.set_now(found, args[0])
            if node.kind is Kind.TEXT:
                raise NotAllowed(f"{found.address} is text and cannot be set at a frame")
            taken = node.check(args[0], found.address)
            self.box.commands.send(Code.SET, found.slot, node.to_slot(taken), frame=frame)
            return taken
        if node.kind is not Kind.COMMAND:
            what = "is read only" if node.kind is Kind.STATE else "cannot be timed; do it without a frame"
            raise NotAllowed(f"{found.address} {what}")
        self.send(found, args, frame)
        return None

    def send(self, found: Address, args: list[Any], frame: int) -> int | None:
        """Send a COMMAND; its number, or None when it was the release of a button."""
        argument = command_argument(found, args)
        if argument is None:
            return None
        code = NAMESPACE.command(found.group.record, found.node.name)
        return self.box.commands.send(code, found.index, argument, frame=max(frame, 0))

    async def _outcome(self, found: Address, number: int | None) -> None:
        """Wait until the engine has obeyed; raises NotAllowed when it refused. An engine that is away obeys later."""
        if number is None:
            return
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._outcomes[number] = future
        try:
            await asyncio.wait({future}, timeout=OUTCOME_WAIT_S)
        finally:
            self._outcomes.pop(number, None)
        if future.done() and future.result().kind == EventKind.REFUSED:
            raise NotAllowed(f"{found.address}: {self._reason(found, int(future.result().a))}", status=409)

    def _reason(self, found: Address, refusal: int) -> str:
        if refusal == Refusal.EMPTY and self._is_missing(found):
            file = self.get_now(f"{found.address.removesuffix('/' + found.node.name)}/file")
            return f"its file {file} is missing; bring it back, or load another one"
        return _REASONS.get(refusal, "the engine refused it")

    async def _call(self, found: Address, args: list[Any]) -> Any:
        if not args and not found.node.optional:
            raise BadValue(f"{found.address} needs an argument: {found.node.doc}")
        found.require_there()
        if found.node.owner != "control":
            return await self.call(found.address, args)
        handler = self._handler_of(found)
        if handler is None:
            raise Unavailable(f"{found.address} cannot be done right now: what does it has not started")
        return await handler(found, args)

    async def call(self, address: str, args: list[Any], timeout_s: float = 30.0) -> Any:
        """Ask another process by its served prefix. Raises Unavailable when it is not there."""
        if self.hub is None:
            raise Unavailable(f"{address}: the process that does this is not connected yet; try again in a moment")
        return await self.hub.call(address, args, timeout_s)

    def register(self, where: str, handler: CallHandler) -> None:
        """``async handler(Address, args)`` for CALL nodes of control: by address, template with families, or prefix."""
        self._handlers[where] = handler

    def _handler_of(self, found: Address) -> CallHandler | None:
        for name in (found.address, template_of(found)):
            if name in self._handlers:
                return self._handlers[name]
        prefixes = [p for p in self._handlers if found.address.startswith(p + "/")]
        return self._handlers[max(prefixes, key=len)] if prefixes else None

    # -- telling

    def subscribe(self, callback: Listener, wants: Wants | None = None, *, private: bool = False) -> Callable[[], None]:
        """``callback(address, value)`` on every announced change; returns what ends it.

        Pads of the chosen bank come twice, as ``/bank/B/pad/N/…`` and ``/pad/N/…``. Meters and positions come only
        where ``wants(address)`` is true; call :meth:`interest_changed` when its answers have changed. Private nodes are told
        only to who asks for them: what leaves this machine must not.
        """
        return self.announcer.subscribe(callback, wants, private=private)

    def interest_changed(self) -> None:
        self.announcer.interest_changed()

    def say(self, message: str, level: int = logging.WARNING) -> None:
        """Tell the person on stage: the log, ``/system/message``, and ``/system/messages`` for who comes later."""
        log.log(level, "%s", message)
        self.publish("/system/message", message)
        self._said.append({"at": round(time.time(), 3), "text": message})
        self.publish("/system/messages", list(self._said))
        if level >= logging.WARNING:
            for listener in self._fault_listeners:
                listener(message)

    def on_fault(self, listener: Callable[[str], None]) -> None:
        """``listener(message)`` for everything that is said of what goes wrong."""
        self._fault_listeners.append(listener)

    def publish(self, address: str, value: Any) -> None:
        """A state that no telemetry carries: keep it and announce it when it is another one."""
        found = self.find(address)
        if found.node.kind is not Kind.STATE or found.node.reads:
            raise NotAllowed(f"{found.address} is no state that a process can publish")
        if found.node.name.endswith("message") or self._published.get(found.address) != value:
            self._published[found.address] = value
            self.announcer.announce(found, value)

    def _tell_pads(self) -> None:
        """The chosen bank has changed: every ``/pad/N/…`` has another value now."""
        for alias in _ALIASES:
            found = self.find(alias)
            if found.node.readable and not is_continuous(found):
                self.announcer.tell_alias(alias, self.get_now(found))

    # -- what the hub tells of other processes

    def published(self, address: str, value: Any) -> None:
        try:
            self.publish(address, value)
        except ApplianceError as error:
            log.warning("hub: published %s: %s", address, error.message)

    def served(self, prefix: str, present: bool) -> None:
        (self._served.add if present else self._served.discard)(prefix)
        self._served_changed.set()
        self._served_changed = asyncio.Event()

    async def wait_served(self, prefix: str) -> None:
        """Until a process serves ``prefix``."""
        while prefix not in self._served:
            await self._served_changed.wait()

    def listen(self, told: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        """Every message of every device, with what came of it, for as long as somebody listens: also when devices have not
        started yet, or start again."""
        self._listeners.add(told)
        self._listen_on()

        def leave() -> None:
            self._listeners.discard(told)
            self._listen_on()

        return leave

    def monitored_by(self, monitor: Callable[[Callable[[Any], None]], Callable[[], None]] | None) -> None:
        """Devices have started, or ended: ``monitor(listener)`` begins to tell; what it returns ends that."""
        self._monitor, self._leave_monitor = monitor, None
        self._listen_on()

    def _listen_on(self) -> None:
        if self._listeners and self._leave_monitor is None and self._monitor is not None:
            self._leave_monitor = self._monitor(self._monitored)
        elif not self._listeners and self._leave_monitor is not None:
            self._leave_monitor()
            self._leave_monitor = None

    def _monitored(self, line: Any) -> None:
        plain = line.plain()
        for told in tuple(self._listeners):
            told(plain)

    # -- what the engine tells

    def on_event(self, listener: Callable[[Event], None]) -> None:
        """``listener(event)`` for everything on the engine's event ring, in order."""
        self._event_listeners.append(listener)

    def pump_events(self) -> int:
        """Hand on the engine's new events; returns how many."""
        events = self.box.events.read()
        if (lost := self.box.events.lost) != self._events_lost:
            self.say(f"{lost - self._events_lost} events of the engine were missed because control was held up; "
                     "lamps may lag, and a recording of events that runs now is not exact")
            self._events_lost = lost
        for event in events:
            if (future := self._outcomes.get(event.id)) and event.kind in (EventKind.COMMAND, EventKind.REFUSED):
                future.set_result(event)
            for listener in self._event_listeners:
                try:
                    listener(event)
                except Exception:  # one listener's fault must not keep the event from the others
                    log.exception("a listener failed on the engine's event %s", event)
        return len(events)


def _not_settable(address: Address) -> NotAllowed:
    what = "is read only" if address.node.kind is Kind.STATE else "is an action: do it, do not set it"
    return NotAllowed(f"{address} {what}")


def command_argument(address: Address, args: list[Any]) -> float | None:
    """The number that goes with a command; None when it is the release of a button. Raises BadValue."""
    node = address.node
    if len(args) > 1:
        raise BadValue(f"{address} takes {'no' if node.type is Type.NONE else 'one'} argument, not {len(args)}")
    if node.type is Type.NONE:
        released = args and isinstance(args[0], int | float) and args[0] < 0.5
        return None if released else 0.0
    if args:
        return node.to_slot(node.check(args[0], address.address))
    if not node.optional:
        raise BadValue(f"{address} needs an argument: {node.doc}")
    return -1.0 if node.type is Type.BOOL else node.to_slot(node.default)
