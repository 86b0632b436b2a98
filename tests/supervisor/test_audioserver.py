# SPDX-License-Identifier: GPL-3.0-or-later
"""A JACK server that runs is used; where none runs one is started, watched and removed; without JACK the clock paces."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.bus.memory import FOLDER
from appliance.supervision import jackfiles, probe

from .conftest import lives, until


def answers(server: str) -> bool:
    return subprocess.run([sys.executable, probe.__file__, server], capture_output=True, check=False).returncode == 0


def jackd_of(running) -> int:
    pids = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline")
            if (words := _words(path)) and words[0] == "jackd" and running_server(running) in words]
    return pids[0] if len(pids) == 1 else 0


def _words(path: Path) -> list[str]:
    try:
        return path.read_bytes().decode().split("\0")
    except OSError:
        return []


def running_server(running) -> str:
    return running.box.config.audio.server


def serve(server_name) -> subprocess.Popen[bytes]:
    server = subprocess.Popen(["jackd", "-r", "-n", server_name, "-d", "dummy", "-r", "48000", "-p", "256"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              env={**os.environ, "JACK_NO_AUDIO_RESERVATION": "1"})
    until(lambda: jackfiles.socket_of(server_name) and answers(server_name), what="jackd")
    return server


@pytest.fixture
def foreign(server_name):
    server = serve(server_name)
    yield server
    server.terminate()
    server.wait(5)
    jackfiles.sweep(server_name, server.pid)


def test_a_server_that_runs_is_used_and_left_running(start, foreign, server_name):
    running = start(audio={"server": server_name})
    assert running.ready()["audio"] == f"jack:{server_name}"
    assert "starts jackd" not in running.said
    assert running.stop() == 0
    assert foreign.poll() is None
    assert answers(server_name)


def test_where_none_runs_one_is_started_and_removed_again(start, server_name):
    running = start(audio={"server": server_name, "device": "dummy", "period": 256})
    assert running.ready()["audio"] == f"jack:{server_name}"
    assert answers(server_name)
    pid = jackd_of(running)
    assert running.stop() == 0
    assert not lives(pid)


def test_a_killed_server_of_ours_is_back(start, server_name):
    running = start(audio={"server": server_name, "device": "dummy"})
    running.ready()
    old = jackd_of(running)
    segments = jackfiles._segments(old)
    assert segments
    os.kill(old, signal.SIGKILL)
    until(lambda: (now := jackd_of(running)) and now != old and answers(server_name), what=running.said)
    assert "jackd was ended by SIGKILL" in running.said
    mine = jackfiles._segments(jackd_of(running))
    left = [name for name in segments if name not in mine and (FOLDER / name).exists()]
    assert not left, "100 MB would stay until the next boot"
    assert running.stop() == 0


def test_a_server_goes_with_a_killed_supervisor_and_the_next_start_sweeps_its_files(start, server_name):
    running = start(audio={"server": server_name, "device": "dummy"})
    running.ready()
    pid = jackd_of(running)
    segments = jackfiles._segments(pid)
    running.process.kill()
    running.process.wait()
    until(lambda: not lives(pid), 5, "jackd is left")
    assert list(FOLDER.glob(f"jack*{server_name}*"))
    again = start(audio={"backend": "clock"})
    again.ready()
    assert not list(FOLDER.glob(f"jack*{server_name}*"))
    assert not [name for name in segments if (FOLDER / name).exists() and name in jackfiles._segments(pid)]
    assert again.stop() == 0


OUTLIVES = """
import jack, sys
for line in sys.stdin:  # each time with more clients: the next server has more segments than the last
    clients = [jack.Client(f"client-{n}", servername=sys.argv[1], no_start_server=True) for n in range(int(line))]
    print(len(clients[0].get_ports()), flush=True)
    for client in clients:
        client.close(ignore_errors=True)
"""


def test_who_outlives_a_server_finds_the_next(server_name, monkeypatch):
    pytest.importorskip("jack", exc_type=OSError)
    monkeypatch.setattr(jackfiles, "_any_server", lambda: False)  # as where no other server runs
    client = subprocess.Popen([sys.executable, "-c", OUTLIVES, server_name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
    try:
        for count in (1, 6):
            server = serve(server_name)
            print(count, file=client.stdin, flush=True)
            assert int(client.stdout.readline() or 0) > 0, f"{count} clients found no server"
            server.kill()
            server.wait()
            jackfiles.sweep(server_name, server.pid)
        assert (FOLDER / "jack-shm-registry").exists(), "the client looks at it"
    finally:
        client.stdin.close()
        client.wait()


def test_without_jack_the_clock_paces_and_says_so(start, tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    running = start(audio={"server": "nobody"}, environment={"PATH": str(tools)})
    assert running.ready()["audio"] == "clock"
    assert "jackd is not installed" in running.said


def test_a_device_that_cannot_be_opened_leaves_the_dummy(start, server_name):
    running = start(audio={"server": server_name, "device": "hw:NoSuchCard"})
    assert running.ready()["audio"] == f"jack:{server_name}"
    assert "starts jackd (hw:NoSuchCard" in running.said
    assert "starts jackd (no sound card" in running.said
    assert running.stop() == 0


def test_pipewire_is_used_through_its_wrapper(start, server_name, foreign, tmp_path):
    """PipeWire's own JACK library answers only under `pw-jack`: stood in for by a wrapper that names the server that runs."""
    tools = tmp_path / "bin"
    tools.mkdir()
    wrapper = tools / "pw-jack"
    wrapper.write_text(f"#!/bin/sh\necho wrapped >> {tmp_path}/wrapped\n"
                       f'for word; do shift; [ "$word" = pipewire ] && word={server_name}; set -- "$@" "$word"; done\n'
                       'exec "$@"\n')
    wrapper.chmod(0o755)
    (tmp_path / "pipewire-0").touch()
    running = start(audio={"server": "pipewire"}, environment={
        "PATH": f"{tools}:{os.environ['PATH']}", "PIPEWIRE_RUNTIME_DIR": str(tmp_path)})
    assert running.ready()["audio"] == "pipewire:pipewire"
    assert (tmp_path / "wrapped").read_text().count("wrapped") >= 2, "the question and the engine"
    assert running.stop() == 0
    assert shutil.which("jackd")


def test_killed_servers_of_others_do_not_keep_ours_from_starting(start, server_name):
    """JACK has eight places for servers and does not free those of killed ones by itself."""
    for number in range(8):
        name = f"{server_name}k{number}"
        server = subprocess.Popen(["jackd", "-r", "-n", name, "-d", "dummy", "-p", "1024"], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, env={**os.environ, "JACK_NO_AUDIO_RESERVATION": "1"})
        came_up = until(lambda name=name, server=server: jackfiles.socket_of(name) or server.poll() is not None, what="jackd")
        server.kill()
        server.wait()
        for path in (*FOLDER.glob(f"jack_{name}_*"), *FOLDER.glob(f"jack_sem.*_{name}_*")):
            path.unlink()
        if came_up is True:  # all places are taken
            break
    running = start(audio={"server": server_name, "device": "dummy"})
    assert running.ready()["audio"] == f"jack:{server_name}"
    assert running.stop() == 0


class Rack:
    """A machine whose one sound card can be pulled: jackd opens it, as the dummy, only while it is there."""

    def __init__(self, folder: Path) -> None:
        self.cards, self.tools = folder / "cards", folder / "bin"
        self.cards.mkdir()
        self.tools.mkdir()
        jackd = self.tools / "jackd"
        jackd.write_text(f"""#!/bin/bash
words=()
while [ $# -gt 0 ]; do
    if [ "$1 $2" = "-d alsa" ]; then
        [ -e {self.cards}/card0 ] || {{ echo "no such card" >&2; exit 1; }}
        words+=(-d dummy); shift 6
    else
        words+=("$1"); shift
    fi
done
exec -a jackd {shutil.which("jackd")} "${{words[@]}}"
""")
        jackd.chmod(0o755)
        self.environment = {"PATH": f"{self.tools}:{os.environ['PATH']}", "TEST_CARDS": str(self.cards)}

    def plug(self) -> None:
        card = self.cards / "new"
        (card / "pcm0p").mkdir(parents=True)
        (card / "id").write_text("Stage\n")
        card.rename(self.cards / "card0")

    def pull(self) -> None:
        shutil.rmtree(self.cards / "card0")


def test_a_card_that_is_pulled_and_put_back(start, server_name, tmp_path):
    rack = Rack(tmp_path)
    running = start(audio={"server": server_name, "period": 1024}, environment=rack.environment)
    assert running.ready()["audio"] == f"jack:{server_name}"
    assert "starts jackd (no sound card" in running.said
    rack.plug()
    until(lambda: "the sound card is there (hw:Stage)" in running.said, 3, running.said)
    until(lambda: "starts jackd (hw:Stage" in running.said and answers(server_name), 4, running.said)
    until(lambda: running.box.audio == f"jack:{server_name}", 3)

    rack.pull()
    os.kill(jackd_of(running), signal.SIGKILL)
    until(lambda: running.said.count("starts jackd (no sound card") == 2, 4, running.said)
    assert running.said.count("starts jackd (hw:Stage") == 5, "it was tried a few times more"
    until(lambda: running.box.audio == f"jack:{server_name}", 3)
    rack.plug()
    until(lambda: running.said.count("starts jackd (hw:Stage") == 6, 4, running.said)
    until(lambda: running.box.audio == f"jack:{server_name}", 3)
    assert running.restarts("engine-a") == 0
    assert running.stop() == 0


def test_late_cycles_are_counted_and_not_told_each(start, server_name, tmp_path):
    rack = Rack(tmp_path)
    jackd = rack.tools / "jackd"
    lines = "JackTimedDriver::Process XRun = 77 usec\\nJackEngine::XRun: client = x was not finished, state = Running\\n"
    jackd.write_text(jackd.read_text().replace("words=()", f"words=()\nprintf '{lines}'; echo 'Something else'", 1))
    running = start(audio={"server": server_name, "period": 1024}, environment=rack.environment)
    running.ready()
    assert "jackd: Something else" in running.said
    assert "XRun" not in running.said
    assert running.stop() == 0
