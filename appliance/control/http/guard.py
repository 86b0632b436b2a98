# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may speak to the box over HTTP: programs on this machine, and pages that the box itself has served.

There is no password yet, so a web page from elsewhere must not reach the box through the browser of its owner, neither by
a request of its own (Origin) nor by a name that it lets point here (Host).
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web

from appliance.errors import ApplianceError


def is_loopback(host: str) -> bool:
    """``localhost``, ``127.…``, ``::1``."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check(request: web.Request) -> None:
    """Raises :class:`ApplianceError` with status 403 for what comes from elsewhere."""
    host = request.headers.get("Host", "")
    if not is_loopback(_hostname(host)):
        what = f"the box answers to localhost only, not to {host or 'no name'!r}; open http://127.0.0.1"
        raise ApplianceError(what, status=403)
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        raise ApplianceError(f"a page from {origin} may not control the box; use a page that the box serves", status=403)
    if origin is None and request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        raise ApplianceError("a page from elsewhere may not control the box; use a page that the box serves", status=403)


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
