# SPDX-License-Identifier: GPL-3.0-or-later
"""Any audio file becomes float32 stereo at the engine's rate, piece by piece, so that a long one plays while it decodes."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray

from appliance.errors import BadFile
from appliance.library.mp3 import is_counted, whole_frames

Samples = NDArray[np.float32]
READABLE = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".w64", ".caf", ".au")
CHUNK_FRAMES = 65_536
_LOWEST_RATE_HZ, _HIGHEST_RATE_HZ = 1_000, 768_000
_MINUS_3_DB = 0.7071067811865476
_UNCERTAIN_S, _HOLE_S = 1.0, 1.0
"""An mp3 may be so much shorter than it says; a file that lacks less than that has a hole, more: an end."""


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a file says about itself. ``exact`` is false where the length may be some frames off (mp3); ``whole_frames``:
    such a file is read through :func:`whole_frames`, as it does not say its length itself."""

    path: Path
    frames: int
    rate: int
    channels: int
    format: str
    exact: bool
    whole_frames: bool = False

    @property
    def duration_s(self) -> float:
        return self.frames / self.rate

    def frames_at(self, rate: int) -> int:
        """Length in frames after resampling to ``rate``."""
        return self.frames if rate == self.rate else round(self.frames * rate / self.rate)


def probe(path: Path | str) -> AudioInfo:
    """Look at a file without decoding it.

    Raises :class:`BadFile`, one line: missing (404), a folder, empty, truncated, not audio, or a rate nobody can play.
    """
    path = Path(path)
    _check_file(path)
    try:
        with sf.SoundFile(str(path)) as file:
            info = _said_by(file, path)
        if not info.exact and not is_counted(path):
            with sf.SoundFile(whole_frames(path)) as file:
                info = replace(_said_by(file, path), whole_frames=True)
    except (sf.SoundFileError, RuntimeError, OSError, ValueError):
        kinds = "wav, flac, mp3, ogg, opus, aiff"
        raise BadFile(f"{path}: is not an audio file that can be read; take one of {kinds}") from None
    if info.frames <= 0:
        raise BadFile(f"{path}: holds no audio; export it again")
    if not _LOWEST_RATE_HZ <= info.rate <= _HIGHEST_RATE_HZ:
        raise BadFile(f"{path}: its sample rate of {info.rate} Hz cannot be played; export it at 44100 or 48000 Hz")
    return info


def _said_by(file: sf.SoundFile, path: Path) -> AudioInfo:
    exact = file.format not in ("MP3", "MPEG") and "MPEG" not in file.subtype
    return AudioInfo(path, int(file.frames), int(file.samplerate), int(file.channels), str(file.format), exact)


def decode_chunks(path: Path | str, rate: int, chunk_frames: int = CHUNK_FRAMES) -> Iterator[Samples]:
    """Yield the file as (n, 2) float32 C-contiguous pieces at ``rate``; n varies, no piece is empty.

    Mono goes to both sides, more than two channels are folded down (:func:`fold_matrix`). Where :func:`probe` knows the
    length (``exact``) the pieces add up to ``frames_at(rate)`` to the frame. NaN and infinity in a file become silence.
    Raises :class:`BadFile` at once like :func:`probe`, and at the point of damage when a file turns out to be broken; of an
    mp3 what is behind the damage comes first.
    """
    return _decoded(probe(path), rate, chunk_frames)


def decode(path: Path | str, rate: int) -> Samples:
    """The whole file as (frames, 2) float32 at ``rate``."""
    return np.concatenate(list(decode_chunks(path, rate)))


def fold_matrix(channels: int) -> Samples:
    """(channels, 2) gains from a file's channels to stereo.

    Mono: both sides. 3 … 8 channels in the order of WAVE files (L R C LFE BL BR SL SR; 4 is L R BL BR, 5 is L R C BL BR):
    centre and surrounds at -3 dB, no LFE (ITU-R BS.775), scaled so that nothing can clip. More: odd ones left, even right.
    """
    left, right, both, none = (1.0, 0.0), (0.0, 1.0), (_MINUS_3_DB, _MINUS_3_DB), (0.0, 0.0)
    rear_left, rear_right = (_MINUS_3_DB, 0.0), (0.0, _MINUS_3_DB)
    layouts = {
        1: ((1.0, 1.0),), 2: (left, right), 3: (left, right, both), 4: (left, right, rear_left, rear_right),
        5: (left, right, both, rear_left, rear_right), 6: (left, right, both, none, rear_left, rear_right),
        7: (left, right, both, none, (0.5, 0.5), rear_left, rear_right),
        8: (left, right, both, none, rear_left, rear_right, rear_left, rear_right),
    }  # fmt: skip
    rows = layouts.get(channels) or tuple(left if number % 2 == 0 else right for number in range(channels))
    matrix = np.array(rows, np.float32)
    return matrix if channels <= 2 else (matrix / matrix.sum(axis=0, keepdims=True)).astype(np.float32)


def _decoded(info: AudioInfo, rate: int, chunk_frames: int) -> Iterator[Samples]:
    resampler = None if info.rate == rate else soxr.ResampleStream(info.rate, rate, 2, dtype="float32", quality="HQ")
    expected = info.frames_at(rate) if info.exact else None
    done = 0
    for piece, last in _read(info, chunk_frames):
        if resampler is not None:
            piece = resampler.resample_chunk(piece, last=last)
        if expected is not None:
            piece = piece[: expected - done]
        if len(piece):
            done += len(piece)
            yield np.ascontiguousarray(piece, np.float32)
    if expected is not None and done < expected:  # the resampler's rounding; a damaged file has raised before
        yield np.zeros((expected - done, 2), np.float32)


def _read(info: AudioInfo, chunk_frames: int) -> Iterator[tuple[Samples, bool]]:
    """The file's own frames as stereo, each piece with whether it is the last (which may be empty)."""
    matrix = fold_matrix(info.channels)
    done, damaged = 0, ""
    try:
        for raw in _raw(info, chunk_frames):
            done += len(raw)
            yield _stereo(raw, matrix), False
    except (sf.SoundFileError, RuntimeError, OSError) as error:
        damaged = f"is damaged after {done / info.rate:.1f} s ({_plain(error)}); copy or export it again"
    if damaged and not info.exact and not info.whole_frames:
        for raw in _behind(info, chunk_frames, done):
            done += len(raw)
            yield _stereo(raw, matrix), False
    yield np.zeros((0, 2), np.float32), True
    missing_s = (info.frames - done) / info.rate
    if damaged:
        raise BadFile(f"{info.path}: {damaged}")
    if missing_s > (0 if info.exact else _UNCERTAIN_S):
        raise BadFile(f"{info.path}: is cut off after {done / info.rate:.1f} of {info.duration_s:.1f} s; copy it again"
                      if missing_s > _HOLE_S else
                      f"{info.path}: is damaged, {missing_s:.2f} s of it cannot be read; copy or export it again")


def _raw(info: AudioInfo, chunk_frames: int, first: int = 0) -> Iterator[Samples]:
    """The file's own frames and channels. Raises what the library raises."""
    with sf.SoundFile(whole_frames(info.path) if info.whole_frames else str(info.path)) as file:
        if first:
            file.seek(first)
        while len(raw := np.asarray(file.read(chunk_frames, dtype="float32", always_2d=True), np.float32)):
            yield raw


def _behind(info: AudioInfo, chunk_frames: int, done: int) -> Iterator[Samples]:
    """What can be read of an mp3 without the damage that the decoder stopped at."""
    with contextlib.suppress(sf.SoundFileError, RuntimeError, OSError, ValueError):
        yield from _raw(replace(info, whole_frames=True), chunk_frames, done)


def _stereo(raw: Samples, matrix: Samples) -> Samples:
    if not np.isfinite(raw).all():
        raw = np.nan_to_num(raw, nan=0.0, posinf=0.0, neginf=0.0)
    if raw.shape[1] == 2:
        return raw
    return np.repeat(raw, 2, axis=1) if raw.shape[1] == 1 else raw @ matrix


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise BadFile(f"{path}: is a folder, not an audio file; name a file in it")
        if not path.is_file():
            if path.exists():
                raise BadFile(f"{path}: is no ordinary file")
            raise BadFile(f"{path}: there is no such file", status=404)
        with path.open("rb") as file:
            size = path.stat().st_size
            if size == 0:
                raise BadFile(f"{path}: is empty; copy or export it again")
            _check_length(path, file, size)
    except (OSError, ValueError) as error:
        raise BadFile(f"{str(path)[:200]!r}: cannot be opened ({_plain(error)})") from None


def _check_length(path: Path, file: BinaryIO, size: int) -> None:
    """Refuse a WAVE or AIFF file whose sound chunk is longer than the file: a copy that was cut off."""
    head = file.read(12)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        wanted, order = b"data", "<"
    elif head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        wanted, order = b"SSND", ">"
    else:
        return
    at = 12
    while at + 8 <= size:
        file.seek(at)
        header = file.read(8)
        if len(header) < 8:
            return
        name, length = header[:4], struct.unpack(order + "I", header[4:])[0]
        if name == wanted:
            streamed = length in (0, 0xFFFFFFFF, 0x7FFFFFFF)  # written by a program that could not seek back
            if not streamed and at + 8 + length > size:
                share = (size - at - 8) / length
                raise BadFile(f"{path}: is cut off, only {100 * share:.0f} % of its audio are there; copy it again")
            return
        at += 8 + length + length % 2


def _plain(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[-120:]
