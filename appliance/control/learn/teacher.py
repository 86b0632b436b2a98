# SPDX-License-Identifier: GPL-3.0-or-later
"""Learning, as a conversation: choose a target, move a control, and it is in the profile and in force.

The target is set by address, or it is what a hand changes: on a tablet, by another program, with another control. The control
is what moves then. All of it has addresses (``/learn/…``), so a controller, a tablet and a program can lead it alike.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.control.announce import alias_of
from appliance.control.desk import Desk
from appliance.control.learn.binding import binding_for, check_target
from appliance.control.learn.history import History
from appliance.control.learn.naming import device_name, file_name
from appliance.control.learn.recognise import Form, Learned, recognise
from appliance.control.learn.streams import Key, Said, as_told, key_of
from appliance.control.mapping.check import FILE_BYTES
from appliance.control.mapping.compile import Compiled
from appliance.control.mapping.library import SHIPPED
from appliance.control.mapping.profile import Encoding
from appliance.errors import ApplianceError, BadFile, NotAllowed
from appliance.namespace import Address, Kind

if TYPE_CHECKING:
    from appliance.control.midi.devices import Devices
    from appliance.control.midi.watch import Line

log = logging.getLogger(__name__)

LOOK_S = 0.05
MOVE_ENDS_S = 0.35
"""So long after its last message a knob stands still."""
PRESS_ENDS_S = 0.25
RELEASE_S = 0.7
"""A button that has told no release by then switches by itself."""
ASK_S = 4.0
"""So long a question waits for an answer; then what is likelier is taken."""
PATIENCE_S = {"target": 600.0, "control": 60.0}
"""So long it waits for a target, and for a control: what is forgotten must not change a binding in the middle of a set."""
MESSAGES = 6000
WINDOW_S = 20.0


class Learn:
    """Lives on control's loop. ``devices`` tells who plays and takes in what was written."""

    def __init__(self, desk: Desk, devices: Devices) -> None:
        self._desk = desk
        self._devices = devices
        self._own = desk.box.data / "mappings"
        self._history = History(self._own)
        self._leave: list[Callable[[], None]] = []
        self._unsubscribe: Callable[[], None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._on = False  # until stop; else for one control
        self._target = ""
        self._given: list[Any] = []
        self._excluded: set[tuple[str, Key]] = set()
        self._heard: dict[str, deque[Said]] = {}
        self._came_s: dict[tuple[str, Key], float] = {}
        self._busy = False
        self._asked = ""
        self._since_s = 0.0

    # -- addresses

    def start(self) -> None:
        desk = self._desk
        for name, handler in (("start", self._start), ("stop", self._stop), ("cancel", self._cancel), ("save", self._save),
                              ("undo", self._undo)):
            desk.register(f"/learn/{name}", handler)
        desk.texts.guards["/learn/target"] = self._check_target
        self._unsubscribe = desk.subscribe(self._changed)
        desk.set_now("/learn/hold", False)
        desk.set_now("/learn/target", "")
        self._show("off", "not learning; set /learn/target, or hold /learn/hold and move what shall be learned")

    def end(self) -> None:
        self._close()
        self._desk.texts.guards.pop("/learn/target", None)
        if self._unsubscribe:
            self._unsubscribe()

    def _check_target(self, address: Address, value: str) -> str:
        if value:
            check_target(self._desk.find(value))
        return value

    def _changed(self, address: str, value: Any) -> None:
        """The desk tells of a change."""
        if address == "/learn/target" and value != self._target:
            self._aim(str(value), [])
        elif address == "/learn/hold":
            if value:
                self._open(on=True)
            elif self._leave and self._on:
                self._release()

    async def _start(self, address: Address, args: list[Any]) -> Any:
        self._open(on=True)
        if args:
            self._desk.set_now("/learn/target", args[0])
        return self._desk.get_now("/learn/status")

    async def _stop(self, address: Address, args: list[Any]) -> Any:
        self._close()
        self._show("off", "learning has ended; what was learned stays, /learn/undo takes back the last")
        return None

    async def _cancel(self, address: Address, args: list[Any]) -> Any:
        self._close()
        self._show("off", "cancelled: nothing was learned")
        return None

    async def _save(self, address: Address, args: list[Any]) -> Any:
        if not self._target:
            raise NotAllowed("there is no target yet: set /learn/target, then move the control", status=409)
        if args and isinstance(args[0], str):
            self._desk.set_now("/learn/name", args[0])
        found = self._best()
        if found is None:
            raise NotAllowed("no control was heard yet: move it over a good part of its way", status=409)
        return await self._take(*found)

    async def _undo(self, address: Address, args: list[Any]) -> Any:
        profile = await asyncio.to_thread(self._history.undo)
        await self._devices.rescan()
        self._show("off" if not self._leave else self._state, f"taken back: {profile.name} is as it was before")
        return str(profile)

    # -- beginning and ending

    @property
    def _state(self) -> str:
        return "off" if not self._leave else "control" if self._target else "target"

    def _open(self, *, on: bool) -> None:
        self._on = self._on or on
        if not self._leave:
            self._leave = [self._devices.watch.listen(self._line)]
            self._desk.touched = self._touched
            self._task = asyncio.create_task(self._look())
            self._heard.clear()
            self._excluded.clear()
        if not self._target:
            self._show("target", "learning: now change what shall be learned, on any surface, or set /learn/target")

    def _close(self) -> None:
        for leave in self._leave:
            leave()
        self._leave = []
        self._desk.touched = None
        self._on = False
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._task = None
        self._clear_target()

    def _clear_target(self) -> None:
        self._target, self._given, self._asked = "", [], ""
        self._heard.clear()
        if self._desk.get_now("/learn/target"):
            self._desk.set_now("/learn/target", "")

    def _release(self) -> None:
        """The chord is let go: what was moved until now counts; without anything it was enough."""
        if self._target and self._best() is not None:
            self._on = False  # the move is taken when it ends, and that is the last one
            return
        self._close()
        if self._desk.get_now("/learn/state") != "off":
            self._show("off", self._last_words())

    def _last_words(self) -> str:
        last = self._desk.get_now("/learn/last")
        return f"learning has ended; last: {last['control']} is {last['address']}" if last else "learning has ended"

    def _aim(self, target: str, given: list[Any]) -> None:
        """This is to be learned."""
        if not target:
            if self._target:
                self._target = ""
                if self._on:
                    self._open(on=True)
                else:
                    self._close()
                    self._show("off", "not learning")
            return
        self._target, self._given, self._asked = target, given, ""
        self._heard.clear()
        self._open(on=False)
        self._show("control", f"{target}: now move the control that shall do it")

    # -- what hands do

    def _touched(self, found: Address, args: list[Any]) -> None:
        """By OSC, HTTP or the hub."""
        self._may_aim(found, args, set())

    def _may_aim(self, found: Address, args: list[Any], by: set[tuple[str, Key]]) -> None:
        if self._target and self._any_heard():
            return  # the control is moving already
        try:
            check_target(found)
        except ApplianceError:
            return
        if found.address.startswith("/learn/") or (found.node.kind is Kind.CALL and found.address.endswith("/save")):
            return
        text = alias_of(found.address, self._desk.box.values.bank) or found.address
        self._excluded = by
        if text == self._target:
            self._given = args or self._given
            return
        self._given = args
        self._target = text
        self._desk.set_now("/learn/target", text)  # what it announces is known already
        self._aim(text, args)

    def _any_heard(self) -> bool:
        return self._best() is not None

    def _line(self, line: Line) -> None:
        """A message of a device, with what came of it."""
        key = key_of(*line.data[:2])
        if key is None or self._busy or not self._meant(line.device):
            return
        if not self._target:
            for result in line.results:
                if result.state == "done" and result.address.startswith("/"):
                    found = self._desk.find(result.address)
                    self._may_aim(found, [result.value] if found.node.kind is Kind.COMMAND and result.value is not None else [],
                                  {(line.device, key)})
            return
        if (line.device, key) in self._excluded or self._is_for_learning(line.device, key):
            return
        heard = self._heard.setdefault(line.device, deque(maxlen=MESSAGES))
        heard.append(Said(line.at_s, *line.data))
        self._came_s[line.device, key] = time.monotonic()

    def _meant(self, device: str) -> bool:
        wanted = str(self._desk.get_now("/learn/device")).lower()
        return not wanted or wanted in device.lower()

    def _is_for_learning(self, device: str, key: Key) -> bool:
        """A button that changes a layer, or holds the learning."""
        compiled = self._devices.profile_of(device)
        if compiled is None:
            return False
        for control in (*compiled.layer_of, *_holders(compiled)):
            surface = compiled.profile.surface[control[0]]
            if any(key_of(*message) == key for message in surface.messages(control[1])):
                return True
        return False

    # -- what was moved

    def _best(self) -> tuple[str, Learned] | None:
        found: list[tuple[str, Learned]] = []
        for device, heard in self._heard.items():
            while heard and heard[-1].time_s - heard[0].time_s > WINDOW_S:
                heard.popleft()
            if heard and (learned := recognise(heard, self._usual(device))) is not None:
                found.append((device, learned))
        return max(found, key=lambda one: one[1].weight, default=None)

    def _usual(self, device: str) -> Encoding | None:
        """How the device's encoders count, as far as its profile tells: a device has one way."""
        compiled = self._devices.profile_of(device)
        surfaces = compiled.profile.surface.values() if compiled else ()
        ways = {surface.encoder for surface in surfaces if surface.encoder}
        return ways.pop() if len(ways) == 1 else None

    async def _look(self) -> None:
        while asyncio.current_task() is self._task:
            await asyncio.sleep(LOOK_S)
            if self._busy or self._is_forgotten() or not self._target or not any(self._heard.values()):
                continue
            try:
                await self._judge()
            except ApplianceError as error:
                self._show(self._state, error.message)
                self._desk.say(error.message)
            except Exception:
                log.exception("learning failed")
                self._desk.say("learning failed for a fault in the box (it is in the log); the profile is as it was")
                self._heard.clear()

    def _is_forgotten(self) -> bool:
        if not self._leave or self._desk.get_now("/learn/hold") or time.monotonic() - self._since_s < PATIENCE_S[self._state]:
            return False
        self._close()
        self._show("off", "nothing was moved for a while: not learning any more")
        return True

    async def _judge(self) -> None:
        """Take the control when its move has ended."""
        best = self._best()
        if best is None:
            return
        device, learned = best
        quiet_s = min((time.monotonic() - self._came_s.get((device, key), 0.0) for key in as_told(learned.keys)), default=9.0)
        needed = MOVE_ENDS_S if learned.form is not Form.BUTTON else PRESS_ENDS_S if learned.released else RELEASE_S
        if learned.ask and quiet_s < ASK_S:
            if quiet_s >= needed and self._asked != learned.ask:
                self._asked = learned.ask
                self._show("listening", f"{self._target}: {learned.ask}")
            return
        if quiet_s < needed:
            if self._desk.get_now("/learn/state") != "listening":
                self._show("listening", f"{self._target}: a {learned.form.value} moves …")
            return
        await self._take(device, learned)

    async def _take(self, device: str, learned: Learned) -> dict[str, Any]:
        """Write it and put it in force. Raises what is wrong; then the old profile stays, and the target."""
        self._busy = True
        target = self._target
        try:
            fact = await self._write(device, learned, target)
        finally:
            self._busy = False
            self._heard.clear()
        self._desk.publish("/learn/last", fact)
        if self._desk.get_now("/learn/name"):
            self._desk.set_now("/learn/name", "")
        said = f"{fact['control']} of {fact['device']} is {target} now ({Path(fact['file']).name})"
        self._desk.say(f"learned: {said}", logging.INFO)
        self._clear_target()
        if self._on:
            self._excluded = {(device, key) for key in learned.keys}
            self._show("target", f"learned: {said}; go on with the next, or /learn/stop")
        else:
            self._close()
            self._show("off", f"learned: {said}")
        return fact

    async def _write(self, device: str, learned: Learned, target: str) -> dict[str, Any]:
        if " | " in device:
            names = ", ".join(device_name(self._devices.names_of(one)) for one in device.split(" | "))
            raise NotAllowed(f"several devices without a profile play together ({names}), and which of them that was is not "
                             "known: leave one of them connected while it learns its first control", status=409)
        if self._desk.safe:
            raise NotAllowed("control runs in its safe form, without your profiles: nothing can be learned", status=409)
        found = self._desk.find(target)
        now = self._desk.get_now(found) if found.node.readable else None
        binding = binding_for(found, target, learned, self._given, now)
        compiled = self._devices.profile_of(device)
        layers = _layers(compiled, self._devices.layers_of(device), held=bool(self._desk.get_now("/learn/hold")))
        names = self._devices.names_of(device)
        path, text = await asyncio.to_thread(self._profile_text, compiled, device_name(names))
        from appliance.control.learn.write import Lesson, write

        lesson = Lesson(learned, target, binding, layers, str(self._desk.get_now("/learn/name")))
        written = await asyncio.to_thread(write, text, lesson, path)
        if len(written.text.encode()) > FILE_BYTES:
            raise BadFile(f"{path} would be longer than a profile may be ({FILE_BYTES} bytes)")
        await asyncio.to_thread(self._history.write, path, written.text)
        await self._devices.rescan()
        return {"address": target, "device": device_name(names), "control": written.control, "surface": learned.surface,
                "binding": written.selector, "file": str(path), "assumed": learned.doubt}

    def _profile_text(self, compiled: Compiled | None, device: str) -> tuple[Path, str]:
        """Where the device's own profile stands or will stand, and what it says until now. In a thread: what edits YAML takes
        long to import, and a box on stage seldom learns."""
        from appliance.control.learn.write import new_profile

        path = self._devices.path_of(compiled) if compiled else None
        if compiled is None or path is None or compiled.profile.device.fallback:
            own = self._own / file_name(device)
            if own.exists():
                return own, own.read_text(encoding="utf-8")
            return own, new_profile(device, path.read_text(encoding="utf-8") if path else None)
        text = path.read_text(encoding="utf-8")
        shipped = any(path.is_relative_to(folder) for folder in SHIPPED)
        return (self._own / path.name if shipped else path), text

    def _show(self, state: str, status: str) -> None:
        self._since_s = time.monotonic()
        self._desk.publish("/learn/state", state)
        self._desk.publish("/learn/status", status)


def _holders(compiled: Compiled) -> list[tuple[str, int]]:
    """Controls that hold the learning."""
    return [control for control, rules in compiled.rules.items()
            if any(action.address == "/learn/hold" for rule in rules for action in rule.actions)]


def _layers(compiled: Compiled | None, on: dict[str, int], *, held: bool) -> tuple[tuple[str, int], ...]:
    """Those in which the control is learned: shift and modes that are on, but not those that hold the learning."""
    if compiled is None:
        return ()
    chord = {name for rules in compiled.rules.values() for rule in rules for action in rule.actions
             if action.address == "/learn/hold" for name, _ in rule.layers} if held else set[str]()
    return tuple((name, value) for name, value in on.items()
                 if value and name not in chord and compiled.profile.layers[name].way in ("hold", "toggle"))
