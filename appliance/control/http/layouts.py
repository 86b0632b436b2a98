# SPDX-License-Identifier: GPL-3.0-or-later
"""``GET /layouts/KIND``: a surface for a tablet, with the box's name, its OSC port and a token inside.

``?host=`` and ``?port=`` say where the tablet finds the box (as it was asked for here, and 9000, when left out), ``?token=``
what its ``/hello`` shows, ``?listen=`` its own port, ``?portrait=1`` that it stands upright.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web

from appliance.errors import BadValue


async def serve(request: web.Request) -> web.Response:
    """The file, to be saved or opened. Raises :class:`BadValue`."""
    from appliance.layouts.render import HOST, LISTEN, PORT, render

    asked = request.query
    unknown = set(asked) - {"host", "port", "token", "listen", "portrait"}
    if unknown:
        raise BadValue(f"{request.path} takes host, port, token, listen and portrait, not {', '.join(sorted(unknown))}")
    host = asked.get("host") or urlsplit(f"//{request.host}").hostname or HOST
    content, name = render(
        request.match_info["kind"], host, _port(request, "port", PORT), asked.get("token", ""),
        listen=_port(request, "listen", LISTEN), portrait=asked.get("portrait", "0") not in ("0", "false", ""))
    return web.Response(body=content, content_type="application/octet-stream", headers={
        "Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"})


def _port(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal() or len(text) > 5:
        raise BadValue(f"{request.path}: {name}={text} is no port; 1 … 65535")
    return int(text)
