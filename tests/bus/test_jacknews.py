# SPDX-License-Identifier: GPL-3.0-or-later
"""Notices of the JACK server, taken down without Python."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing

import pytest

from appliance.bus.jacknews import JackNews
from appliance.errors import Unavailable
from benchmarks.boxes import jack_server, wait_for

jack = pytest.importorskip("jack", reason="JACK's library is not installed", exc_type=OSError)

BUSY = """
import ctypes, sys
import jack
from appliance.bus.jacknews import JackNews
client = jack.Client("busy", servername=sys.argv[1], no_start_server=True)
news = JackNews(client)
client.activate()
news.take()
print("ready", flush=True)
sys.stdin.readline()
word = (ctypes.c_int * 2)(0, 1)  # struct pollfd: stdin, POLLIN
poll = ctypes.PyDLL(None).poll  # lets no other thread have Python meanwhile
in_time = poll(word, 1, 10000)
for _ in range(100):  # the last notices may still be on their way
    if news.count < 200:
        poll(None, 0, 10)
print(in_time, news.count, flush=True)
"""


@pytest.fixture(scope="module")
def server():
    try:
        with jack_server(f"news-{os.getpid()}") as name:
            yield name
    except Unavailable as error:
        pytest.skip(error.message)


@pytest.fixture
def client(server):
    opened = jack.Client("player", servername=server, no_start_server=True)
    yield opened
    opened.close()


def test_ports_and_connections_come_in_order_by_name(server, client):
    news = JackNews(client)
    client.activate()
    with closing(jack.Client("other", servername=server, no_start_server=True)) as other:
        other.activate()
        source = other.outports.register("out")
        target = client.inports.register("in")
        other.connect(source, target)
        other.disconnect(source, target)
        gone = other.outports.register("gone")
        gone.unregister()
        wait_for(lambda: news.count >= 6, 5, "all is told")
        assert news.waiting
        assert news.take() == [("other:out",), ("player:in",), ("other:out", "player:in")]
        assert not news.waiting and not news.take()


def test_more_than_are_kept_costs_the_oldest(client):
    news = JackNews(client)
    client.activate()
    last = client.outports.register("last")
    for number in range(300):
        client.outports.register(f"p{number}").unregister()
    kept = client.outports.register("kept")
    wait_for(lambda: news.count >= 602, 10, "all is told")
    assert set(news.take()) == {(kept.name,)}, f"{last.name} was told too long ago; the others are gone"


def test_who_has_no_python_to_spare_does_not_hold_up_the_server(server, client):
    """A client that does not take its notices makes the server wait for it, and with the server everybody."""
    command = [sys.executable, "-c", BUSY, server]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as busy:
        assert busy.stdin and busy.stdout and busy.stdout.readline() == "ready\n"
        busy.stdin.write("go\n")
        busy.stdin.flush()
        client.activate()
        for number in range(100):
            client.outports.register(f"p{number}").unregister()
        assert busy.poll() is None
        busy.stdin.write("x")  # only now
        busy.stdin.flush()
        in_time, count = map(int, busy.stdout.readline().split())
        assert in_time and count >= 200
