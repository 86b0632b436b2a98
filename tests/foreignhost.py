# SPDX-License-Identifier: GPL-3.0-or-later
"""Another machine: a network namespace at the other end of a cable (veth), with two addresses, so two hosts.

What runs on it runs in a thread that has moved there: its sockets are the other machine's.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

CLONE_NEWNET = 0x40000000


@dataclass
class Network:
    """``box`` is our address on the cable, ``hosts`` are the other machine's."""

    name: str
    box: str
    hosts: tuple[str, str]
    loop: asyncio.AbstractEventLoop

    async def there(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do it on the other machine."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    def program(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program on the other machine."""
        moved = ["ip", "netns", "exec", self.name, *words]
        return subprocess.run(moved, capture_output=True, text=True, timeout=30, check=False)


@contextlib.contextmanager
def network_or_skip() -> Iterator[Network]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("a network of the tests' own needs root and ip (Debian: iproute2)")
    pid = os.getpid()
    name, near, far = f"foreign{pid}", f"near{pid}", f"far{pid}"
    net = f"198.{18 + (pid >> 8) % 2}.{pid % 256}"  # RFC 2544: for tests of networks
    try:
        try:
            for words in (f"netns add {name}", f"link add {near} type veth peer name {far} netns {name}",
                          f"addr add {net}.1/24 dev {near}", f"link set {near} up", f"-n {name} addr add {net}.2/24 dev {far}",
                          f"-n {name} addr add {net}.3/24 dev {far}", f"-n {name} link set {far} up",
                          f"-n {name} link set lo up"):
                subprocess.run(["ip", *words.split()], capture_output=True, text=True, check=True)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this machine makes no network for the tests: {error.stderr.strip()}")
        with _thread_in(name) as loop:
            yield Network(name, f"{net}.1", (f"{net}.2", f"{net}.3"), loop)
    finally:
        subprocess.run(["ip", "link", "del", near], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@contextlib.contextmanager
def _thread_in(name: str) -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    moved: list[str] = []
    ready = threading.Event()

    def live() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/run/netns/{name}", "rb") as namespace:
            if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                moved.append(os.strerror(ctypes.get_errno()))
        ready.set()
        if not moved:
            loop.run_forever()

    thread = threading.Thread(target=live, name=name)
    thread.start()
    ready.wait()
    try:
        if moved:
            pytest.skip(f"a thread cannot move to another network here: {moved[0]}")
        yield loop
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
