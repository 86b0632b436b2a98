# SPDX-License-Identifier: GPL-3.0-or-later
"""The surface for tablets: which pages there are, and what stands on them. All layouts are written from here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from appliance.layouts.widgets import Block, Kit, Page, Part, Widget, tiles
from appliance.nodes.clock import METRES, QUANTIZES, SOURCES
from appliance.nodes.deck import HOT_CUES
from appliance.nodes.gen import KEYS
from appliance.nodes.mixer import ASSIGNS, CHANNELS
from appliance.nodes.pad import BANKS, PADS, SCENES

SHADERS = ("pulse", "tunnel", "lattice", "aurora", "ridges", "ink")
"""Scenes that the box is shipped with."""
RECIPES = (
    ("drums", 9, "drums"), ("drums, busy", 10, "drums"), ("bass", 11, "bass"), ("bass, sparse", 12, "bass"),
    ("chords", 13, "chords"), ("chords, calm", 14, "chords"), ("lead", 15, "lead"), ("texture", 16, "texture"),
)
"""What a touch makes, in words after ``only``, the pad it goes to, and its role."""
DECKS = 4
MODES = ((Kit.TOGGLE, "sync", "sync"), (Kit.TOGGLE, "keylock", "key lock"), (Kit.TOGGLE, "slip", "slip"),
         (Kit.TOGGLE, "quantize", "quantize"), (Kit.TOGGLE, "reverse", "reverse"), (Kit.HOLD, "censor", "censor"))
STRIP = (("high", "high", "white"), ("mid", "mid", "white"), ("low", "low", "white"), ("filter", "filter", "cyan"),
         ("fader", "level", ""))
"""A deck's part of the mixer, on its own page: address below the channel, label, colour (empty: the deck's)."""


def _scenes() -> list[Widget]:
    return [Widget(Kit.PRESS, f"/scene/{n}/launch", label=f"scene {n}", named=f"/scene/{n}/name", colour="white", size=20)
            for n in range(1, SCENES + 1)]


def _pads() -> Page:
    pads = tiles([Widget(Kit.PAD, f"/pad/{n}/trigger", label=str(n), named=f"/pad/{n}/name", size=24)
                  for n in range(1, PADS + 1)], 4, 4)
    scenes = tiles(_scenes(), 2, 4)
    banks = tiles([Widget(Kit.SET, "/pads/bank", label=f"bank {n}", value=n, colour="cyan") for n in range(1, BANKS + 1)], 4, 8)
    stops = tiles([
        Widget(Kit.PRESS, "/pads/stop", label="stop all", colour="red", size=24),
        Widget(Kit.PRESS, "/pads/cut", label="cut now", colour="red", size=20),
    ], 2, 2)
    return Page("Pads", "drums", (
        Part(pads, (0, 0, 70, 100), (0, 0, 100, 66)),
        Part(scenes, (71, 0, 29, 54), (0, 67, 100, 15)),
        Part(banks, (71, 55, 29, 27), (0, 83, 100, 8)),
        Part(stops, (71, 83, 29, 17), (0, 92, 100, 8)),
    ))


def _deck(n: int, *, upright: bool = False) -> Block:
    """One deck, 12 cells wide; upright it has less height and gives it to the small buttons."""
    deck, strip, colour = f"/deck/{n}", f"/channel/{n}", f"deck {n}"
    jog, big = (3, 2) if upright else (4, 3)
    loop, modes, foot = 2 + jog, 4 + jog, 5 + jog

    def at(kind: Kit, name: str, x: float, y: float, w: float, h: float = 1, **more: Any) -> Widget:
        address = name if name.startswith("/") or not name else f"{deck}/{name}"
        more.setdefault("colour", colour)
        return Widget(kind, address, x, y, w, h, **more)

    def yellow(kind: Kit, name: str, x: float, y: float, **more: Any) -> Widget:
        return at(kind, name, x, y, 1.5, colour="recorded", **more)

    return Block(12, foot + big, (
        at(Kit.CAPTION, "", 0, 0, 1.2, label=str(n), size=28),
        at(Kit.READOUT, "title", 1.2, 0, 6.8, size=22),
        at(Kit.READOUT, "bpm", 8, 0, 4, label="BPM", size=26),
        at(Kit.FADER, "seek", 0, 1, 12, sideways=True, jumps=True, label="position"),
        at(Kit.JOG, "jog/turn", 0, 2, 4, jog, label="jog"),
        *(at(Kit.HOLD, f"hotcue/{k}/press", 4 + 1.5 * ((k - 1) % 4), 2 + jog / 2 * ((k - 1) // 4), 1.5, jog / 2, label=str(k),
             size=24, named=f"{deck}/hotcue/{k}/name", lit=f"{deck}/hotcue/{k}/at") for k in range(1, HOT_CUES + 1)),
        at(Kit.FADER, "rate", 10, 2, 2, jog + 2, label="speed", span=(0.9, 1.1)),
        at(Kit.HOLD, "nudge", 0, loop, 2, label="nudge -", value=-0.04),
        at(Kit.HOLD, "nudge", 2, loop, 2, label="nudge +", value=0.04),
        at(Kit.SET, "jump", 0, loop + 1, 2, label="-4 beats", value=-4.0),
        at(Kit.SET, "jump", 2, loop + 1, 2, label="+4 beats", value=4.0),
        yellow(Kit.PRESS, "loop/in", 4, loop), yellow(Kit.PRESS, "loop/out", 5.5, loop),
        yellow(Kit.TOGGLE, "loop/auto", 7, loop, label="loop"), yellow(Kit.PRESS, "loop/reloop", 8.5, loop),
        yellow(Kit.PRESS, "loop/halve", 4, loop + 1, label="half"),
        yellow(Kit.READOUT, "loop/beats", 5.5, loop + 1, size=20),
        yellow(Kit.PRESS, "loop/double", 7, loop + 1, label="double"),
        yellow(Kit.SET, "loop/beats", 8.5, loop + 1, label="4 beats", value=4.0, size=16),
        *(at(kind, name, 2 * i, modes, 2, label=label) for i, (kind, name, label) in enumerate(MODES)),
        at(Kit.HOLD, "cue", 0, foot, 3, big, label="CUE", colour="drums", size=34),
        at(Kit.TOGGLE, "play", 3, foot, 3, big, label="PLAY", colour="chords", size=34),
        *(at(Kit.FADER, f"{strip}/{name}", 6 + 1.2 * i, foot, 1.2, big, label=label, colour=tint or colour,
             jumps=name == "fader") for i, (name, label, tint) in enumerate(STRIP)),
    ))


def _both(n: int) -> Block:
    return replace(_deck(n), upright=_deck(n, upright=True))


def _decks(left: int, right: int) -> Page:
    return Page(f"Decks {left} {right}", f"deck {left}", (
        Part(_both(left), (0, 0, 49.7, 100), (0, 0, 100, 49.7)),
        Part(_both(right), (50.3, 0, 49.7, 100), (0, 50.3, 100, 49.7)),
    ))


def _strip(n: int) -> Block:
    strip = f"/channel/{n}"
    name, colour = (f"deck {n}", f"deck {n}") if n <= DECKS else (f"pads {n - DECKS}", "none")
    eq = [Widget(Kit.FADER, f"{strip}/{band}", 0, 1 + i, 2, sideways=True, colour="cyan" if band == "filter" else "white")
          for i, band in enumerate(("high", "mid", "low", "filter"))]
    assigns = [Widget(Kit.SET, f"{strip}/assign", 1, 5 + 5 / 3 * i, 1, 5 / 3, label=side, value=side, colour="cyan", size=16)
               for i, side in enumerate((ASSIGNS[1], ASSIGNS[0], ASSIGNS[2]))]
    return Block(2, 12, (
        Widget(Kit.CAPTION, "", 0, 0, 2, 0.7, label=name, colour=colour, size=22),
        Widget(Kit.METER, f"{strip}/meter", 0, 0.7, 2, 0.3, colour="chords", sideways=True), *eq,
        Widget(Kit.FADER, f"{strip}/fader", 0, 5, 1, 5, label="level", colour=colour, size=16, jumps=True), *assigns,
        Widget(Kit.TOGGLE, f"{strip}/cue", 0, 10, 2, colour="recorded"),
        Widget(Kit.TOGGLE, f"{strip}/mute", 0, 11, 1, colour="red", size=16),
        Widget(Kit.TOGGLE, f"{strip}/solo", 1, 11, 1, colour="lead", size=16),
    ))


def _mixer() -> Page:
    strips = tuple(Part(_strip(n), (10 * (n - 1), 0, 10, 87), (12.5 * (n - 1), 0, 12.5, 72)) for n in range(1, CHANNELS + 1))
    cross = Block(1, 1, (Widget(Kit.FADER, "/mixer/crossfader", sideways=True, jumps=True, label="A   crossfader   B",
                                colour="white", size=20),))
    out = tiles([
        Widget(Kit.FADER, "/mixer/master", label="master", colour="white"),
        Widget(Kit.FADER, "/mixer/booth", label="booth", colour="white"),
        Widget(Kit.FADER, "/mixer/cue/level", label="phones", colour="recorded"),
        Widget(Kit.FADER, "/mixer/cue/mix", label="cue mix", colour="recorded"),
        Widget(Kit.METER, "/mixer/meter/left", label="L", colour="chords"),
        Widget(Kit.METER, "/mixer/meter/right", label="R", colour="chords"),
    ], 2, 6)
    return Page("Mixer", "white", (
        *strips, Part(cross, (0, 88, 80, 12), (0, 73, 100, 9)), Part(out, (81, 0, 19, 100), (0, 83, 100, 17))))


def _clock() -> Page:
    count = tiles([Widget(Kit.READOUT, f"/clock/{name}", label=label, size=34) for name, label in (
        ("bpm", "BPM"), ("beat", "beat"), ("bar", "bar"), ("phrase_bar", "of phrase"))], 4, 4)
    tempo = Block(1, 1, (Widget(Kit.FADER, "/clock/bpm", sideways=True, label="tempo", colour="white", span=(70.0, 180.0)),))
    actions = tiles([
        Widget(Kit.TOGGLE, "/clock/play", label="run", colour="chords", size=24),
        Widget(Kit.PRESS, "/clock/tap", label="TAP", colour="white", size=30),
        Widget(Kit.PRESS, "/clock/restart", label="one", colour="white", size=24),
        Widget(Kit.TOGGLE, "/clock/metronome", label="click", colour="recorded"),
        Widget(Kit.TOGGLE, "/clock/link", label="Link", colour="cyan"),
        Widget(Kit.TOGGLE, "/clock/out/midi", label="MIDI out", colour="cyan"),
    ], 6, 3)
    metres = tiles([Widget(Kit.SET, "/clock/metre", label=m, value=m, colour="bass", size=22) for m in METRES], 6, 6)
    grid = tiles([Widget(Kit.SET, "/clock/quantize", label=q, value=q, colour="texture") for q in QUANTIZES], 10, 5)
    sources = tiles([Widget(Kit.SET, "/clock/source", label=s, value=s, colour="cyan") for s in SOURCES], 4, 4)
    scenes = tiles(_scenes(), 8, 4)
    keep = tiles([Widget(Kit.PRESS, f"/scene/{n}/store", label=f"keep as {n}", colour="grey", size=16)
                  for n in range(1, SCENES + 1)], 8, 4)
    return Page("Clock", "texture", (
        Part(count, (0, 0, 100, 14), (0, 0, 100, 10)), Part(tempo, (0, 15, 100, 11), (0, 11, 100, 8)),
        Part(actions, (0, 27, 100, 16), (0, 20, 100, 20)), Part(metres, (0, 44, 60, 11), (0, 41, 100, 8)),
        Part(sources, (61, 44, 39, 11), (0, 50, 100, 7)), Part(grid, (0, 56, 100, 12), (0, 58, 100, 14)),
        Part(scenes, (0, 69, 100, 20), (0, 73, 100, 16)), Part(keep, (0, 90, 100, 10), (0, 90, 100, 10)),
    ))


def _gen() -> Page:
    say = Block(10, 2, (
        Widget(Kit.ENTRY, "/gen/prompt", 0, 0, 10, label="prompt", size=24),
        Widget(Kit.READOUT, "/gen/message", 0, 1, 7, size=16),
        Widget(Kit.READOUT, "/gen/queued", 7, 1, 1.5, label="wait"),
        Widget(Kit.READOUT, "/gen/running", 8.5, 1, 1.5, label="at work"),
    ))
    make = tiles([Widget(Kit.SET, "/gen/generate", label=f"{words}: pad {pad}", value=(f"only {words}", f"/pad/{pad}"),
                          colour=role, size=20)
                  for words, pad, role in RECIPES], 4, 2)
    more = tiles([
        Widget(Kit.SET, "/gen/generate", label="prompt: pad 8", value=("", "/pad/8"), colour="white", size=18),
        Widget(Kit.PRESS, "/gen/fill", label="fill pads", colour="white", size=18),
        *(Widget(Kit.SET, "/gen/bars", label=f"{n} bars" if n > 1 else "1 bar", value=n, colour="texture")
          for n in (1, 2, 4, 8, 16, 32)),
    ], 8, 4)
    knobs = tiles([Widget(Kit.FADER, f"/gen/{name}", sideways=True, colour="texture", size=20)
                   for name in ("energy", "complexity", "humanize")], 3, 1)
    keys = tiles([Widget(Kit.SET, "/gen/key", label=key.replace(" minor", "m").replace(" major", ""), value=key, size=20,
                         colour="bass" if "minor" in key else "chords") for key in KEYS], 12, 6)
    return Page("Generate", "lead", (
        Part(say, (0, 0, 100, 18), (0, 0, 100, 12)), Part(make, (0, 19, 100, 26), (0, 13, 100, 30)),
        Part(more, (0, 46, 100, 12), (0, 44, 100, 14)), Part(knobs, (0, 59, 100, 14), (0, 59, 100, 19)),
        Part(keys, (0, 74, 100, 26), (0, 79, 100, 21)),
    ))


def _visuals() -> Page:
    scenes = tiles([Widget(Kit.SET, "/visuals/scene", label=name, value=name, colour="texture", size=22)
                    for name in SHADERS], 6, 3)
    acts = tiles([
        Widget(Kit.PRESS, "/visuals/next", label="next scene", colour="white", size=22),
        Widget(Kit.TOGGLE, "/visuals/freeze", label="freeze", colour="cyan", size=22),
        Widget(Kit.TOGGLE, "/visuals/blackout", label="blackout", colour="red", size=22),
    ], 3, 3)
    base = [Widget(Kit.FADER, f"/visuals/{name}", colour="white") for name in ("brightness", "reactivity", "speed")]
    knobs = [Widget(Kit.FADER, f"/visuals/param/{n}/value", label=f"knob {n}", colour="lead", jumps=True) for n in range(1, 9)]
    return Page("Visuals", "lead", (
        Part(scenes, (0, 0, 100, 20), (0, 0, 100, 20)), Part(acts, (0, 21, 100, 16), (0, 21, 100, 10)),
        Part(tiles(base, 3, 3), (0, 38, 27, 62), (0, 32, 100, 32)),
        Part(tiles(knobs, 8, 8), (28, 38, 72, 62), (0, 65, 100, 35)),
    ))


def _safe() -> Page:
    record = tiles([
        Widget(Kit.TOGGLE, "/record/on", label="RECORD", colour="red", size=30),
        Widget(Kit.PRESS, "/record/mark", label="mark", colour="recorded", size=24),
        Widget(Kit.PRESS, "/record/copy", label="to USB stick", colour="cyan", size=20),
        Widget(Kit.PRESS, "/session/save", label="save session", colour="chords", size=20),
    ], 4, 2)
    tape = Block(4, 2, (
        Widget(Kit.READOUT, "/record/seconds", 0, 0, 1, label="recorded", size=20),
        Widget(Kit.READOUT, "/record/room", 1, 0, 1, label="room", size=20),
        Widget(Kit.READOUT, "/system/load", 2, 0, 1, label="load", size=20),
        Widget(Kit.READOUT, "/system/overruns", 3, 0, 1, label="late blocks", size=20),
        Widget(Kit.READOUT, "/record/file", 0, 1, 4, size=16),
    ))
    words = Block(1, 1, (Widget(Kit.READOUT, "/system/message", size=18),))
    panic = tiles([
        Widget(Kit.PRESS, "/panic/tails", label="end tails", colour="drums", size=26),
        Widget(Kit.PRESS, "/panic/home", label="HOME: safe loop", colour="drums", size=26),
        Widget(Kit.TOGGLE, "/panic/mute", label="MUTE", colour="red", size=34),
    ], 3, 1)
    return Page("Rec Panic", "red", (
        Part(record, (0, 0, 100, 24), (0, 0, 100, 24)), Part(tape, (0, 25, 100, 24), (0, 25, 100, 18)),
        Part(words, (0, 50, 100, 12), (0, 44, 100, 10)), Part(panic, (0, 63, 100, 37), (0, 55, 100, 45)),
    ))



def _bar(bpm: float, bar: float, beat: float, words: float, rec: float, tap: float) -> Block:
    """A row of widgets with these widths."""
    row = (
        (bpm, Widget(Kit.READOUT, "/clock/bpm", label="BPM", size=26)),
        (bar, Widget(Kit.READOUT, "/clock/bar", label="bar", size=26)),
        (beat, Widget(Kit.READOUT, "/clock/beat", label="beat", size=26)),
        (words, Widget(Kit.READOUT, "/system/message", size=16)),
        (rec, Widget(Kit.READOUT, "/record/on", label="rec", colour="red", size=20)),
        (tap, Widget(Kit.PRESS, "/clock/tap", label="TAP", colour="white", size=24)),
    )
    placed: list[Widget] = []
    x = 0.0
    for width, widget in row:
        placed.append(replace(widget, x=x, w=width))
        x += width
    return Block(x, 1, tuple(placed))


BAR = Page("bar", "grey", (Part(replace(_bar(3.2, 2.8, 2.4, 10.6, 2, 3), upright=_bar(4.4, 3.4, 3, 7.2, 2.4, 3.6)),
                                (0, 0, 100, 100), (0, 0, 100, 100)),))
"""The line at the top, whatever page is open."""

PAGES = (_pads(), _decks(1, 2), _decks(3, 4), _mixer(), _clock(), _gen(), _visuals(), _safe())
