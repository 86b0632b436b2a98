# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices that ask to be let in: a code each, few tries, little time.

The device is given an ``id`` that only it knows, the box shows the code. Who types it there has read it here. With
``confirm: held`` somebody must also hold a control on the box, after the code was typed.
"""

from __future__ import annotations

import hmac
import secrets
import time
import unicodedata
from dataclasses import dataclass, field

from appliance.control.access.limits import Clock, Limit, Rate
from appliance.errors import ApplianceError, BadValue
from appliance.namespace import Scope

DIGITS = 6
LONGEST_NAME = 40
MOST_WAITING = 4
ASKING = (Rate(5, 20.0), Rate(12, 5.0))
"""Codes asked for: by one host, by all."""
WRONG = (Rate(10, 60.0), Rate(30, 30.0))
"""Wrong codes: two a minute in the long run, so that half of a million codes take half a year."""
WRONG_WORDS = "too many wrong codes"


@dataclass(eq=False)
class Request:
    """A device that waits. ``until_s`` and ``typed_s`` are seconds of the pairing's clock; ``short`` names it to people."""

    id: str
    host: str
    name: str
    scope: Scope
    code: str
    until_s: float
    tries: int
    replaces: str = ""
    typed_s: float | None = None
    confirmed: bool = False
    short: str = field(default_factory=lambda: secrets.token_hex(2))

    @property
    def words(self) -> str:
        return f"{self.name} ({self.host})"


def clean_name(name: object) -> str:
    """A device's name as people can be shown it: one line, no control or direction characters. Raises :class:`BadValue`."""
    if not isinstance(name, str):
        raise BadValue("a device needs a name, such as tablet")
    visible = "".join(c if unicodedata.category(c)[0] not in "CZ" else " " for c in name[:1000])
    cleaned = " ".join(visible.split())[:LONGEST_NAME].strip()
    if not cleaned:
        raise BadValue("a device needs a name, such as tablet")
    return cleaned


class Pairing:
    """All requests that wait. Pure bookkeeping: who calls it tells people and makes tokens."""

    def __init__(self, *, held: bool, code_s: float, tries: int, clock: Clock = time.monotonic) -> None:
        self._held = held
        self._code_s = code_s
        self._tries = tries
        self._clock = clock
        self._requests: dict[str, Request] = {}
        self._asking = Limit(*ASKING, clock)
        self._wrong = Limit(*WRONG, clock)

    def waiting(self) -> list[Request]:
        """Those whose time is not over, the oldest first."""
        now = self._clock()
        for request in tuple(self._requests.values()):
            if now >= request.until_s:
                del self._requests[request.id]
        return list(self._requests.values())

    def ask(self, host: str, name: object, scope: Scope, replaces: str = "") -> Request:
        """A code for a device; one that the same host waits for is void. Raises BadValue, TooMany, 503 when many wait."""
        cleaned = clean_name(name)
        self._wrong.check(host, WRONG_WORDS)
        self._asking.require(host, "too many codes were asked for")
        for other in self.waiting():
            if other.host == host:
                self.drop(other)
        if len(self._requests) >= MOST_WAITING:
            raise ApplianceError(f"{MOST_WAITING} devices wait for their code already; try again in two minutes", status=503)
        code = f"{secrets.randbelow(10 ** DIGITS):0{DIGITS}d}"
        request = Request(secrets.token_urlsafe(16), host, cleaned, scope, code, self._clock() + self._code_s, self._tries,
                          replaces)
        self._requests[request.id] = request
        return request

    def find(self, request_id: object, host: str) -> Request:
        """The request of this host. Raises 410 when there is none, or none any more."""
        request = next((r for r in self.waiting() if r.id == request_id and r.host == host), None)
        if request is None:
            raise ApplianceError("this code is not good any more; ask for a new one", status=410)
        return request

    def type(self, request: Request, code: object) -> None:
        """The device has typed a code. Raises 403 when it is wrong, 410 when it was the last try, TooMany."""
        if request.typed_s is not None:
            return
        self._wrong.check(request.host, WRONG_WORDS)
        digits = "".join(c for c in str(code)[:64] if c not in " -")
        if not hmac.compare_digest(digits.encode("utf-8", "replace"), request.code.encode()):
            self._wrong.spend(request.host)
            request.tries -= 1
            if request.tries <= 0:
                self.drop(request)
                raise ApplianceError("wrong code, and that was the last try; ask for a new one", status=410)
            left = "one more try" if request.tries == 1 else f"{request.tries} more tries"
            raise ApplianceError(f"wrong code; {left}", status=403)
        request.typed_s = self._clock()
        request.until_s = max(request.until_s, request.typed_s + self._code_s)

    def hold(self, since_s: float) -> Request | None:
        """A control was held from ``since_s`` on: the oldest whose code was typed before that is let in."""
        typed = [r for r in self.waiting() if r.typed_s is not None and r.typed_s <= since_s and not r.confirmed]
        chosen = min(typed, key=lambda r: r.typed_s or 0.0, default=None)
        if chosen is not None:
            chosen.confirmed = True
        return chosen

    def pick(self, word: str) -> Request:
        """The request that people mean by its short id, its name, or nothing when only one waits. Raises BadValue."""
        waiting = self.waiting()
        found = [r for r in waiting if word in (r.short, r.name)] if word else waiting
        if len(found) == 1:
            return found[0]
        if not found:
            raise BadValue(f"no device{f' {word!r}' if word else ''} waits; `appliance pair` lists them", status=404)
        raise BadValue(f"{len(found)} devices wait: name one of {', '.join(r.short for r in found)}", status=409)

    def ready(self, request: Request) -> bool:
        return request.typed_s is not None and (request.confirmed or not self._held)

    def drop(self, request: Request) -> None:
        self._requests.pop(request.id, None)
