# SPDX-License-Identifier: GPL-3.0-or-later
"""What Mixxx's keys are here: an address with its mode, value and range; or why there is none.

Groups: ``[ChannelN]`` is deck N and its channel, ``[SamplerN]`` pad N of the first banks, ``[Master]`` the mixer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from appliance.nodes.fx import PARAMETERS, SLOTS, UNITS
from appliance.nodes.pad import BANKS, PADS

DECKS = 4


@dataclass(frozen=True, slots=True)
class Here:
    """``to`` as in a profile; ``settings`` of the binding besides. ``shows``: what a lamp of the key shows ("": nothing)."""

    to: str
    settings: tuple[tuple[str, Any], ...] = ()
    shows: str = ""
    equals: Any = None


@dataclass(frozen=True, slots=True)
class Nothing:
    """This box has nothing for it; ``why`` is a reason of the report."""

    why: str


def _here(to: str, shows: str | None = "", equals: Any = None, **settings: Any) -> Here:
    return Here(to, tuple(settings.items()), to if shows is None else shows, equals)


_C = "/channel/{n}"
_D = "/deck/{n}"
_DECK: tuple[tuple[str, Here], ...] = (
    (r"play|start_play|play_indicator|start_stop|play_stutter", _here(f"{_D}/play", None)),
    (r"stop", _here(f"{_D}/play", None, value=False)),
    (r"start|cue_goto|cue_gotoandstop", _here(f"{_D}/seek", value=0.0)),
    (r"end", _here(f"{_D}/seek", value=1.0)),
    (r"cue_default|cue_preview|cue_indicator|cue_simple|cue_cdj|cue_play", _here(f"{_D}/cue", f"{_D}/cue")),
    (r"cue_gotoandplay", _here(f"{_D}/cue")),
    (r"cue_set", _here(f"{_D}/cue")),
    (r"volume", _here(f"{_C}/fader")),
    (r"pregain", _here(f"{_C}/trim")), (r"pregain_set_default", _here(f"{_C}/trim", value=0.0)),
    (r"filter", _here(f"{_C}/filter", curve="centre")), (r"balance", _here(f"{_C}/pan")),
    (r"filterLow", _here(f"{_C}/low")), (r"filterMid", _here(f"{_C}/mid")), (r"filterHigh", _here(f"{_C}/high")),
    (r"filterLowKill", _here(f"{_C}/kill/low", None)), (r"filterMidKill", _here(f"{_C}/kill/mid", None)),
    (r"filterHighKill", _here(f"{_C}/kill/high", None)),
    (r"pfl", _here(f"{_C}/cue", None)), (r"mute", _here(f"{_C}/mute", None)),
    (r"orientation", _here(f"{_C}/assign")),
    (r"rate|pitch_adjust", _here(f"{_D}/rate")),
    (r"rate_set_default|rate_set_zero", _here(f"{_D}/rate", value=1.0)),
    (r"rate_perm_up", _here(f"{_D}/rate", mode="step", value=0.005)),
    (r"rate_perm_down", _here(f"{_D}/rate", mode="step", value=-0.005)),
    (r"rate_perm_up_small", _here(f"{_D}/rate", mode="step", value=0.0005)),
    (r"rate_perm_down_small", _here(f"{_D}/rate", mode="step", value=-0.0005)),
    (r"rate_temp_up", _here(f"{_D}/nudge", mode="hold", range=[0.0, 0.04])),
    (r"rate_temp_down", _here(f"{_D}/nudge", mode="hold", range=[0.0, -0.04])),
    (r"rate_temp_up_small", _here(f"{_D}/nudge", mode="hold", range=[0.0, 0.02])),
    (r"rate_temp_down_small", _here(f"{_D}/nudge", mode="hold", range=[0.0, -0.02])),
    (r"fwd|slowfwd", _here(f"{_D}/nudge", mode="hold", range=[0.0, 0.5])),
    (r"back|slowback", _here(f"{_D}/nudge", mode="hold", range=[0.0, -0.5])),
    (r"jog|wheel", _here(f"{_D}/jog/turn")), (r"scratch2?_enable", _here(f"{_D}/jog/touch")),
    (r"keylock", _here(f"{_D}/keylock", None)), (r"slip_enabled", _here(f"{_D}/slip", None)),
    (r"quantize", _here(f"{_D}/quantize", None)),
    (r"sync_enabled|beatsync|beatsync_tempo|beatsync_phase|sync_mode", _here(f"{_D}/sync", None)),
    (r"sync_master|sync_leader", _here(f"{_D}/lead")),
    (r"sync_key", _here(f"{_D}/key/match")), (r"reset_key|pitch_adjust_set_default", _here(f"{_D}/key", value=0.0)),
    (r"pitch_set_default", _here(f"{_D}/key", value=0.0)),
    (r"pitch_up|pitch_up_small", _here(f"{_D}/key", mode="step", value=1.0)),
    (r"pitch_down|pitch_down_small", _here(f"{_D}/key", mode="step", value=-1.0)),
    (r"pitch", _here(f"{_D}/key")),
    (r"reverse", _here(f"{_D}/reverse", None)), (r"reverseroll", _here(f"{_D}/censor")),
    (r"loop_in", _here(f"{_D}/loop/in")), (r"loop_out", _here(f"{_D}/loop/out")),
    (r"loop_halve", _here(f"{_D}/loop/halve")), (r"loop_double", _here(f"{_D}/loop/double")),
    (r"reloop_exit|reloop_toggle|reloop_andstop", _here(f"{_D}/loop/reloop", f"{_D}/loop/auto")),
    (r"loop_enabled", _here(f"{_D}/loop/auto", None)), (r"beatloop|beatloop_activate", _here(f"{_D}/loop/auto", None)),
    (r"loop_scale", _here(f"{_D}/loop/beats")), (r"beatloop_size", _here(f"{_D}/loop/beats")),
    (r"loop_in_goto|loop_out_goto", _here(f"{_D}/loop/reloop")),
    (r"beatlooproll_activate", _here(f"{_D}/loop/roll", mode="hold", range=[0.0, 4.0])),
    (r"beatjump_forward", _here(f"{_D}/jump", value=4.0)), (r"beatjump_backward", _here(f"{_D}/jump", value=-4.0)),
    (r"playposition", _here(f"{_D}/seek")),
    (r"beats?_translate_curpos|beats_translate_match_alignment", _here(f"{_D}/grid/here")),
    (r"beats_translate_earlier", _here(f"{_D}/grid/nudge", value=-10.0)),
    (r"beats_translate_later", _here(f"{_D}/grid/nudge", value=10.0)),
    (r"bpm_tap", _here("/clock/tap")),
    (r"eject", _here(f"{_D}/unload")), (r"track_loaded", _here("", f"{_D}/loaded")),
    (r"LoadSelectedTrack|LoadSelectedTrackAndPlay", _here("/library/browse/load", value="{d}")),
    (r"flanger", _here("/fx/1/assign/{n}", None)),
)
_NUMBERED: tuple[tuple[str, str, tuple[tuple[str, Any], ...], str], ...] = (
    # key with its number as {k}: address, settings, what a lamp shows
    (r"hotcue_(\d+)_(?:activate|gotoandplay|goto|gotoandstop|activate_preview)", f"{_D}/hotcue/{{k}}/press", (), ""),
    (r"hotcue_(\d+)_enabled", "", (), f"{_D}/hotcue/{{k}}/at"),
    (r"hotcue_(\d+)_set", f"{_D}/hotcue/{{k}}/set", (), ""),
    (r"hotcue_(\d+)_clear", f"{_D}/hotcue/{{k}}/clear", (), ""),
)
_BEATS: tuple[tuple[str, str, str], ...] = (
    # a length in beats: key, address, how
    (r"beatloop_([\d.]+)(?:_toggle|_activate|_enabled)?", f"{_D}/loop", "loop"),
    (r"beatlooproll_([\d.]+)(?:_activate)?", f"{_D}/loop/roll", "roll"),
    (r"beatjump_([\d.]+)_forward", f"{_D}/jump", "forward"), (r"beatjump_([\d.]+)_backward", f"{_D}/jump", "backward"),
    (r"loop_move_([\d.]+)_forward", f"{_D}/loop/move", "forward"),
    (r"loop_move_([\d.]+)_backward", f"{_D}/loop/move", "backward"),
)
_SAMPLER: tuple[tuple[str, Here], ...] = (
    (r"cue_gotoandplay|start_play|play|cue_default|cue_preview|start_stop|play_indicator", _here("{p}/trigger", "{p}")),
    (r"stop|cue_gotoandstop|play_latched", _here("{p}/stop")), (r"eject", _here("{p}/clear")),
    (r"track_loaded", _here("", "{p}")), (r"pregain|volume", _here("{p}/gain")),
    (r"LoadSelectedTrack", _here("/library/browse/load", value="{pad}")), (r"beatsync|sync_enabled", _here("{p}/sync", None)),
    (r"keylock", _here("{p}/keylock", None)), (r"reverse", _here("{p}/reverse", None)),
)
_MASTER: tuple[tuple[str, Here], ...] = (
    (r"crossfader_set_default", _here("/mixer/crossfader", value=0.0)),
    (r"crossfader", _here("/mixer/crossfader")), (r"volume|gain", _here("/mixer/master", range=[-60.0, 0.0])),
    (r"balance", _here("/mixer/balance")), (r"headMix", _here("/mixer/cue/mix")),
    (r"headVolume|headGain", _here("/mixer/cue/level", range=[-60.0, 0.0])), (r"headSplit", _here("/mixer/cue/split", None)),
    (r"booth_gain", _here("/mixer/booth", range=[-60.0, 0.0])),
)
_LIBRARY: tuple[tuple[str, Here], ...] = (
    (r"SelectNextTrack|MoveDown|ScrollDown", _here("/library/browse/move", value=1)),
    (r"SelectPrevTrack|MoveUp|ScrollUp", _here("/library/browse/move", value=-1)),
    (r"SelectTrackKnob|MoveVertical|ScrollVertical", _here("/library/browse/move")),
    (r"SelectNextPlaylist|MoveFocusForward|MoveRight", _here("/library/browse/list", value=1)),
    (r"SelectPrevPlaylist|MoveFocusBackward|MoveLeft", _here("/library/browse/list", value=-1)),
    (r"SelectPlaylist|MoveFocus|MoveHorizontal", _here("/library/browse/list")),
    (r"ToggleSelectedSidebarItem|GoToItem|ChooseItem", _here("/library/browse/open")),
    (r"LoadSelectedIntoFirstStopped|LoadSelectedTrackIntoFirstStopped", _here("/library/browse/load")),
)
_UNIT: tuple[tuple[str, Here], ...] = (
    (r"enabled", _here("{u}/enabled", None)), (r"mix", _here("{u}/mix")), (r"super1|superknob|meta", _here("{u}/super")),
    (r"next_chain(?:_preset)?", _here("{u}/chain/move", value=1)),
    (r"prev_chain(?:_preset)?", _here("{u}/chain/move", value=-1)),
    (r"chain_selector|chain_preset_selector", _here("{u}/chain/move")),
    (r"group_\[master\]_enable", _here("{u}/assign/master", None)),
    (r"group_\[headphone\]_enable", _here("{u}/assign/headphones", None)),
)
_EFFECT: tuple[tuple[str, Here], ...] = (
    (r"enabled", _here("{s}/enabled", None)), (r"meta", _here("{s}/amount")),
    (r"next_effect", _here("{s}/effect/move", value=1)), (r"prev_effect", _here("{s}/effect/move", value=-1)),
    (r"effect_selector", _here("{s}/effect/move")),
)
_FLANGER: tuple[tuple[str, Here], ...] = (  # of old files, whose one effect was a flanger: the first unit's
    (r"lfodepth", _here("/fx/1/mix")), (r"lfodelay", _here("/fx/1/slot/1/param/1")),
    (r"lfoperiod", _here("/fx/1/slot/1/param/2")),
)
_EQ = ("low", "mid", "high")
_RECORDING: tuple[tuple[str, Here], ...] = ((r"toggle_recording|status", _here("/record/on", None)),)
_PLAIN = {"[recording]": _RECORDING, "[master]": _MASTER, "[playlist]": _LIBRARY, "[library]": _LIBRARY}
EFFECTS, WINDOW, AUTODJ, MICROPHONE, UNKNOWN = (
    "this box has no such effect control", "of a window, which this box has not", "the AI DJ is not there yet",
    "the microphone's channel is not there yet", "this box has nothing like it")
_WHY: tuple[tuple[str, str], ...] = (
    (r".* show(_\w+)?", WINDOW), (r"\[(effectrack|flanger|effectunit).*", EFFECTS),
    (r"\[autodj\].*", AUTODJ), (r"\[microphone\d*\].*", MICROPHONE),
    (r".* (maximize_library|show\w*|stars_\w+|track_color_\w+|vinylcontrol_\w+|passthrough|waveform_\w+)", WINDOW),
    (r"\[(previewdeck\d*|samplers|skin|channel\d+) ?\].* (flanger)", EFFECTS), (r".* flanger", EFFECTS),
    (r"\[(samplers|skin)\].*", WINDOW),
)


def look_up(group: str, key: str) -> Here | Nothing:
    """What a key of a group is here."""
    lower = group.lower()
    found: Here | None = None
    if match := re.fullmatch(r"\[channel(\d+)\]", lower):
        found = _of_deck(int(match[1]), key)
    elif match := re.fullmatch(r"\[sampler(\d+)\]", lower):
        found = _of_pad(int(match[1]), key)
    elif match := re.fullmatch(r"\[(?:equalizer|quickeffect)rack1_\[channel(\d+)\](?:_effect1)?\]", lower):
        found = _of_strip(int(match[1]), lower, key)
    elif match := re.fullmatch(r"\[effectrack1_effectunit(\d+)(?:_effect(\d+))?\]", lower):
        found = _of_effects(int(match[1]), int(match[2] or 0), key.lower())
    elif lower == "[flanger]":
        found = _first(_FLANGER, key.lower())
    elif lower in _PLAIN:
        found = _first(_PLAIN[lower], key)
    if found is not None:
        return found
    return Nothing(next((why for pattern, why in _WHY if re.fullmatch(pattern, f"{lower} {key}")), UNKNOWN))


def _first(table: tuple[tuple[str, Here], ...], key: str, **words: str) -> Here | None:
    for pattern, here in table:
        if re.fullmatch(pattern, key):
            settings = [(name, value.format(**words) if isinstance(value, str) else value) for name, value in here.settings]
            return Here(here.to.format(**words), tuple(settings), here.shows.format(**words), here.equals)
    return None


def _of_deck(number: int, key: str) -> Here | None:
    if not 1 <= number <= DECKS:
        return None
    words = {"n": str(number), "d": f"/deck/{number}"}
    for pattern, to, settings, shows in _NUMBERED:
        if (match := re.fullmatch(pattern, key)) and 1 <= int(match[1]) <= 8:
            return Here(to.format(n=number, k=match[1]), settings, shows.format(n=number, k=match[1]))
    for pattern, to, how in _BEATS:
        if match := re.fullmatch(pattern, key):
            return _of_beats(to.format(n=number), how, float(match[1]))
    return _first(_DECK, key, **words)


def _of_beats(to: str, how: str, beats: float) -> Here | None:
    if not 1 / 32 <= beats <= 64:
        return None
    if how == "loop":
        return Here(f"{to}/beats", (("value", beats), ("then", f"{to}/auto")), f"{to}/beats", beats)
    if how == "roll":
        return Here(to, (("mode", "hold"), ("range", [0.0, beats])))
    return Here(to, (("value", beats if how == "forward" else -beats),))


def _of_pad(number: int, key: str) -> Here | None:
    if not 1 <= number <= PADS * BANKS:
        return None
    pad = f"/bank/{(number - 1) // PADS + 1}/pad/{(number - 1) % PADS + 1}" if number > PADS else f"/pad/{number}"
    return _first(_SAMPLER, key, p=pad, pad=pad)


def _of_effects(unit: int, slot: int, key: str) -> Here | None:
    if not 1 <= unit <= UNITS or slot > SLOTS:
        return None
    address = f"/fx/{unit}"
    if slot:
        place = f"{address}/slot/{slot}"
        if (match := re.fullmatch(r"parameter(\d)", key)) and 1 <= int(match[1]) <= PARAMETERS:
            return Here(f"{place}/param/{match[1]}")
        return _first(_EFFECT, key, s=place)
    if (match := re.fullmatch(r"group_\[channel(\d)\]_enable", key)) and 1 <= int(match[1]) <= DECKS:
        return Here(f"{address}/assign/{match[1]}", shows=f"{address}/assign/{match[1]}")
    return _first(_UNIT, key, u=address)


def _of_strip(number: int, group: str, key: str) -> Here | None:
    if not 1 <= number <= DECKS:
        return None
    strip = f"/channel/{number}"
    if group.startswith("[quick"):
        if key == "enabled":  # off is the middle
            return Here(f"{strip}/filter", (("value", 0.0),))
        return Here(f"{strip}/filter", (("curve", "centre"),)) if re.fullmatch(r"super1|parameter1", key) else None
    if match := re.fullmatch(r"parameter([123])", key):
        return Here(f"{strip}/{_EQ[int(match[1]) - 1]}")
    if match := re.fullmatch(r"button_parameter([123])", key):
        return Here(f"{strip}/kill/{_EQ[int(match[1]) - 1]}", shows=f"{strip}/kill/{_EQ[int(match[1]) - 1]}")
    if match := re.fullmatch(r"parameter([123])_set_default", key):
        return Here(f"{strip}/{_EQ[int(match[1]) - 1]}", (("value", 0.0),))
    return None
