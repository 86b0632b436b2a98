# SPDX-License-Identifier: GPL-3.0-or-later
"""A JACK server for a test; where there can be none, the test is skipped."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from appliance.errors import Unavailable
from benchmarks.boxes import jack_server


@contextlib.contextmanager
def jack_or_skip(name: str, period: int = 128, **options: int) -> Iterator[str]:
    """The name of a server with the dummy device, which ends with the block. ``options`` as for :func:`jack_server`."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(jack_server(f"{name}-{os.getpid()}", period, **options))
        except Unavailable as error:
            pytest.skip(error.message)
        yield server
