# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be heard in a loop, found without knowing how it was made: key, tempo, and the marks of a style."""

from __future__ import annotations

import numpy as np

#: Probe-tone profiles of C major and C minor (Krumhansl and Kessler 1982).
_PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
_HOP_S = 0.005


def found_key(audio: np.ndarray, rate: int) -> tuple[int, str]:
    """Tonic (0 = C) and mode whose profile fits best to the magnitudes by pitch class, 100 … 2000 Hz, of (frames, 2). As in a
    constant-Q chroma every semitone counts the same, and so does every moment."""
    size = 8192
    hz = np.fft.rfftfreq(size, 1 / rate)
    band = (hz > 100) & (hz < 2000)
    semitones = np.round(69 + 12 * np.log2(hz[band] / 440)).astype(int)
    lowest, widths = semitones.min(), np.maximum(np.bincount(semitones - semitones.min()), 1)
    classes = (np.arange(len(widths)) + lowest) % 12
    chroma = np.zeros(12)
    for start in range(0, len(audio) - size, size // 4):
        piece = np.abs(np.fft.rfft(audio[start : start + size].mean(axis=1) * np.hanning(size)))[band]
        heard = np.bincount(classes, weights=np.bincount(semitones - lowest, weights=piece) / widths, minlength=12)
        chroma += heard / (heard.max() + 1e-9)
    fits = {
        (tonic, mode): np.corrcoef(np.roll(profile, tonic), chroma)[0, 1]
        for mode, profile in _PROFILES.items() for tonic in range(12)
    }  # fmt: skip
    return max(fits, key=lambda key: fits[key])


def flux(audio: np.ndarray, rate: int, bands: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Rise of log magnitude in each band a hop of 5 ms, (bands, hops)."""
    hop, size = round(_HOP_S * rate), 1 << round(0.02 * rate).bit_length()
    mono = np.pad(audio.mean(axis=1), (size // 2, size))
    count = len(audio) // hop
    frames = np.lib.stride_tricks.sliding_window_view(mono, size)[: count * hop : hop] * np.hanning(size)
    magnitude = np.log1p(30 * np.abs(np.fft.rfft(frames, axis=1)))
    hz = np.fft.rfftfreq(size, 1 / rate)
    rise = np.maximum(np.diff(magnitude, axis=0, prepend=magnitude[:1]), 0)
    return np.stack([rise[:, (hz >= low) & (hz < high)].mean(axis=1) for low, high in bands])


def found_bpm(audio: np.ndarray, rate: int) -> float:
    """Tempo by the comb of an onset curve's autocorrelation, 55 … 200, in steps of 0.1, nearest to 120 where equal."""
    onset = flux(audio, rate, ((30, 200), (200, 2500), (2500, 9000))).sum(axis=0)
    onset = np.convolve(onset, np.hanning(7), "same")
    onset -= onset.mean()
    spectrum = np.fft.rfft(onset, 2 * len(onset))
    likeness = np.fft.irfft(spectrum * spectrum.conj())[: len(onset)]
    likeness /= np.arange(len(onset), 0, -1)
    best, best_score = 0.0, -np.inf
    for bpm in np.arange(55, 200, 0.1):
        lags = np.arange(1, 17) * (60 / bpm / _HOP_S)
        lags = lags[lags < 0.75 * len(onset)]
        score = np.interp(lags, np.arange(len(onset)), likeness).mean() / likeness[0]
        score *= np.exp(-0.5 * (np.log2(bpm / 120) / 1.2) ** 2)
        if score > best_score:
            best, best_score = float(bpm), score
    return best


def marks(audio: np.ndarray, rate: int, bars: int) -> np.ndarray:
    """What tells styles apart at one tempo: spectrum, its changes, where in the bar bass, middle and top strike."""
    size, hop = 2048, 1024
    windows = np.lib.stride_tricks.sliding_window_view(audio.mean(axis=1), size)[::hop] * np.hanning(size)
    power = np.abs(np.fft.rfft(windows, axis=1)) ** 2
    hz = np.fft.rfftfreq(size, 1 / rate)
    edges = 40 * 2 ** np.linspace(0, np.log2(0.45 * rate / 40), 19)
    pairs = zip(edges, edges[1:], strict=False)
    bands = np.stack([power[:, (hz >= low) & (hz < high + 12)].sum(axis=1) for low, high in pairs])
    level = np.log10(bands + 1e-7 * power.sum(axis=1).mean())
    side = np.mean((audio[:, 0] - audio[:, 1]) ** 2) / np.mean(audio**2)
    rise = flux(audio, rate, ((30, 160), (160, 2000), (2000, 0.45 * rate)))
    whole = rise.shape[1] // (16 * bars) * 16 * bars
    steps = np.stack([row[:whole].reshape(bars, 16, -1).max(axis=2).mean(axis=0) for row in rise])
    steps /= steps.mean(axis=1, keepdims=True) + 1e-9
    spectrum = level.mean(axis=1) - level.mean()
    return np.concatenate((spectrum, level.std(axis=1), rise.mean(axis=1) * 10, [side], steps.ravel() / 3))
