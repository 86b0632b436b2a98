# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance import``: what others have made, for this box: a controller's mapping as a profile, a recording as a loop."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from appliance.errors import BadValue, Unavailable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("format", choices=("mixxx", "loop"),
                        help="mixxx: a controller mapping of Mixxx; loop: a recording that becomes a loop")
    parser.add_argument("file", type=Path, metavar="FILE", help="such as NAME.midi.xml, or NAME.flac")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="the .yaml file (left out: stdout), or the .wav file")
    parser.add_argument("--bpm", help="of the loop: its tempo (the recording's)")
    parser.add_argument("--bars", help="of the loop: as many (as there are)")
    parser.add_argument("--key", help="of the loop: 'A minor', … (as it is)")
    parser.add_argument("--rate", dest="sample_rate", help="of the loop: frames a second (48000)")


def run(options: argparse.Namespace) -> int:
    """The profile goes to the file or stdout, the loop to the file, the report to stderr."""
    if options.format == "loop":
        return _loop(options)
    from appliance.control.mapping.mixxx.convert import convert, profile_text
    from appliance.control.mapping.mixxx.read import read_mixxx

    mapping = read_mixxx(options.file)
    tree, report = convert(mapping)
    text = profile_text(tree, report)
    if options.output is None:
        print(text, end="")
    else:
        try:
            options.output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise Unavailable(f"{options.output}: cannot be written ({error.strerror})") from None
    print(report.text(), end="", file=sys.stderr)
    return 0


def _loop(options: argparse.Namespace) -> int:
    from appliance.gen.import_request import parse_import
    from appliance.gen.imports import import_loop
    from appliance.gen.material import Material, stamp_of
    from appliance.library.analysis.listen import analyse_frames
    from appliance.library.wav import write_wav

    if options.output is None or options.output.suffix.lower() != ".wav":
        raise BadValue("a loop goes to a file: add -o NAME.wav")
    material = Material(path=str(options.file.resolve()), stamp=stamp_of(options.file), name=options.file.stem[:64])
    audio, rate = material.read(Path())
    found = analyse_frames(audio, rate)
    fields = {name: value for name in ("bpm", "bars", "key", "sample_rate") if (value := getattr(options, name)) is not None}
    request = parse_import({"bpm": found.bpm or 120.0, **fields, "material": material})
    loop, report = import_loop(request, audio, rate, found)
    write_wav(options.output, loop, request.sample_rate)
    heard = f"{found.bpm:.4g} bpm" if found.bpm else "no tempo"
    print(f"{options.output}: {heard} heard; {request.bpm:.4g} bpm, {report.frames} frames, {report.loudness_lufs:.1f} LUFS",
          *report.notes, sep="; ", file=sys.stderr)
    return 0
