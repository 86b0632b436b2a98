# SPDX-License-Identifier: GPL-3.0-or-later
"""Voice drops: a text becomes a clip that plays once over the music. Over the hub, with espeak-ng."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import soundfile as sf

from appliance.errors import ApplianceError
from appliance.gen.conform import ROLE_LUFS
from appliance.gen.drop import dialogue, parse_drop
from appliance.gen.loudness import integrated_lufs
from appliance.gen.speaking import BREATH_S, say, voice_of
from appliance.library.espeak import trimmed

from .conftest import Running

spoken = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed")
PAD = "/bank/8/pad/16"


def said(**fields: object) -> np.ndarray:
    return say(parse_drop(fields), lambda _: None, lambda: False)[0]


@spoken
async def test_a_drop_is_made_for_its_pad_which_then_plays_it_over_the_music(running: Running) -> None:
    id_ = await running.do("/drop/now", "make some noise")
    await running.until(lambda: (f"{PAD}/trigger", [1.0]) in running.control.done)
    (address, file, options), = running.control.loads
    assert (address, options["role"], options["name"]) == (f"{PAD}/load", "voice", "make some noise")
    assert options["bpm"] is None and options["beats"] is None
    assert running.control.sets == [
        (f"{PAD}/mode", "oneshot"), (f"{PAD}/sync", False), (f"{PAD}/group", 4), ("/channel/8/talkover", True)]
    assert running.control.states["/drop/text"] == "make some noise"
    audio, rate = sf.read(file, dtype="float32", always_2d=True)
    assert 0.4 * rate < len(audio) < 2.5 * rate
    assert integrated_lufs(audio, rate) == pytest.approx(ROLE_LUFS["voice"], abs=0.5)
    assert (await running.job(id_))["took_s"] > 0
    with pytest.raises(ApplianceError, match="no recipe"):
        await running.do(f"{PAD}/vary", "simple")


@spoken
async def test_another_pad_another_voice_and_what_was_said_before_is_there_at_once(running: Running) -> None:
    running.control.hub.announce("/drop/voice", "de+f3")
    await running.do("/drop/say", "guten Abend", "/pad/3")
    await running.until(lambda: len(running.control.loads) == 1)
    await running.do("/drop/say", "guten Abend", "/pad/4")
    await running.until(lambda: len(running.control.loads) == 2)
    first, second = running.control.loads
    assert [first[0], second[0]] == ["/bank/1/pad/3/load", "/bank/1/pad/4/load"] and first[1] == second[1]
    assert not [address for address, _ in running.control.done if address.endswith("/trigger")]
    listed = await running.do("/drop/voices", "de")
    assert {"voice": "de", "name": "German", "gender": "M", "kept": False} in listed


async def test_what_is_no_drop_is_refused_with_the_reason(running: Running) -> None:
    for arguments, reason in (
        ([], "takes its text"), ([""], "text"), (["[S1] (laughs)"], "nothing to say"), (["x" * 601], "text"),
        (["\x00\x01"], "binary"), (["hello", "/deck/1"], "goes to a pad"), (["hello", "/pad/99"], "pad"),
        ([7], "takes its text"),
    ):
        with pytest.raises(ApplianceError, match=reason) as caught:
            await running.do("/drop/say", *arguments)
        assert caught.value.status < 500
    running.control.hub.announce("/drop/voice", "../x")
    with pytest.raises(ApplianceError, match="en-gb"):
        await running.do("/drop/say", "hello")


@spoken
async def test_without_dia_it_is_said_what_to_do_and_the_embedded_voice_speaks(running: Running) -> None:
    running.box.values.set("/drop/generator", "dia")
    await running.do("/drop/say", "hello", "/pad/3")
    await running.until(lambda: running.control.loads)
    assert "gen.dia" in running.control.states["/gen/message"] and "make gen-env" in running.control.states["/gen/message"]


async def test_voices_are_kept_listed_and_forgotten(running: Running) -> None:
    folder = running.box.data / "voices"
    recording = running.box.data / "bob.wav"
    sf.write(recording, 0.1 * np.sin(np.arange(3 * 44_100) / 9), 44_100)
    assert await running.do("/drop/voice/keep", "mc_bob", str(recording), "good  evening everybody\n") == "mc_bob"
    assert {"voice": "mc_bob", "name": "mc_bob", "kept": True} in await running.do("/drop/voices", "de")
    assert (folder / "mc_bob.txt").read_text() == "good evening everybody\n"
    assert sf.info(folder / "mc_bob.wav").frames == 3 * 44_100
    long = running.box.data / "long.wav"
    sf.write(long, np.zeros(25 * 8000), 8000)
    for arguments, reason in (
        (["../x", str(recording), "hello"], "letters"), (["x", str(recording), " "], "words that are heard"),
        (["x", str(recording)], "takes its name"), (["x", "/pad/9", "hello"], "empty"), (["x", str(long), "hello"], "20 s"),
        (["x", str(running.box.data / "none.wav"), "hello"], "none.wav"),
    ):
        with pytest.raises(ApplianceError, match=reason) as caught:
            await running.do("/drop/voice/keep", *arguments)
        assert caught.value.status < 500
    assert [path.name for path in folder.iterdir() if path.suffix == ".wav"] == ["mc_bob.wav"]
    await running.do("/drop/voice/forget", "mc_bob")
    assert not list(folder.iterdir())
    with pytest.raises(ApplianceError, match="no voice is called"):
        await running.do("/drop/voice/forget", "mc_bob")


@spoken
async def test_a_kept_voice_asks_for_dia_and_one_without_words_says_so(running: Running) -> None:
    folder = running.box.data / "voices"
    folder.mkdir()
    sf.write(folder / "bob.wav", 0.1 * np.sin(np.arange(44_100) / 9), 44_100)  # by hand
    (folder / "bob.txt").write_text("good evening")
    running.control.hub.announce("/drop/voice", "bob")
    await running.do("/drop/say", "hello", "/pad/3")
    await running.until(lambda: running.control.loads)
    assert "gen.dia" in running.control.states["/gen/message"]
    (folder / "bob.txt").write_text("")
    with pytest.raises(ApplianceError, match=r"bob\.txt must say what is heard"):
        await running.do("/drop/say", "hello")


def test_what_dia_is_told() -> None:
    assert dialogue("make some noise") == "[S1] make some noise"
    assert dialogue("Who? [S2] me (laughs) [s3] and me") == "[S1] Who? [S2] me (laughs) [S1] and me"


@spoken
async def test_a_voice_that_is_not_installed_fails_and_says_so(running: Running) -> None:
    running.control.hub.announce("/drop/voice", "zz")
    id_ = await running.do("/drop/say", "hello")
    await running.until(lambda: any(job["id"] == id_ and job["state"] == "failed" for job in running.control.jobs))
    assert "espeak-ng" in (await running.job(id_))["message"]


@spoken
def test_a_dialogue_has_two_voices_and_a_breath_between_them() -> None:
    one, other = said(text="hello there"), said(text="hello there", voice="en+" + voice_of("en", 2)[1])
    both = said(text="[S1] hello there (laughs) [S2] hello there")
    assert len(both) == pytest.approx(len(one) + len(other) + BREATH_S * 48_000, abs=2)
    gap = both[len(one) : len(one) + round(BREATH_S * 48_000), 0]
    assert not gap[10:-10].any()

    def centroid(sound: np.ndarray) -> float:
        spectrum = np.abs(np.fft.rfft(sound[:, 0]))
        return float((spectrum * np.arange(len(spectrum))).sum() / spectrum.sum() / len(sound))

    assert abs(centroid(one) / centroid(other) - 1) > 0.05, "the same voice twice"


@spoken
def test_speed_rate_and_ends() -> None:
    slow, fast = said(text="make some noise", speed=100), said(text="make some noise", speed=300)
    assert len(slow) > 1.8 * len(fast)
    low = said(text="make some noise", sample_rate=44_100)
    assert len(low) / 44_100 == pytest.approx(len(said(text="make some noise")) / 48_000, rel=1e-3)
    assert np.abs(fast[[0, -1]]).max() < 1e-4, "it ends in a click"
    assert len(trimmed(fast[:, 0])) > 0.95 * len(fast)
    np.testing.assert_array_equal(fast, said(text="make some noise", speed=300))


def test_speakers() -> None:
    assert voice_of("en", 1) == ("en", "")
    assert voice_of("en", 2)[1].startswith("f") and voice_of("en+f3", 2)[1].startswith("m")
    assert len({voice_of("en+m3", speaker)[1] for speaker in range(1, 5)}) == 4
    assert parse_drop({"text": "[S2] Who?  [s1] me (sighs)"}).turns() == [(2, "Who?"), (1, "me")]
    assert parse_drop({"text": "x"}).content_hash("1") == parse_drop({"text": "x", "name": "y"}).content_hash("1")
