# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of keys as Linux has them (``linux/input-event-codes.h``), without KEY_ and in lower case: ``kp1``, ``pageup``.

Buttons keep their ``btn_``. A key means its place on the device, whatever a layout or num lock makes of it.
"""

from __future__ import annotations

import difflib
import re

_RUNS = {
    1: (
        "esc 1 2 3 4 5 6 7 8 9 0 minus equal backspace tab q w e r t y u i o p leftbrace rightbrace enter leftctrl a s d "
        "f g h j k l semicolon apostrophe grave leftshift backslash z x c v b n m comma dot slash rightshift kpasterisk "
        "leftalt space capslock f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 numlock scrolllock kp7 kp8 kp9 kpminus kp4 kp5 kp6 kpplus "
        "kp1 kp2 kp3 kp0 kpdot"
    ),
    85: (
        "zenkakuhankaku 102nd f11 f12 ro katakana hiragana henkan katakanahiragana muhenkan kpjpcomma kpenter rightctrl "
        "kpslash sysrq rightalt linefeed home up pageup left right end down pagedown insert delete macro mute volumedown "
        "volumeup power kpequal kpplusminus pause scale kpcomma hangeul hanja yen leftmeta rightmeta compose stop again "
        "props undo front copy open paste find cut help menu calc setup sleep wakeup file sendfile deletefile xfer prog1 "
        "prog2 www msdos coffee rotate_display cyclewindows mail bookmarks computer back forward closecd ejectcd "
        "ejectclosecd nextsong playpause previoussong stopcd record rewind phone iso config homepage refresh exit move "
        "edit scrollup scrolldown kpleftparen kprightparen new redo f13 f14 f15 f16 f17 f18 f19 f20 f21 f22 f23 f24"
    ),
    200: (
        "playcd pausecd prog3 prog4 all_applications suspend close play fastforward bassboost print hp camera sound "
        "question email chat search connect finance sport shop alterase cancel brightnessdown brightnessup media "
        "switchvideomode kbdillumtoggle kbdillumdown kbdillumup send reply forwardmail save documents battery bluetooth "
        "wlan uwb unknown video_next video_prev brightness_cycle brightness_auto display_off wwan rfkill micmute"
    ),
    0x100: "btn_0 btn_1 btn_2 btn_3 btn_4 btn_5 btn_6 btn_7 btn_8 btn_9",
    0x110: "btn_left btn_right btn_middle btn_side btn_extra btn_forward btn_back btn_task",
    0x120: (
        "btn_trigger btn_thumb btn_thumb2 btn_top btn_top2 btn_pinkie btn_base btn_base2 btn_base3 btn_base4 btn_base5 "
        "btn_base6"
    ),
    0x130: (
        "btn_south btn_east btn_c btn_north btn_west btn_z btn_tl btn_tr btn_tl2 btn_tr2 btn_select btn_start btn_mode "
        "btn_thumbl btn_thumbr"
    ),
    0x160: "ok select goto clear power2 option info",
}
CODES = {name: first + place for first, run in _RUNS.items() for place, name in enumerate(run.split())}
NAMES = {code: name for name, code in CODES.items()}
MOST_KEYS = 256


def code_of(text: str) -> int:
    """``kp1``, ``KEY_KP1`` or ``BTN_LEFT`` as Linux's number. Raises ValueError with what was probably meant."""
    name = text.strip().lower().removeprefix("key_")
    if name in CODES:
        return CODES[name]
    close = difflib.get_close_matches(name, CODES, 1, 0.5)
    raise ValueError(f"{text!r} is no key{f'; did you mean {close[0]}?' if close else ', like kp1, f5, pageup or space'}")


def read_keys(value: object) -> list[tuple[int, ...]]:
    """``kp5``, ``kp1..kp9``, ``kp7|home`` (either of them) or a list of these: each key's codes. Raises ValueError."""
    found: list[tuple[int, ...]] = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, bool) or not isinstance(item, int | str):
            raise ValueError(f"{item!r} is no name of a key, like kp1, f5, pageup or space")
        text = str(item)
        row = re.fullmatch(r"\s*(\w*?)(\d{1,2})\s*\.\.\s*(\w*?)(\d{1,2})\s*", text)
        if row is None:
            found.append(tuple(code_of(name) for name in text.split("|")))
            continue
        if row[1].lower() != row[3].lower():
            raise ValueError(f"{text!r}: a row of keys is like kp1..kp9 or f1..f12")
        first, last = int(row[2]), int(row[4])
        step = 1 if first <= last else -1
        found += [(code_of(f"{row[1]}{number}"),) for number in range(first, last + step, step)]
    if not 0 < len(found) <= MOST_KEYS:
        raise ValueError("no keys" if not found else f"{len(found)} keys are more than a device has")
    return found
