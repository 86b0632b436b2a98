# SPDX-License-Identifier: GPL-3.0-or-later
"""Stems without weights: what a sound's shape, pitch and place between the speakers tell of who plays it.

Drums are what is vertical in a spectrogram (median filters along time and pitch: D. Fitzgerald, "Harmonic/Percussive Separation
using Median Filtering", DAFx 2010, with soft masks), bass is what is left below 160 Hz, vocals are what is left in the middle
between 160 Hz and 8 kHz. What nobody gets is the rest, so the four always add up to the mix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from appliance.errors import BadValue

Samples = NDArray[np.float32]
STEMS = ("drums", "bass", "vocals", "other")
_WINDOW, _HOP = 4096, 1024
_ALONG_TIME, _ALONG_PITCH = 17, 17
"""Frames (0.4 s at 48 kHz) and bins (200 Hz) of the medians."""
_REACH = _ALONG_TIME // 2
_FRAMES_AT_ONCE = 128
_BASS_HZ, _VOCALS_TO_HZ = 160.0, 8000.0
_KICK_HZ = 40.0
"""Below the medians' reach along pitch is short; drums keep what their mask says there, down to here."""
_TINY = 1e-12


def separate_blocks(
    blocks: Iterable[Samples], rate: int, on_frames: Callable[[int], None] = lambda _: None
) -> Iterator[dict[str, Samples]]:
    """(n, 2) float32 at ``rate`` Hz in pieces of any length; yields pieces of the four stems, which add up to as many frames.

    It holds some seconds of sound. ``on_frames`` is told how many frames are done, and may raise to stop. Raises
    :class:`BadValue` for wrong shapes.
    """
    masks = _Masks(rate)
    window = np.sqrt(np.hanning(_WINDOW + 1)[:-1]).astype(np.float32)[:, None]
    line = np.zeros((_WINDOW - _HOP, 2), np.float32)  # the signal from the first frame of the next spectrum on
    context = 0  # spectra at the front of the line that are done, and only seen by the medians
    tail = np.zeros((3, _WINDOW - _HOP, 2), np.float32)
    sound = np.zeros((0, 2), np.float32)  # what came in and has not gone out
    skip, done = _WINDOW - _HOP, 0

    def work(last: bool) -> Iterator[dict[str, Samples]]:
        nonlocal line, context, tail, sound, skip, done
        while True:
            count = (len(line) - _WINDOW) // _HOP + 1
            ready = count - context - (0 if last else _REACH)
            if ready < (1 if last else _FRAMES_AT_ONCE):
                return
            ready = min(ready, _FRAMES_AT_ONCE)
            seen = min(count, context + ready + _REACH)
            frames = np.lib.stride_tricks.sliding_window_view(line, _WINDOW, axis=0)[: seen * _HOP : _HOP].transpose(0, 2, 1)
            spectra = np.fft.rfft(frames * window, axis=1).astype(np.complex64)
            parts = masks.split(spectra, slice(context, context + ready))
            made = np.concatenate((tail, np.zeros((3, ready * _HOP, 2), np.float32)), axis=1)
            for number, part in enumerate(parts):
                pieces = np.fft.irfft(part, _WINDOW, axis=1).astype(np.float32) * (window * (2 * _HOP / _WINDOW))
                for frame in range(ready):
                    made[number, frame * _HOP : frame * _HOP + _WINDOW] += pieces[frame]
            tail = made[:, ready * _HOP :]
            out = made[:, skip : ready * _HOP] if skip < ready * _HOP else made[:, :0]
            skip = max(skip - ready * _HOP, 0)
            kept = min(context + ready, _REACH)
            line = line[(context + ready - kept) * _HOP :]
            context = kept
            out = out[:, : len(sound)]
            mix, sound = sound[: out.shape[1]], sound[out.shape[1] :]
            done += len(mix)
            on_frames(done)
            if len(mix):
                yield _with_rest(out, mix)

    for block in blocks:
        block = np.asarray(block, np.float32)
        if block.ndim != 2 or block.shape[1] != 2:
            raise BadValue(f"stems are made of stereo, not of audio of shape {block.shape}")
        line, sound = np.concatenate((line, block)), np.concatenate((sound, block))
        yield from work(last=False)
    line = np.concatenate((line, np.zeros((2 * _WINDOW, 2), np.float32)))
    yield from work(last=True)


def separate(audio: Samples, rate: int, on_frames: Callable[[int], None] = lambda _: None) -> dict[str, Samples]:
    """(frames, 2) float32 at ``rate`` Hz as four stems of the same shape, which add up to it. Raises :class:`BadValue`."""
    stems = {name: np.zeros(np.shape(audio), np.float32) for name in STEMS}
    at = 0
    for piece in separate_blocks([audio], rate, on_frames):
        end = at + len(piece["other"])
        for name, part in piece.items():
            stems[name][at:end] = part
        at = end
    return stems


class _Masks:
    """Shares of a spectrum, for one rate."""

    def __init__(self, rate: int) -> None:
        hz = np.arange(_WINDOW // 2 + 1) * rate / _WINDOW
        octaves = np.log2(np.maximum(hz, 1.0) / _BASS_HZ)
        self._low = (0.5 + 0.5 * np.cos(np.pi * np.clip(octaves + 0.5, 0.0, 1.0))).astype(np.float32)
        self._sung = ((1.0 - self._low) * (hz < _VOCALS_TO_HZ)).astype(np.float32)
        self._struck = (hz >= _KICK_HZ).astype(np.float32)

    def split(self, spectra: NDArray[np.complex64], inside: slice) -> tuple[NDArray[np.complex64], ...]:
        """Drums, bass and vocals of the spectra (frames, bins, 2) ``inside``; the ones around them are only looked at."""
        level = np.abs(spectra).sum(axis=2)
        here = spectra[inside]
        held = np.square(_median(level, _ALONG_TIME, 0)[inside])
        struck = np.square(_median(level[inside], _ALONG_PITCH, 1))
        drums = (struck / (held + struck + _TINY) * self._struck)[:, :, None] * here
        rest = here - drums
        bass = self._low[:, None] * rest
        middle, side = 0.5 * (rest[:, :, 0] + rest[:, :, 1]), 0.5 * (rest[:, :, 0] - rest[:, :, 1])
        power, away = np.square(np.abs(middle)), np.square(np.abs(side))
        centre = power / (power + 4.0 * away + _TINY) * self._sung * middle
        vocals = np.repeat(centre[:, :, None], 2, axis=2)
        return drums.astype(np.complex64), bass.astype(np.complex64), vocals.astype(np.complex64)


def _median(level: NDArray[np.float32], width: int, axis: int) -> NDArray[np.float32]:
    """Of ``width`` neighbours along an axis; the edges are mirrored."""
    edges = [(0, 0), (0, 0)]
    edges[axis] = (width // 2, width // 2)
    padded = np.pad(level, edges, mode="symmetric" if level.shape[axis] > width // 2 else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=axis)
    return np.partition(windows, width // 2, axis=-1)[..., width // 2]


def _with_rest(parts: NDArray[np.float32], mix: Samples) -> dict[str, Samples]:
    rest = (mix - parts.sum(axis=0)).astype(np.float32)
    return {name: np.ascontiguousarray(part) for name, part in zip(STEMS, (*parts, rest), strict=True)}
