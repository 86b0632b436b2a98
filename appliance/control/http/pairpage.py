# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages at ``/pair``: a few forms in plain HTML, no script, nothing from elsewhere; made for a phone."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from appliance.namespace import Scope

STYLE = """
body{font:18px/1.5 system-ui,sans-serif;max-width:30em;margin:1.5em auto;padding:0 1em;background:#111;color:#eee}
label{display:block;margin:.6em 0}
input:not([type=radio]){font:inherit;width:100%;box-sizing:border-box;padding:.5em;border:1px solid #777;border-radius:.3em}
input.code{font-size:2em;letter-spacing:.2em;text-align:center}
button{font:inherit;font-weight:bold;width:100%;padding:.7em;margin:1em 0;border:0;border-radius:.3em;background:#6cf}
.wrong{border-left:.3em solid #f66;padding-left:.7em}
code{overflow-wrap:anywhere;background:#333;padding:.1em .3em}
a{color:#6cf}
small{color:#bbb}
"""
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; "
                               "frame-ancestors 'none'",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_SCOPES = {
    Scope.PLAY: "Play: pads, decks, mixer, pictures",
    Scope.EDIT: "Edit: also sessions, recordings, clocks, settings",
    Scope.ADMIN: "Administer: also let in and send away other devices",
}


def ask(paired: str = "", wrong: str = "") -> str:
    """The device's name and what it wants. ``paired``: what it is already."""
    scopes = "\n".join(
        f'<label><input type="radio" name="scope" value="{scope}"{" checked" if scope is Scope.PLAY else ""}>'
        f' {escape(text)}</label>' for scope, text in _SCOPES.items())
    return _page("Pair this device", wrong, f"""
{f"<p>{escape(paired)}</p>" if paired else ""}
<form method="post" action="/pair">
<label>Name of this device <input name="name" required maxlength="40" autocomplete="off" placeholder="tablet"></label>
{scopes}
<button>Ask for a code</button>
</form>
<p><small>The box shows the code to whoever stands at it.</small></p>""")


def code(name: str, scope: Scope, wrong: str = "") -> str:
    """Where the code is typed."""
    return _page("Type the code", wrong, f"""
<p>{escape(name)}, to {scope}: the box shows a code of six digits, and says it into the headphones.</p>
<form method="post" action="/pair/code">
<label>Code <input class="code" name="code" required inputmode="numeric" pattern="[0-9 \\-]*" maxlength="12" autocomplete="off"
autofocus></label>
<button>Pair</button>
</form>
<p><a href="/pair">Begin again</a></p>""")


def waiting(name: str) -> str:
    """The code was right; somebody at the box has to hold a control. Comes again by itself (header Refresh)."""
    return _page("Now at the box", "", f"""
<p>The code is right. To let {escape(name)} in, hold the control for it on the box for a second.</p>
<p><small>This page goes on by itself. <a href="/pair/code">Look again</a></small></p>""")


def done(name: str, scope: Scope, token: str) -> str:
    """The one time that the token is shown."""
    return _page("Paired", "", f"""
<p>{escape(name)} may {scope} now. <a href="/">Go on</a></p>
<details><summary>For other programs on this device</summary>
<p>OSC from this device's address is taken from now on. Programs that speak HTTP send this token:</p>
<p><code>{escape(token)}</code></p>
<p><small>It is shown this once. Who has it may {scope} as this device.</small></p>
</details>""")


def refused(wrong: str) -> str:
    return _page("Pair this device", wrong, '<p><a href="/pair">Begin again</a></p>')


def _page(title: str, wrong: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} – performance box</title>
<style>{STYLE}</style>
<h1>{escape(title)}</h1>
{f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""}{body}
</html>
"""
