# SPDX-License-Identifier: GPL-3.0-or-later
"""The box's ports, before it starts: free."""

from __future__ import annotations

import socket

from appliance.config import Config, Endpoint
from appliance.errors import Unavailable


def require_free(config: Config) -> None:
    """Raises :class:`Unavailable` when another program has one of the box's ports."""
    wanted = ((config.http, socket.SOCK_STREAM, "HTTP", "--http"), (config.osc, socket.SOCK_DGRAM, "OSC", "--osc"))
    for endpoint, kind, name, option in wanted:
        if endpoint.port:
            _require_free(endpoint, kind, name, option)


def _require_free(endpoint: Endpoint, kind: socket.SocketKind, name: str, option: str) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(endpoint.host, endpoint.port, type=kind)[0]
        with socket.socket(family, kind, protocol) as trial:
            if kind is socket.SOCK_STREAM:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        raise Unavailable(
            f"{name} cannot listen at {endpoint}: {error.strerror or error}; stop the program that does, or choose another "
            f"with {option} HOST:PORT (port 0 takes a free one)"
        ) from None
