# SPDX-License-Identifier: GPL-3.0-or-later
"""Which requests are meant for the box at all: by the name it was called, and not by a page from elsewhere.

A web page from elsewhere must not reach the box through the browser of somebody who may, neither by a request of its own
(Origin) nor by a name that it lets point here (Host). Who may is another question: :mod:`appliance.control.access`.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from aiohttp import web

from appliance.control.access.hosts import canonical, is_address, is_loopback
from appliance.errors import ApplianceError

HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
           "Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin"}
"""On every answer."""
COOKIE = "appliance_token"
PROTOCOL = "appliance"
"""The WebSocket's subprotocol; beside it a program that can send no header offers ``token.TOKEN``."""
_PROXY = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


def check(request: web.Request, names: Collection[str] = ()) -> None:
    """Raises :class:`ApplianceError` with status 403 for what comes from elsewhere. ``names``: how the network calls us."""
    host = request.headers.get("Host", "")
    name = _hostname(host)
    if is_loopback(request.remote or ""):
        if not is_loopback(name):
            what = f"the box answers this machine by localhost only, not by {host or 'no name'!r}; open http://127.0.0.1"
            raise ApplianceError(what, status=403)
    elif not is_address(name) and canonical(name) not in names:
        what = f"the box does not answer to {host or 'no name'!r}; open it by its address, or add the name to access.names"
        raise ApplianceError(what, status=403)
    origin = request.headers.get("Origin")
    if origin is not None and _netloc(origin) != host.lower():
        raise ApplianceError(f"a page from {origin} may not control the box; use a page that the box serves", status=403)
    if origin is None and request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        raise ApplianceError("a page from elsewhere may not control the box; use a page that the box serves", status=403)


def token_of(request: web.Request) -> str | None:
    """The token that came along: in the Authorization header, as a subprotocol of the WebSocket, or in the browser's cookie."""
    kind, _, word = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return word.strip()
    for offered in request.headers.get("Sec-WebSocket-Protocol", "").split(","):
        if offered.strip().startswith("token."):
            return offered.strip().removeprefix("token.")
    return request.cookies.get(cookie_name(request))


def cookie_name(request: web.Request) -> str:
    """Browsers keep cookies by host, whatever the port: two boxes on one machine must not share theirs."""
    place = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return f"{COOKIE}_{place[1]}" if place else COOKIE


def is_forwarded(request: web.Request) -> bool:
    """Through a proxy: it is not the sender whose address we see."""
    return any(name in request.headers for name in _PROXY)


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return "?"
