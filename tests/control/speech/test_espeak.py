# SPDX-License-Identifier: GPL-3.0-or-later
"""The real espeak-ng, and programs in its place that fail, hang, flood and lie."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from appliance.config import Voice
from appliance.control.speech.renderings import KEPT, LONGEST_S, Renderings
from appliance.errors import Unavailable
from appliance.library.espeak import Espeak, NotSpoken, samples

RATE = 48000
needs_espeak = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed")


def program(folder: Path, body: str) -> Voice:
    path = folder / "speaks"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return Voice(program=str(path))


@needs_espeak
async def test_it_speaks() -> None:
    sound, rate = await Espeak(Voice()).speak("pad three", 200)
    assert 0.3 < len(sound) / rate < 1.5
    assert 0.1 < np.abs(sound).max() <= 1.0


@needs_espeak
async def test_language_variant_and_speed_are_taken() -> None:
    heard = [await Espeak(Voice(language=language, variant=variant)).speak("deck one is loaded", speed)
             for language, variant, speed in (("en", "", 160), ("en", "f3", 160), ("de", "", 160), ("en", "", 320))]
    assert len({sound.tobytes() for sound, _ in heard}) == 4
    assert len(heard[3][0]) < 0.7 * len(heard[0][0])


@needs_espeak
@pytest.mark.parametrize("text", [
    "pad 3", "deep house, eigh minor, 1 24, two ready",
    "deck 1: the very long name of a track that nobody can say in so short a time is damaged after 3.5 seconds; copy it again",
    "word " * 200, "a" * 400, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20",
])
async def test_never_longer_than_two_and_a_half_seconds(text: str) -> None:
    said, sound = await Renderings(Espeak(Voice()), 220).get(text, RATE)
    assert sound.shape[1] == 2 and sound.dtype == np.float32
    assert 0.2 < len(sound) / RATE <= LONGEST_S
    assert np.abs(sound).max() == pytest.approx(0.5, abs=0.01), "all are equally loud"
    assert np.abs(sound[[0, -1]]).max() == 0.0, "silence at both ends"
    assert text.startswith(said.split()[0])


@needs_espeak
async def test_the_status_is_said_whole() -> None:
    text = "techno minimal, eigh minor, 1 24, two ready"
    assert (await Renderings(Espeak(Voice()), 220).get(text, RATE))[0] == text


@needs_espeak
async def test_what_was_said_before_is_at_hand() -> None:
    renderings = Renderings(Espeak(Voice()), 220)
    first = await renderings.get("pad 3", RATE)
    renderings.espeak = Espeak(Voice(program="/nowhere/at-all"))
    assert await renderings.get("pad 3", RATE) is first
    with pytest.raises(Unavailable):
        await renderings.get("pad 4", RATE)
    assert KEPT * LONGEST_S * RATE * 8 < 64e6


async def test_where_there_is_none_it_says_what_to_do() -> None:
    with pytest.raises(Unavailable, match="apt-get install espeak-ng"):
        await Espeak(Voice(program="/nowhere/at-all")).speak("x", 200)


async def test_one_that_hangs_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    began = time.monotonic()
    with pytest.raises(NotSpoken, match=r"ended after 1 s without a result"):
        await Espeak(program(tmp_path, f"echo $$ > {mark}; exec sleep 100"), limit_s=1).speak("x", 200)
    assert time.monotonic() - began < 60
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


@pytest.mark.parametrize(("body", "words"), [
    ("exit 3", "failed: status 3"), ("echo no such voice >&2; exit 1", "failed: no such voice"), ("exit 0", "no sound"),
    ("echo this is not a sound at all, not in the least", "no sound"), ("exec cat /dev/zero", "gave more than 4 MB"),
    ("kill -9 $$", "failed"),
])
async def test_what_goes_wrong_is_told(tmp_path: Path, body: str, words: str) -> None:
    with pytest.raises(NotSpoken, match=words):
        await Espeak(program(tmp_path, body), limit_s=20).speak("x", 200)


async def test_what_cannot_be_run(tmp_path: Path) -> None:
    path = tmp_path / "speaks"
    path.write_bytes(b"\x7fELF nonsense")
    path.chmod(0o755)
    with pytest.raises((NotSpoken, Unavailable)):
        await Espeak(Voice(program=str(path)), limit_s=20).speak("x", 200)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x03\0\2\0" + b"\0" * 40,
                                  b"RIFF\0\0\0\0WAVEdata\xff\xff\xff\x7f" + b"\1" * 100])
def test_broken_sound_is_refused(data: bytes) -> None:
    with pytest.raises(NotSpoken):
        samples(data)
