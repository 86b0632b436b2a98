# SPDX-License-Identifier: GPL-3.0-or-later
"""``appliance generate``: a loop from the command line, without a running box."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from appliance.errors import ApplianceError, BadFile, BadValue
from appliance.gen.request import PARTS, SECTIONS, STYLE_BPM, parse_request


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``generate``."""
    parser.add_argument("prompt", nargs="?", default="", help="what to make, in words; empty: a suggestion")
    parser.add_argument("--style", help=f"one of {', '.join(STYLE_BPM)}")
    parser.add_argument("--section", help=f"one of {', '.join(SECTIONS)} (drop)")
    parser.add_argument("--instruments", help="'rhodes, upright bass', … (the style's)")
    parser.add_argument("--bars", help="length, 1 … 64 (4)")
    parser.add_argument("--bpm", help="tempo, 40 … 240 (the style's)")
    parser.add_argument("--key", help="'A minor', 'F# dorian', … (A minor)")
    parser.add_argument("--seed", help="same seed, same music (0)")
    parser.add_argument("--parts", help=f"only these: {' '.join(PARTS)} (all)")
    parser.add_argument("--energy", help="0 … 1")
    parser.add_argument("--complexity", help="0 … 1")
    parser.add_argument("--rate", dest="sample_rate", help="sample rate in Hz (48000)")
    parser.add_argument("--stems", action="store_true", help="write the stems beside it: OUT.drums.wav, …")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .wav file to write (float32)")


def run(options: argparse.Namespace) -> int:
    """Make the loop. Exit status 0, or 1 with one line on stderr."""
    try:
        print(_make(options), file=sys.stderr)
    except ApplianceError as error:
        print(f"generate: {error.message}", file=sys.stderr)
        return 1
    return 0


def _make(options: argparse.Namespace) -> str:
    names = ("style", "section", "instruments", "bars", "bpm", "key", "seed", "parts", "energy", "complexity", "sample_rate")
    fields: dict[str, Any] = {name: value for name in names if (value := getattr(options, name)) is not None}
    request = parse_request({"prompt": options.prompt, **fields}).resolved()
    output: Path = options.output
    if output.suffix.lower() != ".wav":
        raise BadValue(f"{output}: only .wav can be written; name it {output.stem or 'loop'}.wav")
    if not output.parent.is_dir():
        raise BadFile(f"{output.parent}: there is no such folder", status=404)
    if output.is_dir():
        raise BadFile(f"{output}: is a folder; name a file in it")

    from appliance.gen.conform import ROLE_LUFS, conform
    from appliance.gen.heap import keep_memory
    from appliance.gen.worker import backend_named
    from appliance.library.wav import write_wav

    keep_memory()
    audio = backend_named(request.backend).generate(request, lambda _: None, lambda: False)
    loop, report, stems = conform(
        audio.mix, audio.sample_rate, bpm=request.bpm or 120, bars=request.bars or 4, beats_per_bar=request.beats_per_bar,
        target_rate=request.sample_rate, target_lufs=ROLE_LUFS[request.role], downbeat_frame=0, stems=audio.stems,
    )  # fmt: skip
    write_wav(output, loop, request.sample_rate)
    if options.stems:
        for part, stem in stems.items():
            write_wav(output.with_suffix(f".{part}.wav"), stem, request.sample_rate)
    return (
        f"{output}: {request.bars} bars, {request.bpm:g} bpm, {request.key}, {', '.join(request.parts or ())}; "
        f"{report.loudness_lufs:.1f} LUFS, peak {report.peak_db:.1f} dBFS, {report.frames} frames"
    )
