# SPDX-License-Identifier: GPL-3.0-or-later
"""The door: tells who a visitor is, lets devices in, sends them away, and tells the performer about it.

Codes go to the private nodes ``/access/requests``, ``/access/code`` and ``/access/message`` (what a voice on the cue bus or a
performer's display takes) and to the log, so to console and journal; never to ``/system/message``, which anybody may show.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

from appliance.control.access.hosts import canonical, is_loopback
from appliance.control.access.limits import Limit, Rate
from appliance.control.access.osc import OscAccess
from appliance.control.access.pairing import Pairing, Request
from appliance.control.access.store import Device, Store
from appliance.control.access.visitor import Visitor
from appliance.control.desk import Desk
from appliance.errors import ApplianceError, BadValue
from appliance.namespace import Address, Scope

log = logging.getLogger(__name__)

FILE = "access.json"
HOLD_S = 1.0
STRANGERS = (Rate(60, 0.2), Rate(300, 0.02))
"""Requests of hosts that are not paired."""
WRONG_TOKENS = (Rate(10, 6.0), Rate(100, 0.5))
SCOPE_WORDS = {Scope.PLAY: "play", Scope.EDIT: "play and edit", Scope.ADMIN: "play, edit and administer"}


class Access:
    """All of it at one desk. Lives on control's loop."""

    def __init__(self, desk: Desk) -> None:
        config = desk.box.config.access
        self._desk = desk
        self.store = Store(desk.box.data / FILE, desk.say)
        self.pairing = Pairing(held=config.confirm == "held", code_s=config.code_s, tries=config.tries)
        self.strangers = Limit(*STRANGERS)
        self._wrong_tokens = Limit(*WRONG_TOKENS)
        self.osc = OscAccess(self.store, self._wrong_tokens)
        self._gone: set[Callable[[str], None]] = set()
        self._held_since: float | None = None
        self._hold: asyncio.TimerHandle | None = None
        self._tidy: asyncio.TimerHandle | None = None
        self._leave: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Read who is paired, and serve ``/access``."""
        self.store.load()
        for name, handler in (("list", self._list), ("approve", self._approve), ("refuse", self._refuse),
                              ("revoke", self._revoke)):
            self._desk.register(f"/access/{name}", handler)
        self._desk.set_now("/access/confirm", False)
        self._leave = self._desk.subscribe(self._heard)
        self._show()

    async def stop(self) -> None:
        self._leave()
        for timer in (self._hold, self._tidy):
            if timer is not None:
                timer.cancel()
        await self.store.stop()

    # -- visitors

    def visitor(self, host: str, token: str | None, *, forwarded: bool = False) -> Visitor:
        """Who speaks from ``host``. ``forwarded``: a proxy on this machine speaks for somebody whom we do not see.

        Raises 401 for a token that nobody has, 429 when there were too many of them.
        """
        if is_loopback(host) and not forwarded:
            return Visitor(host, local=True)
        host = canonical(host)
        if token is None:
            return Visitor(host)
        device = self.store.find(token)
        if device is None:
            self._wrong_tokens.require(host, "too many wrong tokens")
            raise ApplianceError("the box knows no such token (was it revoked?); pair this device again at /pair", status=401)
        self.store.saw(device)
        return Visitor(host, device=device)

    def on_gone(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """``listener(device id)`` when a pairing ends; returns what ends that."""
        self._gone.add(listener)
        return lambda: self._gone.discard(listener)

    # -- the way in

    def ask(self, visitor: Visitor, name: object, scope: object) -> Request:
        """A code for a device. Raises BadValue, 403 when nobody may ask, TooMany, 503."""
        if not self._desk.get_now("/access/open"):
            raise ApplianceError("the box takes no new devices now: /access/open is off", status=403)
        try:
            wanted = Scope(str(scope).strip().lower())
        except ValueError:
            raise BadValue(f"{str(scope)[:40]!r} is no scope; it is one of {', '.join(Scope)}") from None
        replaces = visitor.device.id if visitor.device is not None else ""
        request = self.pairing.ask(visitor.host, name, wanted, replaces)
        digits = " ".join(request.code)
        self._tell(f"{request.words} wants to {SCOPE_WORDS[wanted]}. Its code is {digits}")
        self._show()
        return request

    def type(self, request: Request, code: object) -> None:
        """A code was typed on the device. Raises 403, 410, TooMany."""
        typed = request.typed_s is not None
        try:
            self.pairing.type(request, code)
        except ApplianceError as error:
            self._tell(f"{request.words}: {error.message}")
            self._show()
            raise
        if not typed and not self.pairing.ready(request):
            self._tell(f"{request.words} has typed its code. To let it in, hold the control of /access/confirm for a second, "
                       f"or `appliance pair confirm {request.short}`")
        self._show()

    def seconds_left(self, request: Request) -> int:
        """How long its code is good."""
        return max(round(request.until_s - time.monotonic()), 0)

    async def let_in(self, request: Request) -> tuple[Device, str] | None:
        """The device and its token, once; None while somebody on the box has yet to confirm it."""
        if not self.pairing.ready(request):
            return None
        self.pairing.drop(request)
        device, token = self.store.add(request.name, request.scope, request.host, request.replaces)
        if request.replaces:
            self._say_gone(request.replaces)
        self._tell(f"{request.words} is paired, to {SCOPE_WORDS[request.scope]}")
        self._show()
        await self.store.flush()
        return device, token

    # -- the held control

    def _heard(self, address: str, value: Any) -> None:
        if address != "/access/confirm":
            return
        if value and self._held_since is None:
            self._held_since = time.monotonic()
            self._hold = asyncio.get_running_loop().call_later(HOLD_S, self._confirm)
        elif not value:
            self._held_since = None
            if self._hold is not None:
                self._hold.cancel()

    def _confirm(self) -> None:
        since = self._held_since
        self._desk.set_now("/access/confirm", False)  # one hold, one device; also for a control that toggles
        request = self.pairing.hold(since) if since is not None else None
        if request is None:
            self._tell("no device waits to be confirmed: it must have typed its code before")
        else:
            self._tell(f"{request.words} is confirmed")
        self._show()

    # -- calls

    async def _list(self, address: Address, args: list[Any]) -> list[dict[str, Any]]:
        return [{"id": d.id, "name": d.name, "scope": d.scope.value, "host": d.host, "created": round(d.created, 3),
                 "seen": round(d.seen, 3), "osc_hosts": sorted(d.hosts)} for d in self.store]

    async def _approve(self, address: Address, args: list[Any]) -> str:
        request = self.pairing.pick(_word(args))
        request.confirmed = True
        self._tell(f"{request.words} is confirmed" + ("" if request.typed_s is not None else "; its code is still to be typed"))
        self._show()
        return request.words

    async def _refuse(self, address: Address, args: list[Any]) -> str:
        request = self.pairing.pick(_word(args))
        self.pairing.drop(request)
        self._tell(f"{request.words} was sent away")
        self._show()
        return request.words

    async def _revoke(self, address: Address, args: list[Any]) -> list[str]:
        word = _word(args)
        if not word:
            raise BadValue("/access/revoke takes the id or name of a device, or all; `appliance pair` lists them")
        found = [d for d in self.store if word in (d.id, d.name, "all")]
        if not found and word != "all":
            raise BadValue(f"no device {word!r} is paired; `appliance pair` lists them", status=404)
        if len(found) > 1 and word != "all":
            raise BadValue(f"{len(found)} devices are named {word}: name one of {', '.join(d.id for d in found)}", status=409)
        for device in found:
            self.store.remove(device.id)
            self._say_gone(device.id)
            self._tell(f"{device.name} ({device.host}) is not paired any more")
        await self.store.flush()
        return [device.name for device in found]

    def _say_gone(self, device_id: str) -> None:
        for listener in tuple(self._gone):
            listener(device_id)

    # -- telling

    def _tell(self, text: str) -> None:
        log.warning("pairing: %s", text)
        self._desk.publish("/access/message", text)

    def _show(self) -> None:
        """The private states, and again when the next code runs out."""
        if self._tidy is not None:
            self._tidy.cancel()
            self._tidy = None
        waiting = self.pairing.waiting()
        now = time.monotonic()
        self._desk.publish("/access/requests", [
            {"id": r.short, "name": r.name, "host": r.host, "scope": r.scope.value, "code": r.code,
             "typed": r.typed_s is not None, "confirmed": r.confirmed, "until": round(time.time() + r.until_s - now, 1)}
            for r in waiting])
        untyped = [r.code for r in waiting if r.typed_s is None]
        self._desk.publish("/access/code", untyped[-1] if untyped else "")
        if waiting:
            with contextlib.suppress(RuntimeError):
                rest_s = min(r.until_s for r in waiting) - now
                self._tidy = asyncio.get_running_loop().call_later(max(rest_s, 0.0) + 0.05, self._show)


def _word(args: list[Any]) -> str:
    return str(args[0]).strip() if args else ""
