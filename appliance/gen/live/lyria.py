# SPDX-License-Identifier: GPL-3.0-or-later
"""Lyria RealTime as a maker of the stream, through google-genai: prompts and knobs go there, 48 kHz stereo comes back.

A thread of its own keeps one session. Whatever the server does (it is away, refuses, closes, stalls, sends something that is no
audio) is one plain message; the session is opened again, later and later, and meanwhile nothing arrives: the embedded generator
plays. Nobody listens for a while: it pauses, and after a longer while the session is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from appliance import config
from appliance.errors import ApplianceError, BadFile, Unavailable
from appliance.gen.live.arrived import RATE, Arrived, folded
from appliance.gen.live.bars import Place, Samples
from appliance.gen.live.steering import Steering
from appliance.gen.theory import parse_key
from appliance.gen.vocabulary import PARTS

log = logging.getLogger(__name__)
CONNECT_S, CLOSE_S = 10.0, 0.3
FIRST_RETRY_S, LAST_RETRY_S = 0.5, 15.0
STEER_S = 0.1
MORE_S, MOST_S = (1.0, 4.0), 30.0
"""With more than the second beyond what is needed, the server is to pause; with less than the first it plays on. What is over
the last is left out. Not to read would hold up the answers to pings, too, and the session would be closed."""
STEADY_S = 0.5
"""A tempo that is to be asked for has stood so long."""
_KEPT_BPM = 0.75
_SCALES = ("C_MAJOR_A_MINOR", "D_FLAT_MAJOR_B_FLAT_MINOR", "D_MAJOR_B_MINOR", "E_FLAT_MAJOR_C_MINOR", "E_MAJOR_D_FLAT_MINOR",
           "F_MAJOR_D_MINOR", "G_FLAT_MAJOR_E_FLAT_MINOR", "G_MAJOR_E_MINOR", "A_FLAT_MAJOR_F_MINOR", "A_MAJOR_G_FLAT_MINOR",
           "B_FLAT_MAJOR_G_MINOR", "B_MAJOR_A_FLAT_MINOR")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of it."""

    state: Steering = field(default_factory=Steering)
    bpm: float = 120.0
    on: bool = False
    resets: int = 0


def prompts(state: Steering) -> list[dict[str, Any]]:
    """As the server takes them; there is always one."""
    said = state.prompts or ((state.style.replace("_", " "), 1.0),)
    return [{"text": text, "weight": weight} for text, weight in said]


def scale(key: str) -> str:
    """The library's name for a key: those of the same notes are one."""
    return _SCALES[parse_key(key).relative_major]


def settings(state: Steering, tempo: float) -> dict[str, Any]:
    """Fields of the library's LiveMusicGenerationConfig."""
    cloud, parts = state.cloud, state.parts
    return {
        "bpm": round(tempo), "scale": scale(state.key), "density": round(state.density, 3),
        "brightness": round(state.brightness, 3), "guidance": round(cloud.guidance, 3),
        "temperature": round(state.temperature, 3), "top_k": cloud.top_k, "seed": state.seed,
        "mute_bass": "bass" not in parts, "mute_drums": "drums" not in parts,
        "only_bass_and_drums": not any(part in parts for part in PARTS if part not in ("bass", "drums", "percussion")),
        "music_generation_mode": cloud.mode.upper(),
    }  # fmt: skip


def read_key(file: Any) -> str:
    """From the environment, or from a file that nobody else may read. Raises :class:`BadFile`, :class:`Unavailable`."""
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        if key := os.environ.get(name, "").strip():
            return key
    if file is None:
        raise Unavailable("lyria needs a key: set GEMINI_API_KEY, or name a file with it as gen.lyria.key_file in the config")
    try:
        mode = file.stat().st_mode
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{file}: the key of lyria cannot be read ({error})") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BadFile(f"{file}: others may read the key of lyria; chmod 600 it")
    if not key:
        raise BadFile(f"{file}: is empty; the key of lyria stands in it")
    return key


class Lyria:
    """``say(text)`` is called from its thread. See :class:`appliance.gen.live.player.Maker`."""

    def __init__(self, wanted: config.Lyria, rate: int, say: Callable[[str], None]) -> None:
        self._settings = wanted
        self._say = say
        self._arrived = Arrived(rate, wanted.buffer_s)
        self._wish = Wish()
        self._resets = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="lyria", daemon=True)
        self._moved_s = 0.0
        self._heard_s = 0.0
        self._playing = False
        self._closings: set[asyncio.Task[None]] = set()
        self.connected = False
        self.filtered: tuple[dict[str, str], ...] = ()

    # -- from the player's thread

    def steer(self, state: Steering, bpm: float, on: bool) -> None:
        """What is wanted now; the first time, its thread begins."""
        if on and not self._thread.is_alive() and not self._closing.is_set():
            self._thread.start()
        if abs(bpm - self._wish.bpm) > 1e-9:
            self._moved_s = time.monotonic()
        self._wish = Wish(state, bpm, on, self._resets)

    def reset(self) -> None:
        """Another context."""
        self._resets += 1

    def has(self, place: Place, bpm: float) -> bool:
        return self._arrived.has(place, bpm)

    def bar(self, place: Place, bpm: float, fade: int) -> Samples | None:
        return self._arrived.bar(place, bpm, fade)

    @property
    def seconds(self) -> float:
        """What has come and was not played."""
        return self._arrived.seconds

    def close(self) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    # -- its own thread

    async def _run(self) -> None:
        wait_s = FIRST_RETRY_S
        while not self._closing.is_set():
            if not self._wish.on:
                await asyncio.sleep(STEER_S)
                continue
            began = time.monotonic()
            try:
                await self._session()
            except Exception as error:  # noqa: BLE001 - whatever server and library do, somebody else plays
                if self._heard_s > began:
                    wait_s = FIRST_RETRY_S
                self._say(f"lyria {_told(error)}; the embedded generator plays, and it is tried again in {wait_s:g} s")
                log.info("lyria: %s: %s", type(error).__name__, str(error)[:300])
                await self._rest(wait_s)
                wait_s = min(2 * wait_s, LAST_RETRY_S)
            else:
                wait_s = FIRST_RETRY_S
            finally:
                self.connected = False
                self._arrived.flush(0.0)

    async def _rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._wish.on and not self._closing.is_set():
            await asyncio.sleep(STEER_S / 2)

    async def _session(self) -> None:
        """Open one and keep it until it fails, or nobody has listened for long."""
        key = read_key(self._settings.key_file)
        warnings.filterwarnings("ignore", message=".*experimental.*")
        from google import genai
        from google.genai import types

        options = types.HttpOptions(api_version="v1alpha", base_url=self._settings.url or None)
        client = genai.Client(api_key=key, http_options=options)
        stack = contextlib.AsyncExitStack()
        async with asyncio.timeout(CONNECT_S):
            session = await stack.enter_async_context(client.aio.live.music.connect(model=self._settings.model))
        self.connected, self._playing = True, False
        steering = asyncio.create_task(self._steer(session, types))
        hearing = asyncio.create_task(self._hear(session))
        try:
            await asyncio.wait({steering, hearing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (steering, hearing):
                task.cancel()
            done = await asyncio.gather(steering, hearing, return_exceptions=True)
            self.connected = False
            closing = asyncio.create_task(stack.aclose())
            self._closings.add(closing)  # a server that is gone does not say goodbye: nobody waits for that
            closing.add_done_callback(self._closed)
            await asyncio.wait({closing}, timeout=CLOSE_S)
        for result in done:
            if isinstance(result, Exception):
                raise result

    def _closed(self, closing: asyncio.Task[None]) -> None:
        self._closings.discard(closing)
        if not closing.cancelled() and (error := closing.exception()):
            log.debug("lyria: %r while the session was closed", error)

    async def _steer(self, session: Any, types: Any) -> None:
        """Send what has changed; ends when the session has been idle for long."""
        said: list[dict[str, Any]] = []
        sent: dict[str, Any] = {}
        idle_s, resets = time.monotonic(), self._wish.resets
        while not self._closing.is_set():
            wish, now_s = self._wish, time.monotonic()
            if wish.on:
                idle_s = now_s
                if (wanted := prompts(wish.state)) != said:
                    self.filtered = ()
                    await session.set_weighted_prompts(prompts=[types.WeightedPrompt(**prompt) for prompt in wanted])
                    said = wanted
                if (fields := settings(wish.state, self._tempo(wish.bpm, sent.get("bpm"), now_s))) != sent:
                    await session.set_music_generation_config(config=types.LiveMusicGenerationConfig(**fields))
                    other = any(fields[name] != sent.get(name) for name in ("bpm", "scale"))
                    if other:  # it goes on as before until its context is another one
                        self._arrived.flush(float(fields["bpm"]))
                        if sent:
                            await session.reset_context()
                    sent = fields
                if resets != wish.resets:
                    resets = wish.resets
                    await session.reset_context()
                over_s = self._arrived.seconds - self._arrived.needed_s
                if not self._playing and over_s < MORE_S[0]:
                    await session.play()
                    self._playing, self._heard_s = True, time.monotonic()
                elif self._playing and over_s > MORE_S[1]:
                    await session.pause()
                    self._playing = False
            elif self._playing:
                await session.pause()
                self._playing = False
                self._arrived.flush(self._arrived.tempo)
            elif now_s - idle_s > self._settings.idle_s:
                self._say("lyria: the session is closed, nobody has listened for a while")
                return
            await asyncio.sleep(STEER_S)
        await session.stop()

    def _tempo(self, bpm: float, asked: float | None, now_s: float) -> float:
        """What to ask for: the clock's tempo, when it has moved and stands again."""
        tempo = min(max(round(folded(bpm)[0]), 60), 200)
        if asked is None:
            return tempo
        steady = now_s - self._moved_s > STEADY_S
        return tempo if steady and abs(folded(bpm)[0] - asked) > _KEPT_BPM else asked

    async def _hear(self, session: Any) -> None:
        """Take what comes. Raises when nothing does, or something that is no audio."""
        stream = session.receive()
        while True:
            message = asyncio.ensure_future(anext(stream))
            try:
                while not message.done():
                    await asyncio.wait({message}, timeout=STEER_S)
                    if self._playing and time.monotonic() - self._heard_s > self._settings.stall_s:
                        raise Unavailable(f"has sent nothing for {self._settings.stall_s:g} s")
            finally:
                message.cancel()
            self._take(message.result())

    def _take(self, message: Any) -> None:
        if message.filtered_prompt is not None:
            text = str(message.filtered_prompt.text or "")[:200]
            reason = str(message.filtered_prompt.filtered_reason or "it gives no reason")[:200]
            self.filtered = (*self.filtered, {"text": text, "reason": reason})
            self._say(f"lyria refuses the prompt {text!r}: {reason}; say it in other words")
        for chunk in (message.server_content.audio_chunks or ()) if message.server_content is not None else ():
            self._heard_s = time.monotonic()
            made_for = chunk.source_metadata.music_generation_config if chunk.source_metadata else None
            audio = pcm(chunk.data, chunk.mime_type)
            right = made_for is None or made_for.bpm in (None, round(self._arrived.tempo))
            if right and self._arrived.seconds < MOST_S:
                self._arrived.add(audio)


def pcm(data: Any, mime: str | None) -> Samples:
    """16-bit stereo at 48 kHz as (frames, 2) float32. Raises :class:`Unavailable` when it is something else."""
    kind = (mime or "").replace(" ", "").lower()
    fields = dict(field.split("=", 1) for field in kind.split(";") if "=" in field)
    audio = not kind or kind.startswith("audio/")
    if not audio or fields.get("rate", str(RATE)) != str(RATE) or fields.get("channels", "2") != "2":
        raise Unavailable(f"sent {mime!r} where 16-bit stereo at 48 kHz should be")
    if not isinstance(data, bytes) or len(data) % 4:
        raise Unavailable("sent something that is no audio")
    return np.frombuffer(data, "<i2").reshape(-1, 2).astype(np.float32) / np.float32(32768)


def _told(error: Exception) -> str:
    """What went wrong, for a person on stage."""
    if isinstance(error, ApplianceError):
        return error.message.removeprefix("lyria ")
    if isinstance(error, ImportError):
        return "needs google-genai: pip install 'appliance[lyria]'"
    if isinstance(error, TimeoutError):
        return f"has not answered within {CONNECT_S:g} s"
    if isinstance(error, OSError):
        return f"cannot be reached ({error.strerror or type(error).__name__})"
    code = getattr(error, "code", None)
    if isinstance(code, int):
        reason = " ".join(str(getattr(error, "message", "") or getattr(error, "details", "")).split())[:120]
        return f"has closed the session ({code}{': ' if reason else ''}{reason})"
    if isinstance(error, StopAsyncIteration):
        return "has closed the session"
    if isinstance(error, ValueError | TypeError | AttributeError):
        return "sent something that is no audio"
    return f"failed ({type(error).__name__})"
