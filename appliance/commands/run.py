# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance run``: the box in the foreground until Ctrl-C."""

from __future__ import annotations

import argparse
from pathlib import Path

from pydantic import ValidationError

from appliance.commands.common import add_data, data_folder
from appliance.config import Config, Endpoint, load_config
from appliance.errors import BadValue

REFUSED = 2
"""Exit status when the box cannot start."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings; without it the defaults (configs/default.yaml)")
    parser.add_argument("--audio", choices=("jack", "clock"), help="jack: use or start a JACK server; clock: never use JACK")
    parser.add_argument("--jack-server", metavar="NAME", help="name of the JACK server (default)")
    parser.add_argument("--display", metavar="NAME", help="a monitor's name, second, or none (offscreen)")
    parser.add_argument("--http", metavar="HOST:PORT", help="where HTTP listens (127.0.0.1:8600); port 0 takes a free one")
    parser.add_argument("--osc", metavar="HOST:PORT", help="where OSC listens (127.0.0.1:9000); port 0 takes a free one")


def run(options: argparse.Namespace) -> int:
    from appliance.supervisor import Supervisor

    return Supervisor(data_folder(options), configured(options)).run()


def configured(options: argparse.Namespace) -> Config:
    """The config file's settings with those of the command line over them. Raises BadFile, BadValue."""
    config = load_config(options.config)
    if options.audio:
        config.audio.backend = options.audio
    if options.jack_server:
        config.audio.server = options.jack_server
    if options.display:
        config.visuals.display = options.display
    for name in ("http", "osc"):
        if text := getattr(options, name):
            endpoint = _endpoint(f"--{name}", text)
            part = getattr(config, name)
            part.host, part.port = endpoint.host, endpoint.port
    return config


def _endpoint(option: str, text: str) -> Endpoint:
    try:
        return Endpoint.parse(text)
    except (ValueError, ValidationError):
        raise BadValue(f"{option} takes HOST:PORT with a port 0 … 65535, not {text!r}") from None
