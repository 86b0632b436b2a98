# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a stranger sees: ``/pair`` and ``/pair/code``, as pages for a browser and as JSON for a program.

A program posts ``{"name", "scope"}`` to ``/pair`` and gets ``{"id", "seconds"}``; it posts ``{"id", "code"}`` to ``/pair/code``
and gets ``{"token", "device", "name", "scope"}``, or with status 202 ``{"waiting"}`` while the box has yet to confirm: post the
same again every few seconds. A browser keeps id and token in cookies that no script can read.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from appliance.control.access.access import Access
from appliance.control.access.pairing import Request
from appliance.control.access.visitor import Visitor
from appliance.control.http import guard, pairpage
from appliance.control.http.body import parse_json
from appliance.errors import ApplianceError

BODY_BYTES = 4096
BODY_S = 5.0
PAIRING_COOKIE_S = 900
TOKEN_COOKIE_S = 400 * 24 * 3600
LOOK_S = 2
WAITING = "the code is right; somebody at the box has to confirm it now"


class PairPages:
    """The handlers; ``visitor_of`` tells who asks."""

    def __init__(self, access: Access, visitor_of: Any) -> None:
        self._access = access
        self._visitor: Any = visitor_of

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/pair", self._page), web.post("/pair", self._ask), web.get("/pair/code", self._look),
                web.post("/pair/code", self._type)]

    async def _page(self, request: web.Request) -> web.Response:
        visitor: Visitor = self._visitor(request)
        paired = "This machine needs no pairing." if visitor.local else ""
        if visitor.device is not None:
            paired = f"This device is paired as {visitor.device.name}, to {visitor.device.scope}. Pair it again to change that."
        return _html(pairpage.ask(paired))

    async def _ask(self, request: web.Request) -> web.Response:
        visitor: Visitor = self._visitor(request)
        fields, browser = await _fields(request)
        try:
            asked = self._access.ask(visitor, fields.get("name"), fields.get("scope", "play"))
        except ApplianceError as error:
            if not browser:
                raise
            return _html(pairpage.ask(wrong=error.message), error.status)
        if not browser:
            seconds = self._access.seconds_left(asked)
            return web.json_response({"id": asked.id, "seconds": seconds}, headers={"Cache-Control": "no-store"})
        answer = _html(pairpage.code(asked.name, asked.scope))
        answer.set_cookie(_pairing_cookie(request), asked.id, max_age=PAIRING_COOKIE_S, path="/pair", httponly=True,
                          samesite="Strict")
        return answer

    async def _look(self, request: web.Request) -> web.Response:
        """A browser looks again, or was reloaded."""
        try:
            asked = self._find(request, request.cookies.get(_pairing_cookie(request)))
        except ApplianceError as error:
            return _html(pairpage.refused(error.message), error.status)
        if asked.typed_s is None:
            return _html(pairpage.code(asked.name, asked.scope))
        return await self._finish(request, asked, browser=True)

    async def _type(self, request: web.Request) -> web.Response:
        fields, browser = await _fields(request)
        asked: Request | None = None
        try:
            asked = self._find(request, request.cookies.get(_pairing_cookie(request)) if browser else fields.get("id"))
            self._access.type(asked, fields.get("code", ""))
            return await self._finish(request, asked, browser=browser)
        except ApplianceError as error:
            if not browser:
                raise
            again = asked is not None and error.status == 403
            page = pairpage.code(asked.name, asked.scope, error.message) if asked and again else pairpage.refused(error.message)
            return _html(page, error.status)

    def _find(self, request: web.Request, request_id: object) -> Request:
        visitor: Visitor = self._visitor(request)
        return self._access.pairing.find(request_id, visitor.host)

    async def _finish(self, request: web.Request, asked: Request, *, browser: bool) -> web.Response:
        paired = await self._access.let_in(asked)
        if paired is None:
            if not browser:
                return web.json_response({"waiting": WAITING}, status=202, headers={"Cache-Control": "no-store"})
            answer = _html(pairpage.waiting(asked.name), 202)
            answer.headers["Refresh"] = f"{LOOK_S}; url=/pair/code"
            return answer
        device, token = paired
        if not browser:
            told = {"token": token, "device": device.id, "name": device.name, "scope": device.scope.value}
            return web.json_response(told, headers={"Cache-Control": "no-store"})
        answer = _html(pairpage.done(device.name, device.scope, token))
        answer.del_cookie(_pairing_cookie(request), path="/pair")
        answer.set_cookie(guard.cookie_name(request), token, max_age=TOKEN_COOKIE_S, path="/", httponly=True, samesite="Strict")
        return answer


def _pairing_cookie(request: web.Request) -> str:
    return f"pairing_{guard.cookie_name(request)}"


async def _fields(request: web.Request) -> tuple[dict[str, Any], bool]:
    """What was sent, and whether by a browser's form. Raises 400 and 413: a stranger may send little, and not slowly."""
    try:
        async with asyncio.timeout(BODY_S):
            body = await request.content.readexactly(BODY_BYTES + 1)
    except asyncio.IncompleteReadError as error:
        body = error.partial
    except TimeoutError:
        raise ApplianceError("the request did not come to its end in time", status=408) from None
    if len(body) > BODY_BYTES:
        raise ApplianceError(f"the request is larger than {BODY_BYTES} bytes", status=413)
    if request.content_type == "application/x-www-form-urlencoded" and not body.lstrip().startswith(b"{"):  # curl -d says so
        try:
            fields = parse_qs(body.decode(), max_num_fields=8, keep_blank_values=True)
        except ValueError:
            raise ApplianceError("not a form that can be read", status=400) from None
        return {name: values[-1] for name, values in fields.items()}, True
    told = parse_json(body)
    if not isinstance(told, dict):
        raise ApplianceError('send a JSON object: {"name": "tablet", "scope": "play"}', status=400)
    return told, False


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html", headers=pairpage.HEADERS)
