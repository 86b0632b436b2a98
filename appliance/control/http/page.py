# SPDX-License-Identifier: GPL-3.0-or-later
"""The page at ``/``: what this is and where to go on."""

from __future__ import annotations

from html import escape

from appliance.nodes import NAMESPACE

_LINKS = (
    ("/healthz", "is the box well?"),
    ("/api/v1/", "every address with its value"),
    ("/api/v1/clock", "the clock"),
    ("/api/v1/pad/1", "pad 1 of the chosen bank"),
    ("/api/v1/visuals/snapshot?format=png", "the picture as it is now"),
    ("/api/v1/openapi.json", "the interface as an OpenAPI document"),
)


def page() -> str:
    links = "\n".join(f'<li><a href="{escape(href)}">{escape(href)}</a> {escape(what)}</li>' for href, what in _LINKS)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Performance box</title>
<style>
body{{font:16px/1.6 system-ui,sans-serif;max-width:42em;margin:2em auto;padding:0 1em}}
code{{background:#8882;padding:0 .3em}}
</style>
<h1>Performance box</h1>
<p>This box makes music and pictures and is played from controllers, OSC and this interface: {len(NAMESPACE)} addresses.</p>
<ul>
{links}
</ul>
<p><code>GET</code> reads, <code>PUT</code> sets, <code>POST</code> does:</p>
<pre>curl -X PUT  -d 124 http://127.0.0.1:8600/api/v1/clock/bpm
curl -X POST        http://127.0.0.1:8600/api/v1/pad/1/trigger</pre>
<p>The WebSocket at <code>/api/v1/ws</code> speaks JSON: <code>{{"op":"watch","pattern":"/clock/*"}}</code>.</p>
</html>
"""
