# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream's process: ``python -m appliance.gen.live --fd N --box PATH``, started by :mod:`appliance.gen.live.keeper`.

It reads knobs and clock from the box's memory and speaks JSON lines on the inherited socket. To it: ``texts`` (prompts, usual),
``drop``, ``reset``, ``capture`` (id, bars). From it, at least twice a second: ``state`` (what is published, and ``since`` for a
process after this one); ``say`` (message), ``captured`` (id, clip: what the store needs) and ``refused`` (id, message).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import queue
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from appliance.bus.box import Box
from appliance.errors import ApplianceError
from appliance.gen.conform import ROLE_LUFS, conform
from appliance.gen.heap import keep_memory
from appliance.gen.live.arrived import Samples
from appliance.gen.live.bars import Place
from appliance.gen.live.lyria import Lyria
from appliance.gen.live.player import Capture, Laid, Player, Wanted, make
from appliance.gen.live.steering import Steering, Texts, steering
from appliance.gen.request import MAX_BPM, MIN_BPM
from appliance.library.store import audio_hash
from appliance.library.wav import write_wav

log = logging.getLogger(__name__)
STEP_S, REST_S = 0.015, 0.1
TELL_S = 0.1
PULSE_S = 0.5
TEXTS_S = 5.0


class Process:
    """Everything of the process but its start."""

    def __init__(self, link: socket.socket, box: Box, *, safe: bool, since: int | None) -> None:
        self._link = link
        self._box = box
        self._rate = round(box.rate) or box.config.audio.rate
        self._inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._texts = Texts()
        self._making = ThreadPoolExecutor(1, "bars")
        self._cutting = ThreadPoolExecutor(1, "loops")
        self._lyria = None if safe else Lyria(box.config.gen.lyria, self._rate, self._message)
        self._player = Player(box.segment, box.values, self._rate, self._making, self._lyria, since, self._message)
        self._told: dict[str, Any] = {}
        self._told_s = 0.0

    def run(self) -> None:
        """Until the other side is gone, or the rate of the sound is another one."""
        threading.Thread(target=self._listen, daemon=True).start()
        self._inbox.put(self._inbox.get(timeout=TEXTS_S))
        self._obey()
        state = steering(self._box.values, self._texts)
        make(Wanted(0, state, Place(2.0 * self._rate, 4.0)), self._rate)  # tables, levels
        while round(self._box.rate) in (0, self._rate):
            self._obey()
            values = self._box.values
            state = steering(values, self._texts)
            on, cloud = bool(values.get("/gen/live/on")), values.get("/gen/live/backend") == "lyria"
            clock = self._player.step(state, on, cloud)
            if self._lyria is not None:
                self._lyria.steer(state, clock.bpm, on and cloud and clock.running)
            self._tell(cloud, self._player.ahead_s(clock))
            time.sleep(REST_S if self._player.idle and not on else STEP_S)

    def _listen(self) -> None:
        """Leave at once when the other side is gone: this process must not outlive gen's."""
        with self._link.makefile("rb") as lines, contextlib.suppress(OSError, ValueError):
            for line in lines:
                self._inbox.put(json.loads(line))
        os._exit(0)

    def _obey(self) -> None:
        while not self._inbox.empty():
            message = self._inbox.get()
            match message.get("op"):
                case "texts":
                    self._texts = Texts(tuple(message["prompts"]), message["usual"])
                case "drop":
                    self._player.drop()
                case "reset":
                    self._player.reset()
                    if self._lyria is not None:
                        self._lyria.reset()
                case "capture":
                    self._capture(int(message["id"]), int(message["bars"]))
                case _:
                    log.warning("unknown order %r", message)

    def _tell(self, cloud: bool, ahead_s: float) -> None:
        now_s = time.monotonic()
        lyria = self._lyria if cloud else None
        told = {
            "source": self._player.source, "connected": lyria.connected if lyria else True, "dropping": self._player.dropping,
            "filtered": list(lyria.filtered) if lyria else [],
        }  # fmt: skip
        if now_s - self._told_s < (TELL_S if told != self._told else PULSE_S):
            return
        self._told, self._told_s = told, now_s
        self._say("state", ahead=round(lyria.seconds if lyria else ahead_s, 2), since=self._player.since, **told)

    def _message(self, text: str) -> None:
        self._say("say", message=text)

    def _capture(self, id_: int, bars: int) -> None:
        state = steering(self._box.values, self._texts)

        def taken(audio: Samples, begin: int, bpm: float, first: Laid) -> None:
            self._cutting.submit(self._cut, id_, audio, begin, bpm, bars, first, state)

        def failed() -> None:
            self._say("refused", id=id_, message=f"the stream ended before it had played {bars} bars")

        self._player.capture(Capture(bars, taken, failed))

    def _cut(self, id_: int, audio: Samples, begin: int, bpm: float, bars: int, first: Laid, state: Steering) -> None:
        """Bars of the stream as a loop of the store, at the clock's tempo where that has stood still."""
        try:
            now_bpm = float(self._box.values.get("/clock/bpm"))
            own_bpm = now_bpm if abs(bpm / now_bpm - 1) < 1e-4 else bpm
            loop, report, _ = conform(
                audio, self._rate, bpm=min(max(own_bpm, MIN_BPM), MAX_BPM), bars=bars, beats_per_bar=first.place.beats,
                target_rate=self._rate, target_lufs=ROLE_LUFS["mix"], downbeat_frame=begin, source_bpm=own_bpm,
            )  # fmt: skip
            hash_ = audio_hash(loop, self._rate)
            path = self._box.data / "audio" / hash_[:2] / f"{hash_}.wav"
            if not path.is_file():
                write_wav(path, loop, self._rate)
        except ApplianceError as error:
            self._say("refused", id=id_, message=error.message)
            return
        except Exception as error:
            log.exception("a capture failed")
            self._say("refused", id=id_, message=f"the loop could not be cut ({type(error).__name__})")
            return
        said = ", ".join(text for text, _ in state.prompts) or state.style.replace("_", " ")
        self._say("captured", id=id_, clip={
            "hash": hash_, "frames": report.frames, "rate": self._rate, "name": f"live: {said}"[:64], "role": "mix",
            "bpm": own_bpm, "bars": bars, "beats": bars * first.place.beats, "key": state.key,
            "loudness": round(report.loudness_lufs, 2),
            "lineage": {"live": first.source, "bar": first.bar, "prompts": [list(prompt) for prompt in state.prompts],
                        "style": state.style, "seed": state.seed},
        })  # fmt: skip

    def _say(self, op: str, **fields: Any) -> None:
        line = json.dumps({"op": op, **fields}, separators=(",", ":")).encode() + b"\n"
        with self._sending, contextlib.suppress(OSError):
            self._link.sendall(line)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m appliance.gen.live")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--box", type=Path, required=True)
    parser.add_argument("--since", type=int)
    parser.add_argument("--safe", action="store_true")
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="live: %(message)s")
    logging.getLogger("google_genai").setLevel(logging.ERROR)
    keep_memory()
    link = socket.socket(fileno=options.fd)
    Process(link, Box.attach(options.box, "gen"), safe=options.safe, since=options.since).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
