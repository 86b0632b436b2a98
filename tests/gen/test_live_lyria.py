# SPDX-License-Identifier: GPL-3.0-or-later
"""Lyria RealTime through its real library, against a server on 127.0.0.1 that speaks its protocol: steering, jitter, faults,
and the embedded generator that plays whenever it does not. Time is real here: the engine keeps to the clock on the wall."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("google.genai", reason="google-genai is not installed: the extra lyria")

from appliance import config
from appliance.gen.live.lyria import Lyria, read_key, scale
from appliance.gen.live.steering import Texts, steering
from tests.gen.fakelyria import CHUNK_S, TONE_HZ, FakeLyria
from tests.gen.livestage import RATE, STEP, Stage, gaps

KEY = "not-a-real-key"
BPM = 300.0  # of the clock: Lyria plays half of it


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLyria]:
    with FakeLyria(tmp_path) as fake:
        monkeypatch.setenv("SSL_CERT_FILE", str(fake.certificate))
        monkeypatch.setenv("GEMINI_API_KEY", KEY)
        yield fake


class Show:
    """A stage whose stream is Lyria's."""

    def __init__(self, server: FakeLyria, **settings: object) -> None:
        self.messages: list[str] = []
        wanted = config.Lyria.model_validate({"url": server.url, "buffer_s": 0.3, "stall_s": 0.6, **settings})
        self.lyria = Lyria(wanted, RATE, self.messages.append)
        self.stage = Stage(BPM, self.lyria)
        self.stage.values.set("/gen/live/only_bass_and_drums", True)
        self.stage.values.set("/gen/live/backend", "lyria")
        self.stage.texts = Texts(("techno", *[""] * 7))
        self.stage.before_step = self._pace
        self.sources: list[str] = []
        self._began: float | None = None

    def _pace(self, frame: int) -> None:
        if self._began is None:
            self._began = time.monotonic() - frame / RATE
        early_s = self._began + frame / RATE - time.monotonic()
        if early_s < -0.05:  # the machine stood still, and the engine with it
            self._began -= early_s
        time.sleep(max(early_s, 0))
        values = self.stage.values
        on = bool(values.get("/gen/live/on")) and values.get("/gen/live/backend") == "lyria"
        self.lyria.steer(steering(values, self.stage.texts), float(values.get("/clock/bpm")), on)
        self.sources.append(self.stage.player.source)

    def until(self, condition: Callable[[], object], seconds: float = 8.0) -> None:
        end = self.stage.engine.frame + seconds * RATE
        while not condition():
            assert self.stage.engine.frame < end, f"not within {seconds:g} s; {self.messages}"
            self.stage.run(STEP / RATE)

    def until_heard(self, source: str) -> None:
        self.until(lambda: self.stage.player.source == source)

    @property
    def sounding(self) -> np.ndarray:
        """From the first sound to the last of now."""
        sound = self.stage.heard
        return sound[int(np.flatnonzero(np.abs(sound).max(axis=1) > 1e-3)[0]) :]


@pytest.fixture
def show(server: FakeLyria) -> Iterator[Show]:
    made = Show(server)
    yield made
    made.lyria.close()


def test_what_knobs_say_goes_to_the_server(server: FakeLyria, show: Show) -> None:
    values = show.stage.values
    for name, value in (("density", 0.25), ("brightness", 0.75), ("guidance", 5.5), ("temperature", 1.5), ("top_k", 77),
                        ("seed", 9), ("key", "D minor"), ("mode", "diversity"), ("mute_bass", True), ("prompt/2/weight", 0.5)):
        values.set(f"/gen/live/{name}", value)
    show.stage.texts = Texts(("techno", "warm rhodes", *[""] * 6))
    show.until(lambda: server.told("playbackControl"))
    assert server.told("setup") == [{"model": "models/lyria-realtime-exp"}] and server.keys == [KEY]
    assert server.told("clientContent") == [
        {"weightedPrompts": [{"text": "techno", "weight": 1.0}, {"text": "warm rhodes", "weight": 0.5}]}]
    assert server.told("musicGenerationConfig") == [{
        "bpm": 150, "scale": "F_MAJOR_D_MINOR", "density": 0.25, "brightness": 0.75, "guidance": 5.5, "temperature": 1.5,
        "topK": 77, "seed": 9, "muteBass": True, "muteDrums": False, "onlyBassAndDrums": True,
        "musicGenerationMode": "DIVERSITY"}]  # fmt: skip
    assert server.told("playbackControl")[0] == "PLAY"
    values.set("/gen/live/density", 0.5)
    show.until(lambda: server.told("musicGenerationConfig")[-1]["density"] == 0.5)
    assert "RESET_CONTEXT" not in server.told("playbackControl"), "density needs no other context"
    values.set("/gen/live/key", "A minor")
    show.until(lambda: server.told("playbackControl").count("RESET_CONTEXT") == 1)
    values.set("/clock/bpm", 126.0)
    show.until(lambda: server.told("musicGenerationConfig")[-1]["bpm"] == 126)
    show.until(lambda: server.told("playbackControl").count("RESET_CONTEXT") == 2)


def test_it_is_heard_on_the_beat_and_jitter_is_not(server: FakeLyria, show: Show) -> None:
    server.jitter_s = 0.2
    show.until_heard("lyria")
    begun = show.stage.engine.frame
    show.stage.run(2.5)
    assert set(show.sources[-75:]) == {"lyria"}
    sound = show.stage.heard[begun + RATE :, 0]
    assert not gaps(show.sounding) and show.stage.stalls == 0
    assert np.abs(np.diff(sound, 2)).max() < 0.17, "it clicks more than its own beat"
    near = np.abs(np.fft.rfft(sound[: RATE // 2] * np.hanning(RATE // 2)))
    assert np.argmax(near[: 2 * 1000]) * 2 == pytest.approx(TONE_HZ, abs=2)
    level = np.abs(sound)
    beats = np.flatnonzero((level[1:] > 0.3) & (level[:-1] <= 0.3))
    line = show.stage.clock.line(show.stage.clock.bar) - begun - RATE
    beat_s = 60 / BPM
    apart = (beats - line) / (beat_s * RATE)
    assert len(beats) > 3 and np.abs(apart - np.round(apart)).max() * beat_s < 0.004, "its beats are not the clock's"


@pytest.mark.parametrize("fault", ["close", "text", *(pytest.param(f, marks=pytest.mark.soak) for f in ("stall", "garbage"))])
def test_the_cable_is_pulled_and_the_embedded_one_carries_on_until_it_is_back(
    server: FakeLyria, show: Show, fault: str
) -> None:
    show.until_heard("lyria")
    server.fault = fault
    show.until_heard("embedded")
    words = {"close": "closed the session (1011", "stall": "sent nothing for 0.6 s", "text": "no audio", "garbage": "no audio"}
    show.until(lambda: any(words[fault] in message for message in show.messages))
    assert all("\n" not in message and KEY not in message for message in show.messages)
    assert all("embedded generator plays" in message for message in show.messages)
    server.fault = ""
    show.until_heard("lyria")
    show.stage.run(0.5)
    assert not gaps(show.sounding) and show.stage.stalls == 0


def test_a_prompt_that_is_refused_is_told(server: FakeLyria, show: Show) -> None:
    show.stage.texts = Texts(("techno", "something forbidden", *[""] * 6))
    show.until(lambda: show.lyria.filtered)
    assert show.lyria.filtered == ({"text": "something forbidden", "reason": "SAFETY"},)
    assert "refuses the prompt 'something forbidden': SAFETY" in show.messages[-1]
    show.stage.texts = Texts(("techno", *[""] * 7))
    show.until(lambda: not show.lyria.filtered)


def test_nobody_listens_and_the_session_is_closed(server: FakeLyria) -> None:
    show = Show(server, idle_s=1.0)
    show.until_heard("lyria")
    show.stage.values.set("/gen/live/on", False)
    show.until(lambda: server.told("playbackControl")[-1] == "PAUSE")
    assert server.open == 1
    show.until(lambda: server.open == 0 and not show.lyria.connected)
    assert "nobody has listened" in show.messages[-1]
    show.lyria.close()


@pytest.mark.soak
def test_a_server_that_lets_nobody_in_is_asked_again(server: FakeLyria, show: Show) -> None:
    server.away = True
    show.until(lambda: show.messages)
    show.until_heard("embedded")
    server.away = False
    show.until_heard("lyria")
    assert "closed the session (1013" in show.messages[0] and "tried again in 0.5 s" in show.messages[0]


def test_the_key_comes_from_the_environment_or_a_file_of_its_owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    with pytest.raises(Exception, match="set GEMINI_API_KEY"):
        read_key(None)
    file = tmp_path / "key"
    file.write_text("abc\n")
    file.chmod(0o644)
    with pytest.raises(Exception, match="chmod 600"):
        read_key(file)
    file.chmod(0o600)
    assert read_key(file) == "abc"
    with pytest.raises(Exception, match="cannot be read"):
        read_key(tmp_path / "none")


def test_keys_of_the_same_notes_are_one_scale() -> None:
    from google.genai import types

    assert scale("A minor") == scale("C major") == scale("D dorian") == types.Scale.C_MAJOR_A_MINOR.value
    assert {scale(f"{tonic} major") for tonic in ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")} == {
        member.value for member in types.Scale if member is not types.Scale.SCALE_UNSPECIFIED}


@pytest.mark.soak
def test_ten_minutes_of_jitter_and_not_one_underrun(server: FakeLyria) -> None:
    """200 ms of network jitter: no stall, no gap, no bar of the embedded one after the first second of Lyria's."""
    server.jitter_s, server.burst_s = 0.2, 3.0
    show = Show(server, buffer_s=1.0, stall_s=6.0)  # as they are in the config
    show.stage.values.set("/clock/bpm", 120.0)
    show.until(lambda: show.stage.player.source == "lyria", 20.0)
    show.stage.run(1.0)
    before, stalls, silent = len(show.sources), show.stage.stalls, 0
    for _ in range(60):
        show.stage.forget()
        show.stage.run(10.0)
        silent += len(gaps(show.stage.heard))
    others = sum(source != "lyria" for source in show.sources[before:])
    print(f"stalls {show.stage.stalls - stalls}, gaps {silent}, of {len(show.sources) - before} steps {others} not lyria's")
    assert (show.stage.stalls, silent, others) == (stalls, 0, 0)
    assert CHUNK_S < 0.2 <= server.jitter_s
    show.lyria.close()
