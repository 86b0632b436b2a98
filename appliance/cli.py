# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person types. Each command is a module of ``appliance.commands``; only the chosen one is imported."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from appliance import __version__
from appliance.errors import ApplianceError

COMMANDS = {
    "run": ("run", "start the box and keep it running"),
    "status": ("status", "its processes, clock and late blocks"),
    "ls": ("nodes", "list addresses with what they mean"),
    "get": ("nodes", "print the value of an address"),
    "send": ("nodes", "set a parameter or do an action"),
    "watch": ("nodes", "print every change"),
    "pair": ("pair", "let devices of the network in, and send them away"),
    "monitor": ("monitor", "print what controllers send, and what comes of it"),
    "render": ("render", "render a file of events to sound, faster than real time"),
    "generate": ("generate", "make a loop from words"),
    "check": ("check", "check configs, profiles, scenes, sessions, events"),
    "import": ("import_", "make a profile from another program's controller mapping"),
    "export": ("export", "write a surface for TouchOSC, Open Stage Control or REAPER"),
    "bench": ("bench", "measure the box on this machine"),
    "doctor": ("doctor", "say what is wrong with this machine and how to mend it"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status: 0 done, 1 refused or failed, 2 not startable or wrongly typed."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = next((word for word in words if not word.startswith("-")), "")
    parser, module = _parser(chosen)
    options = parser.parse_args(words)
    if module is None:
        parser.print_help()
        return 2
    try:
        return int(module.run(options))
    except ApplianceError as error:
        print(f"appliance {options.command}: {error.message}", file=sys.stderr)
        return int(getattr(module, "REFUSED", 1))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser(chosen: str) -> tuple[argparse.ArgumentParser, ModuleType | None]:
    """All commands by name, the arguments of the chosen one only."""
    parser = argparse.ArgumentParser(prog="appliance", description="A headless performance box.")
    parser.add_argument("--version", action="version", version=f"appliance {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    module = None
    for name, (file, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == chosen:
            module = import_module(f"appliance.commands.{file}")
            module.add_arguments(command)
    return parser, module
