# SPDX-License-Identifier: GPL-3.0-or-later
"""espeak-ng as a process of its own for each text: given the words, it gives the sound back; ended when it takes too long."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import struct

import numpy as np

from appliance.bus.lifeline import tied
from appliance.config import Voice
from appliance.errors import ApplianceError, Unavailable

LIMIT_S = 5.0
"""Ten words take it 30 ms on a machine that has nothing else to do."""
MOST_BYTES = 4 << 20
"""A minute and a half; what gives more is no sentence."""
_READ_BYTES = 1 << 16
_QUIET = 0.002
_FADE_S = 0.005


class NotSpoken(ApplianceError):
    """What went wrong, for a person."""


class Espeak:
    """``settings``: program, voice, pitch. One text at a time."""

    def __init__(self, settings: Voice, limit_s: float = LIMIT_S) -> None:
        self._settings = settings
        self._limit_s = limit_s
        self._process: asyncio.subprocess.Process | None = None

    @property
    def is_there(self) -> bool:
        return shutil.which(self._settings.program) is not None

    async def speak(self, text: str, words_a_minute: int) -> tuple[np.ndarray, int]:
        """The sound, mono float32 -1 … 1, and its rate. Raises Unavailable where there is no such program,
        :class:`NotSpoken` when it fails, hangs or gives no sound."""
        if not self.is_there:
            raise Unavailable(f"the voice is silent: {self._settings.program} is not installed (apt-get install espeak-ng); "
                              "all else works")
        settings = self._settings
        voice = settings.language + (f"+{settings.variant}" if settings.variant else "")
        command = tied([settings.program, "--stdin", "--stdout", "-b", "1", "-v", voice, "-s", str(words_a_minute),
                        "-p", str(settings.pitch)])
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        except OSError as error:
            raise NotSpoken(f"{settings.program} cannot be started ({error.strerror or error})") from None
        try:
            async with asyncio.timeout(self._limit_s):
                data, complaint = await self._talk(process, text)
        except TimeoutError:
            raise NotSpoken(f"{settings.program} was ended after {self._limit_s:g} s without a result") from None
        finally:
            self.end()
            await process.wait()
        if process.returncode:
            lines = complaint.decode(errors="replace").strip().splitlines() or [f"status {process.returncode}"]
            raise NotSpoken(f"{settings.program} failed: {lines[-1][:200]}")
        return samples(data)

    async def _talk(self, process: asyncio.subprocess.Process, text: str) -> tuple[bytes, bytes]:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        complaint = asyncio.create_task(process.stderr.read(_READ_BYTES))
        try:
            with contextlib.suppress(OSError):
                process.stdin.write(text.encode() + b"\n")
                await process.stdin.drain()
            process.stdin.close()
            data = bytearray()
            while piece := await process.stdout.read(_READ_BYTES):
                data += piece
                if len(data) > MOST_BYTES:
                    raise NotSpoken(f"{self._settings.program} gave more than {MOST_BYTES >> 20} MB for a few words")
            await process.wait()
            return bytes(data), await complaint
        finally:
            complaint.cancel()

    def end(self) -> None:
        """Kill what runs."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


def samples(data: bytes) -> tuple[np.ndarray, int]:
    """Samples and rate of a mono 16-bit WAVE stream, whose header cannot know its length. Raises :class:`NotSpoken`."""
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise NotSpoken("the voice gave no sound")
    at, rate = 12, 0
    while at + 8 <= len(data):
        name, length = data[at : at + 4], int(struct.unpack_from("<I", data, at + 4)[0])
        if name == b"fmt " and at + 24 <= len(data):
            kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, at + 8)
            if (kind, channels, bits) != (1, 1, 16) or not 8000 <= rate <= 96000:
                raise NotSpoken(f"the voice gave sound of another kind (format {kind}, {channels} channels, {bits} bits)")
        elif name == b"data" and rate:
            body = data[at + 8 : at + 8 + length]
            sound = np.frombuffer(body[: len(body) // 2 * 2], "<i2").astype(np.float32) / 32768.0
            if not np.any(sound):
                raise NotSpoken("the voice gave no sound")
            return sound, rate
        at += 8 + length + length % 2
    raise NotSpoken("the voice gave no sound")


async def voices(language: str = "", program: str = "espeak-ng") -> list[dict[str, str]]:
    """What ``program --voices`` lists, of a language or all: voice, name and gender. Raises Unavailable."""
    command = [program, f"--voices={language}" if re.fullmatch(r"[A-Za-z-]+", language) else "--voices"]
    try:
        process = await asyncio.create_subprocess_exec(
            *tied(command), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
        async with asyncio.timeout(LIMIT_S):
            out, _ = await process.communicate()
    except (OSError, TimeoutError):
        raise Unavailable(f"{program} lists no voices: is it installed (apt-get install espeak-ng)?") from None
    rows = [line.split() for line in out.decode(errors="replace").splitlines()[1:]]
    return [{"voice": row[1], "name": row[3].replace("_", " "), "gender": row[2].rpartition("/")[2]}
            for row in rows if len(row) >= 4]


def trimmed(sound: np.ndarray) -> np.ndarray:
    """Without the silence around it."""
    loud = np.flatnonzero(np.abs(sound) > _QUIET)
    return sound[loud[0] : loud[-1] + 1] if len(loud) else sound[:1]


def at_rate(sound: np.ndarray, own_rate: int, rate: int) -> np.ndarray:
    """A copy, mono float32, at another rate (Hz), faded at both ends."""
    import soxr

    sound = np.array(sound if own_rate == rate else soxr.resample(sound, own_rate, rate, quality="HQ"), np.float32)
    if fade := min(round(_FADE_S * rate), len(sound) // 2):
        ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / fade)).astype(np.float32)
        sound[:fade] *= ramp
        sound[-fade:] *= ramp[::-1]
    return sound
