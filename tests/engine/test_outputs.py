# SPDX-License-Identifier: GPL-3.0-or-later
"""Master, cue and booth on a real JACK server: where they are connected, and that a take-over leaves them there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest

from appliance.bus.box import Role
from appliance.config import Config
from benchmarks.boxes import EngineBox, wait_for
from tests.servers import jack_or_skip

jack = pytest.importorskip("jack", reason="the JACK library is not installed")
jackgear = pytest.importorskip("tests.jackgear", reason="the JACK library is not installed")

OUTPUTS = ("master_1", "master_2", "cue_1", "cue_2", "booth_1", "booth_2")


@pytest.fixture
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[EngineBox, str]]:
    """A box whose engine plays on a server with so many outputs."""
    config = Config.model_validate({"audio": {"inputs": ["nothing:at_all"]}})
    with jack_or_skip("outputs", outputs=request.param) as server, closing(EngineBox(tmp_path / "data", config)) as made:
        made.start("jack", server)
        yield made, server


def connected(server: str, engine: str = "appliance-a") -> dict[str, str]:
    """Our ports and what each of them is connected to."""
    client = jack.Client("looks", servername=server, no_start_server=True)
    try:
        ports = client.get_ports(f"^{engine}:", is_audio=True, is_output=True)
        return {port.shortname: other.name for port in ports for other in client.get_all_connections(port)
                if other.name.startswith("system:")}
    finally:
        client.close()


@pytest.mark.parametrize(("served", "count"), [(2, 2), (5, 4), (8, 6)], indirect=["served"])
def test_as_many_pairs_are_connected_as_the_card_has(served: tuple[EngineBox, str], count: int) -> None:
    _, server = served
    wanted = {name: f"system:playback_{place}" for place, name in enumerate(OUTPUTS[:count], 1)}
    wait_for(lambda: connected(server) == wanted, 5, f"the first {count} outputs")


@pytest.mark.parametrize("served", [6], indirect=True)
def test_a_take_over_leaves_the_booth_where_it_was(served: tuple[EngineBox, str]) -> None:
    """The standby is connected likewise, and what it plays afterwards is heard in the booth, louder than on the master."""
    live, server = served
    live.box.values.set("/mixer/booth", 6.0)
    live.load_deck(1, live.clip(np.full((48000 * 30, 2), 0.1, np.float32)))
    live.do("/deck/1/play")
    live.start("jack", server, "b")
    wait_for(lambda: live.box.process("engine-b")["role"] == Role.STANDBY, 5, "engine b stands by")
    wait_for(lambda: connected(server, "appliance-b") == connected(server) and len(connected(server)) == 6, 5, "b is connected")
    live.kill("a")
    wait_for(lambda: live.playing == "b", 5, "b plays")
    recorder = jackgear.Recorder(server, 5)
    try:
        recorder.listen("appliance-b:booth_1", "appliance-b:booth_2", "appliance-b:master_1", "appliance-b:cue_1")
        time.sleep(0.5)
        heard = recorder.take()[1][-4800:]
    finally:
        recorder.close()
    np.testing.assert_allclose(np.nanmax(heard, 0), [0.1 * 10**0.3, 0.1 * 10**0.3, 0.1, 0.0], atol=1e-4)


def sends_to(server: str, port: str) -> set[str]:
    client = jack.Client("looks", servername=server, no_start_server=True)
    try:
        return {other.name for other in client.get_all_connections(client.get_port_by_name(port))}
    finally:
        client.close()


@pytest.mark.parametrize("served", [2], indirect=True)
def test_a_device_that_comes_back_is_not_put_where_another_plays_by_now(served: tuple[EngineBox, str]) -> None:
    """Of the ports for devices control says who plays there; what a person has connected to the common one comes back."""
    _, server = served

    def plug(name: str) -> jack.Client:
        client = jack.Client(name, servername=server, no_start_server=True, use_exact_name=True)
        plugged.callback(client.close)
        client.midi_outports.register("out")
        client.activate()
        return client

    with ExitStack() as plugged:
        first, second = plug("keys-a"), plug("keys-b")
        for port in ("midi_in", "midi_in_2"):
            first.connect("keys-a:out", f"appliance-a:{port}")
        time.sleep(3.0)  # the engine looks every two seconds, and remembers
        first.close()
        time.sleep(0.5)
        second.connect("keys-b:out", "appliance-a:midi_in_2")
        plug("keys-a")
        wait_for(lambda: sends_to(server, "appliance-a:midi_in") == {"keys-a:out"}, 5, "the common port to be as it was")
        time.sleep(2.5)
        assert sends_to(server, "appliance-a:midi_in_2") == {"keys-b:out"}
