# SPDX-License-Identifier: GPL-3.0-or-later
"""A page as a picture, drawn from the declaration: ``python -m appliance.layouts.picture docs``.

It shows where things stand and how large they are, with an example of what the box would say; TouchOSC shades a little
differently.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from appliance.layouts.surface import BAR as BAR_PAGE
from appliance.layouts.surface import PAGES
from appliance.layouts.widgets import (
    BACKGROUND,
    BAR,
    COLOURS,
    LANDSCAPE,
    PORTRAIT,
    SOFT,
    TABS,
    UNIT_ROOM,
    Area,
    Kit,
    Page,
    Widget,
    label_room,
)

EXAMPLE = {
    "/clock/bpm": "124.0", "/clock/bar": "33", "/clock/beat": "2", "/clock/phrase_bar": "1", "/deck/1/title": "Nightdrive",
    "/deck/2/title": "Slow water", "/deck/1/bpm": "124.0", "/deck/2/bpm": "124.0", "/deck/1/loop/beats": "4.00",
    "/deck/2/loop/beats": "8.00", "/record/seconds": "1824.3", "/record/room": "86000", "/system/load": "11.2",
    "/gen/prompt": "dark rolling bass", "/system/message": "pad 6: generated, 4 bars, A minor", "/system/overruns": "0",
}
PADS = {1: ("Kick", "drums", "playing"), 2: ("Hats", "drums", "playing"), 3: ("Sub", "bass", "playing"),
        4: ("Stabs", "chords", "queued"), 5: ("Break", "drums", ""), 6: ("Rolling", "bass", ""), 7: ("Warm", "chords", ""),
        8: ("Arp", "lead", "stopping"), 9: ("Rain", "texture", ""), 10: ("Yes!", "voice", ""), 11: ("Take 3", "recorded", "")}
_BRIGHT = {"playing": 1.0, "queued": 0.9, "stopping": 0.6, "": 0.45}
ON = {"/deck/1/play", "/deck/1/sync", "/deck/2/sync", "/deck/1/keylock", "/deck/1/quantize", "/deck/2/quantize", "/clock/play",
      "/channel/1/cue", "/clock/out/midi", "/clock/link"}


def draw(page: Page, *, portrait: bool = False) -> Image.Image:
    """The page with the line above it and the tabs."""
    width, height = PORTRAIT if portrait else LANDSCAPE
    image = Image.new("RGB", (width, height), BACKGROUND)
    pen = ImageDraw.Draw(image)
    for widget, area in BAR_PAGE.placed(width, BAR, portrait=portrait):
        _widget(pen, widget, area)
    tab = width / len(PAGES)
    for index, other in enumerate(PAGES):
        chosen = other is page
        box = (index * tab + 1, BAR, (index + 1) * tab - 1, BAR + TABS - 4)
        pen.rectangle(box, fill=COLOURS[other.colour] if chosen else "#1b232d")
        _text(pen, (box[0], box[1], tab, TABS - 4), other.name, 18 if portrait else 20, "#000000" if chosen else "#ffffff")
    for widget, (x, y, w, h) in page.placed(width, height - BAR - TABS, portrait=portrait):
        _widget(pen, widget, (x, y + BAR + TABS, w, h))
    return image


def _shade(colour: str, light: float) -> tuple[int, int, int]:
    red, green, blue = (int(int(colour[at : at + 2], 16) * light) for at in (1, 3, 5))
    return red, green, blue


def _widget(pen: ImageDraw.ImageDraw, widget: Widget, area: Area) -> None:
    x, y, w, h = area
    box = (x, y, x + w, y + h)
    match widget.kind:
        case Kit.CAPTION:
            _text(pen, area, widget.text, widget.size, widget.colour_code)
        case Kit.READOUT | Kit.ENTRY:
            pen.rounded_rectangle(box, 3, fill="#1b232d")
            said = EXAMPLE.get(widget.address, "")
            side = label_room(widget, w) if widget.label else 0
            if widget.label:
                _text(pen, (x + 4, y, side, h), widget.text, 16, SOFT, across="left")
            _text(pen, (x + side + 4, y, w - side - 8, h), said, widget.size, "#ffffff", across="centre" if side else "left")
        case Kit.FADER | Kit.SPRING | Kit.METER:
            _fader(pen, widget, area)
        case Kit.JOG:
            pen.ellipse(_round(area), fill=_shade(widget.colour_code, 0.3), outline=widget.colour_code, width=4)
            _text(pen, area, widget.text, widget.size, "#ffffff")
        case Kit.PAD:
            name, role, state = PADS.get(int(widget.address.split("/")[2]), (widget.label, "none", "empty"))
            colour = _shade(COLOURS[role], _BRIGHT.get(state, 0.12))
            pen.rounded_rectangle(box, 6, fill=colour, outline="#3a4654", width=2)
            ink = "#000000" if sum(colour) > 420 else "#ffffff"
            _text(pen, (x, y + h * 0.2, w, h * 0.4), name, widget.size, ink)
            _text(pen, (x, y + h * 0.65, w, h * 0.3), state.replace("empty", ""), 18, ink)
        case _:
            on = widget.address in ON or (widget.kind is Kit.SET and widget.node.default == widget.value)
            colour = _shade(widget.colour_code, 1.0 if on else 0.35)
            pen.rounded_rectangle(box, 4, fill=colour, outline=widget.colour_code, width=2)
            _text(pen, area, widget.text, widget.size, "#000000" if sum(colour) > 420 else "#ffffff")


def _round(area: Area) -> Area:
    x, y, w, h = area
    size = min(w, h)
    left, top = x + (w - size) / 2, y + (h - size) / 2
    return left, top, left + size, top + size


def _fader(pen: ImageDraw.ImageDraw, widget: Widget, area: Area) -> None:
    x, y, w, h = area
    low, high = widget.limits
    at = 0.6 if widget.kind is Kit.METER else (widget.default - low) / (high - low)
    base = 0.5 if widget.centred else 0.0
    dark, line = _shade(widget.colour_code, 0.22), _shade(widget.colour_code, 0.6)
    pen.rounded_rectangle((x, y, x + w, y + h), 4, fill=dark, outline=line)
    begin, end = sorted((base, at))
    if widget.sideways:
        pen.rectangle((x + w * begin, y + 2, x + w * end, y + h - 2), fill=_shade(widget.colour_code, 0.55))
        pen.rectangle((x + w * at - 3, y + 1, x + w * at + 3, y + h - 1), fill="#ffffff")
    else:
        pen.rectangle((x + 2, y + h * (1 - end), x + w - 2, y + h * (1 - begin)), fill=_shade(widget.colour_code, 0.55))
        pen.rectangle((x + 1, y + h * (1 - at) - 3, x + w - 1, y + h * (1 - at) + 3), fill="#ffffff")
    if widget.kind is Kit.METER:
        _text(pen, (x, y, w, 26), widget.label, widget.size, "#ffffff")
        return
    unit = widget.node.unit if w >= UNIT_ROOM or not widget.sideways else ""
    shown = f"{widget.default:.{widget.places}f} {unit.replace('×', 'x')}".rstrip()
    if widget.sideways:
        _text(pen, (x + 8, y, w * 0.6, h), widget.text, widget.size, "#ffffff", across="left")
        _text(pen, (x + w * 0.4, y, w * 0.45, h), shown, 16, "#ffffff", across="right")
    else:
        _text(pen, (x, y + h - 52, w, 24), widget.text, widget.size, "#ffffff")
        _text(pen, (x, y + h - 28, w, 24), shown, 16, "#ffffff")


def _text(pen: ImageDraw.ImageDraw, area: Area, text: str, size: int, colour: str, *, across: str = "centre") -> None:
    if not text:
        return
    x, y, w, h = area
    font = ImageFont.load_default(size)
    words = text
    if pen.textlength(words, font) > w and " " in words and h > 2 * size:
        at = words.rindex(" ", 0, len(words) // 2 + 3) if " " in words[: len(words) // 2 + 3] else words.index(" ")
        words = f"{words[:at]}\n{words[at + 1 :]}"
    anchor, at_x = {"left": ("lm", x), "right": ("rm", x + w)}.get(across, ("mm", x + w / 2))
    pen.text((at_x, y + h / 2), words, colour, font, anchor=anchor, align="center")


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    pages = {page.name: page for page in PAGES}
    for name, page, portrait in (("tablet.png", "Pads", False), ("tablet-decks.png", "Decks 1 2", False)):
        draw(pages[page], portrait=portrait).save(folder / name, optimize=True)
        print(folder / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
