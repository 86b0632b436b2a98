# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m tests.engine.torn KILLS SEED``: kills engines in the middle of their work and compares what they leave.

Two engines take turns on one shared block; each renders block after block as fast as it goes, obeying a dense script, and
is killed after a few milliseconds. The committed state must then equal, byte for byte, that of an engine that was never killed
and that copies its whole state for each block. Prints a line of JSON.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import sys
import time

import numpy as np

from appliance.bus import layout
from appliance.bus.commands import Code
from appliance.bus.commit import EPOCH_SHIFT, commit_word, committed
from appliance.bus.memory import PrivateSegment
from appliance.engine.backends.floating import flushed_denormals
from appliance.engine.backends.offline import OfflineEngine, advance
from appliance.engine.context import make_context
from appliance.nodes import NAMESPACE
from tests.signals import sine

FRAMES = 64
COMMANDS = 3800
GAP_FRAMES = 40
"""Between two commands: more than one in most blocks."""


class Shared(PrivateSegment):
    """A block that a forked process writes too."""

    def __init__(self, size: int) -> None:
        super().__init__(0)
        self.size = size
        self._bytes = np.frombuffer(mmap.mmap(-1, size + 4096), np.uint8)
        self._skip = -int(self._bytes.ctypes.data) % 64
        self.address = int(self._bytes.ctypes.data) + self._skip


def prepared(seed: int, segment: PrivateSegment | None = None) -> OfflineEngine:
    """An engine that plays, with all its commands waiting for their frames."""
    engine = OfflineEngine(segment=segment)
    engine.set("/clock/quantize", "off")
    clips = [engine.load(sine(1.0, 110.0 * (n + 1), 0.1), bpm=120, beats=2) for n in range(4)]
    for pad in range(16):
        engine.load_pad(pad + 1, clips[pad % 4])
        engine.set(f"/bank/1/pad/{pad + 1}/mode", pad % 4)
    for deck in range(4):
        engine.load_deck(deck + 1, clips[deck])
        engine.do(f"/deck/{deck + 1}/play")
    rng = random.Random(seed)
    values = [a for a in NAMESPACE if a.slot >= 0 and a.node.owner == "engine" and a.index < 16]
    for number in range(COMMANDS):
        frame, kind = 1 + number * GAP_FRAMES, rng.random()
        if kind < 0.5:
            code, index, a = NAMESPACE.command("pad", "trigger"), rng.randrange(16), rng.choice([1.0, 0.5, 0.0])
        elif kind < 0.7:
            name = rng.choice(["play", "cue", "jump", "loop/auto", "loop/exit"])
            code, index, a = NAMESPACE.command("deck", name), rng.randrange(4), rng.choice([1.0, 0.0, -1.0])
        else:
            address = rng.choice(values)
            code, index, a = Code.SET, address.slot, address.node.to_slot(address.node.from_unit(rng.random()))
        engine.commands.send(code, index, a, frame=frame)
    return engine


def essence(segment: PrivateSegment) -> bytes:
    """The committed state less the queue's empty places."""
    state = committed(segment).copy()
    state["pending"][0][int(state["pending_count"][0]) :] = 0
    return state.tobytes()


def play(engine: OfflineEngine, index: int) -> None:
    """For ever: the child's life."""
    context = make_context(engine.segment.address, engine.rate, index)
    for field in ("clip_address", "clip_generation"):
        context[field] = engine.context[field]
    context["offline"] = 1
    context["epoch"] = commit_word(engine.segment) >> EPOCH_SHIFT
    frame = int(committed(engine.segment)["frame"][0])
    with flushed_denormals():
        while True:
            advance(context, FRAMES, frame)
            frame += FRAMES


def main(kills: int, seed: int) -> None:
    segment = Shared(layout.BOX.itemsize)
    engine, reference, rng = prepared(seed, segment), prepared(seed), random.Random(seed)
    word = segment.view(np.int64, 1, layout.offset("commit"))
    torn = inside = 0
    last = COMMANDS * GAP_FRAMES - 20_000
    done = 0
    while done < kills:
        if int(committed(segment)["frame"][0]) > last:  # the script is at its end: from the beginning
            segment = Shared(layout.BOX.itemsize)
            engine, reference = prepared(seed + done, segment), prepared(seed + done)
            word = segment.view(np.int64, 1, layout.offset("commit"))
        word[0] += 1 << EPOCH_SHIFT
        child = os.fork()
        if child == 0:
            play(engine, done % 2)
        time.sleep(0.002 + rng.random() * 0.006)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        frame = int(committed(segment)["frame"][0])
        inside += segment.view(np.int64, 1, layout.offset("event_head"))[0] != committed(segment)["event_head"][0]
        while reference.frame < frame:
            reference.context["own_commits"] = 0
            reference.context["epoch"] = int(commit_word(reference.segment)) >> EPOCH_SHIFT
            with flushed_denormals():
                advance(reference.context, FRAMES, reference.frame)
            reference.frame += FRAMES
        torn += essence(segment) != essence(reference.segment)
        done += 1
    print(json.dumps({"kills": done, "torn": torn, "between_commit_and_telling": int(inside)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
