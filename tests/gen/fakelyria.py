# SPDX-License-Identifier: GPL-3.0-or-later
"""Lyria RealTime as a client sees it: TLS and WebSocket on 127.0.0.1, the messages of the service, and everything that can go
wrong with it. It plays a tone with a click on every beat of the tempo that it was told."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import ipaddress
import json
import random
import ssl
import threading
from pathlib import Path
from typing import Any, Self

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.server import ServerConnection, serve

RATE = 48000
PATH = "/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateMusic"
CHUNK_S = 0.1
TONE_HZ = 441.0


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()))  # fmt: skip
    return paths


class FakeLyria:
    """A server in a thread of its own. ``fault``: "", or what it does instead of sending on: close, stall, text, garbage.
    ``away``: it lets nobody in. ``burst_s`` of music come at once, the rest as it is played, ``jitter_s`` late at most."""

    def __init__(self, folder: Path) -> None:
        self.certificate, key = certificate(folder)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(self.certificate, key)
        self.jitter_s, self.burst_s = 0.0, 3.0
        self.fault, self.away = "", False
        self.forbidden = "forbidden"
        self.said: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.open = 0
        self._links: list[ServerConnection] = []
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop and self._stop
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def told(self, kind: str) -> list[Any]:
        """What was said of one kind: setup, clientContent, musicGenerationConfig, playbackControl."""
        return [message[kind] for message in self.said if kind in message]

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with serve(self._session, "127.0.0.1", 0, ssl=self._tls) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._ready.set()
            await self._stop.wait()
            for link in self._links:
                link.transport.abort()

    async def _session(self, link: ServerConnection) -> None:
        if self.away:
            await link.close(1013, "try again later")
            return
        assert link.request is not None and link.request.path == PATH
        self.keys.append(link.request.headers["x-goog-api-key"])
        first = json.loads(await link.recv())
        self.said.append(first)
        if "model" not in first.get("setup", {}):
            await link.close(1007, "setup expected")
            return
        await link.send(json.dumps({"setupComplete": {}}).encode())
        self.open += 1
        self._links.append(link)
        player = _Player(self, link)
        playing = asyncio.create_task(player.run())
        try:
            async for text in link:
                message = json.loads(text)
                self.said.append(message)
                await player.obey(message)
        finally:
            self.open -= 1
            playing.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await playing


class _Player:
    """The music of one session."""

    def __init__(self, server: FakeLyria, link: ServerConnection) -> None:
        self._server = server
        self._link = link
        self._playing = asyncio.Event()
        self._config: dict[str, Any] = {}
        self._asked: dict[str, Any] = {}
        self._prompts: list[dict[str, Any]] = []
        self._frame = 0
        self._beat = 0.0

    async def obey(self, message: dict[str, Any]) -> None:
        if "clientContent" in message:
            self._prompts = message["clientContent"]["weightedPrompts"]
            assert all(prompt["weight"] != 0 for prompt in self._prompts)
            for prompt in self._prompts:
                if self._server.forbidden in prompt["text"]:
                    await self._send({"filteredPrompt": {"text": prompt["text"], "filteredReason": "SAFETY"}})
        elif "musicGenerationConfig" in message:
            self._asked = message["musicGenerationConfig"]
            assert 60 <= self._asked["bpm"] <= 200
            # what is set takes effect at once, but for tempo and scale: they wait for another context
            self._config = {**self._asked, **{name: self._config[name] for name in ("bpm", "scale") if name in self._config}}
        elif message.get("playbackControl") == "PLAY":
            self._playing.set()
        elif message.get("playbackControl") in ("PAUSE", "STOP"):
            self._playing.clear()
        elif message.get("playbackControl") == "RESET_CONTEXT":
            self._config, self._beat = dict(self._asked), 0.0
        else:
            await self._link.close(1007, "unknown message")

    async def _send(self, message: dict[str, Any]) -> None:
        await self._link.send(json.dumps(message).encode())

    async def run(self) -> None:
        chance = random.Random(7)
        clock = asyncio.get_running_loop().time
        while True:
            await self._playing.wait()
            begun, sent_s = clock(), 0.0
            while self._playing.is_set():
                due = begun + max(sent_s - self._server.burst_s, 0.0) + chance.uniform(0, self._server.jitter_s)
                await asyncio.sleep(max(due - clock(), 0))
                match self._server.fault:
                    case "close":
                        await self._link.close(1011, "internal error")
                        return
                    case "stall":
                        await asyncio.sleep(0.05)
                        begun += 0.05
                        continue
                    case "text":
                        words = {"data": "no audio, only words!", "mimeType": "text/plain"}
                        await self._send({"serverContent": {"audioChunks": [words]}})
                    case "garbage":
                        await self._link.send("<html>502 Bad Gateway</html>")
                    case _:
                        await self._chunk()
                sent_s += CHUNK_S

    async def _chunk(self) -> None:
        count = round(CHUNK_S * RATE)
        turns = (self._frame + np.arange(count)) * TONE_HZ / RATE
        beats = self._beat + np.arange(count) * self._config["bpm"] / (60 * RATE)
        since_s = (beats % 1.0) * 60 / self._config["bpm"]
        sound = 0.1 * np.sin(2 * np.pi * turns) + 0.6 * np.exp(-since_s * 400) * np.sin(2 * np.pi * 2000 * since_s)
        self._frame += count
        self._beat = float(beats[-1] + self._config["bpm"] / (60 * RATE))
        data = (np.repeat(sound[:, None], 2, axis=1) * 32767).astype("<i2").tobytes()
        chunk = {
            "data": base64.b64encode(data).decode(), "mimeType": "audio/l16;rate=48000;channels=2",
            "sourceMetadata": {"clientContent": {"weightedPrompts": self._prompts}, "musicGenerationConfig": self._config},
        }  # fmt: skip
        await self._send({"serverContent": {"audioChunks": [chunk]}})
