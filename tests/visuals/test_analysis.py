# SPDX-License-Identifier: GPL-3.0-or-later
"""What the picture hears of a known rhythm, whatever its own rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple

import numpy as np
import pytest

from appliance.visuals.analysis import Analysis, Heard, Listening

RATE = 48000


def play(
    sound: np.ndarray, listen: Callable[[np.ndarray, int], Listening], step: int = 1600
) -> list[tuple[float, Heard]]:
    """Everything heard while the sound runs: (seconds, what)."""
    analysis = Analysis(RATE)
    return [(frame / RATE, analysis.hear(listen(sound, frame))) for frame in range(step, sound.size, step)]


def test_every_kick_and_every_hat_is_a_hit_and_nothing_else(drums: Callable[..., np.ndarray], listen: Callable) -> None:
    heard = play(drums(6.0), listen)
    kicks = [t for t, h in heard if h.kick_hit]
    hats = [t for t, h in heard if h.hat_hit and t > 0.1]  # the first sound out of nothing has all frequencies
    assert len(kicks) == 12 and len(hats) == 12
    assert np.abs(np.array(kicks[1:]) - np.arange(1, 12) * 0.5 - 0.03).max() < 0.045
    assert np.abs(np.array(hats) - np.arange(12) * 0.5 - 0.28).max() < 0.045


def test_a_hit_rises_at_once_and_falls_away(drums: Callable[..., np.ndarray], listen: Callable) -> None:
    heard = [h.kick for _, h in play(drums(2.0, hat=False), listen)]
    assert max(heard) > 0.7 and min(heard[15:]) < 0.1


def test_the_same_sound_gives_the_same_numbers_at_any_picture_rate(
    drums: Callable[..., np.ndarray], listen: Callable
) -> None:
    sound = drums(3.0)
    slow, fast = play(sound, listen, 2400), play(sound, listen, 800)
    at = {round(t * RATE): h for t, h in fast}
    for t, h in slow:
        other = at[round(t * RATE)]
        assert (h.level, h.low, h.mid, h.high, h.kick, h.hat, h.low_time) == (
            other.level, other.low, other.mid, other.high, other.kick, other.hat, other.low_time)  # fmt: skip
        assert np.array_equal(h.bands, other.bands) and np.array_equal(h.spectrum, other.spectrum)


def test_bands_show_where_the_sound_is(listen: Callable) -> None:
    t = np.arange(RATE) / RATE
    places = []
    for frequency in (60, 500, 4000):
        _, heard = play((0.5 * np.sin(2 * np.pi * frequency * t)).astype(np.float32), listen)[-1]
        places.append(int(heard.bands.argmax()))
        assert (heard.low > 0.8, heard.mid > 0.8, heard.high > 0.8) == (
            frequency == 60,
            frequency == 500,
            frequency == 4000,
        )
        assert heard.spectrum.argmax() == pytest.approx(frequency / RATE * 1024 - 1, abs=1)
    expected = np.log(np.array([60, 500, 4000]) / 40) / np.log(400) * 64
    assert places == pytest.approx(expected, abs=5)


def test_in_silence_everything_comes_to_rest_and_time_stands(
    drums: Callable[..., np.ndarray], listen: Callable
) -> None:
    sound = np.concatenate([drums(2.0), np.zeros(3 * RATE, np.float32)])
    heard = [h for _, h in play(sound, listen)]
    last, before = heard[-1], heard[-30]
    assert max(last.level, last.low, last.mid, last.high, last.kick, last.hat, last.bands.max()) < 0.01
    assert last.low_time == pytest.approx(before.low_time, abs=1e-3) and last.low_time > 0.2


def test_beat_bar_and_phrase_phases(listen: Callable) -> None:
    silence = np.zeros(RATE * 20, np.float32)
    heard = Analysis(RATE).hear(listen(silence, int(RATE * 17.25)))  # beat 34.5 at 120 BPM
    assert (heard.beat_phase, heard.bar_phase) == (pytest.approx(0.5), pytest.approx(2.5 / 4))
    assert heard.phrase_phase == pytest.approx(2.5 / 32)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_what_is_no_sound_does_no_harm(bad: float) -> None:
    heard = Analysis(RATE).hear(Listening(np.full(4096, bad, np.float32), 8192, RATE, bad, 4.0, 120.0, True))
    numbers = [v for v in astuple(heard) if isinstance(v, float)]
    assert np.isfinite(numbers).all() and np.isfinite(heard.bands).all()


def test_an_engine_that_begins_anew_is_followed(drums: Callable[..., np.ndarray], listen: Callable) -> None:
    analysis, sound = Analysis(RATE), drums(2.0)
    for frame in (48000, 49600, 512, 2112):
        heard = analysis.hear(listen(sound, frame))
    assert heard.level > 0.0
