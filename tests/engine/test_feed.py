# SPDX-License-Identifier: GPL-3.0-or-later
"""The live channel: a stream that another process writes, on time, late, and not at all."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.bus.feed import Feed
from appliance.bus.layout import FEED_FRAMES
from appliance.engine.backends.offline import OfflineEngine
from appliance.engine.dsp.limiter import LOOK_AHEAD_FRAMES as DELAY
from appliance.engine.feed import FADE_FRAMES, RESERVE_FRAMES
from tests.signals import RATE, ramp, sine

CHUNK = RATE // 10


@pytest.fixture
def feed(engine: OfflineEngine) -> Feed:
    engine.set("/live/buffer", 0.5)
    engine.run(4096)
    return Feed(engine.segment)


def live(engine: OfflineEngine) -> np.void:
    return engine.telemetry.snapshot()["live"]


def test_a_stream_begins_when_enough_has_come_and_is_what_was_written(engine: OfflineEngine, feed: Feed) -> None:
    sound = ramp(2 * RATE)
    feed.begin()
    assert feed.write(sound[: RATE // 2 - 1]) == RATE // 2 - 1
    assert not engine.run(4096).any() and not live(engine)["playing"]
    feed.write(sound[RATE // 2 - 1 :])
    heard = engine.run(RATE)[:, :2]
    assert live(engine)["playing"]
    assert feed.position == RATE and live(engine)["ahead_s"] == pytest.approx(1.0)
    after = slice(DELAY + FADE_FRAMES, RATE)
    np.testing.assert_allclose(heard[after], sound[FADE_FRAMES : RATE - DELAY], atol=1e-6)


def test_it_fades_out_before_it_runs_dry_and_goes_on_where_it_was(engine: OfflineEngine, feed: Feed) -> None:
    tone = sine(4.0, 330, 0.5)
    feed.begin()
    feed.write(tone[:RATE])
    first = engine.run(2 * RATE)[:, :2]
    assert live(engine)["stalls"] == 1 and not live(engine)["playing"]
    stalled_at = feed.position
    assert RATE - RESERVE_FRAMES <= stalled_at <= RATE
    steady = np.abs(np.diff(first[RATE // 4 : RATE // 2, 0], 2)).max()
    assert np.abs(np.diff(first[:, 0], 2)).max() <= 2 * steady, "it clicks"
    assert not first[-RATE // 2 :].any()
    feed.write(tone[RATE:])
    again = engine.run(RATE)[:, :2]
    np.testing.assert_allclose(
        again[DELAY + FADE_FRAMES :], tone[stalled_at + FADE_FRAMES : stalled_at + RATE - DELAY], atol=1e-5)
    assert np.abs(np.diff(again[:, 0], 2)).max() <= 2 * steady


def test_jitter_within_the_buffer_is_not_heard(engine: OfflineEngine, feed: Feed) -> None:
    """Chunks of 100 ms that come up to 200 ms late."""
    rng = np.random.default_rng(3)
    tone = sine(20.0, 220, 0.4)
    due = np.sort(np.arange(0, len(tone), CHUNK) + rng.uniform(0, 0.2 * RATE, len(tone) // CHUNK))
    feed.begin()
    sent, heard = 0, []
    for frame in range(0, len(tone), 960):
        while sent < len(due) and due[sent] <= frame:
            assert feed.write(tone[sent * CHUNK : (sent + 1) * CHUNK]) == CHUNK
            sent += 1
        heard.append(engine.run(960)[:, :2])
    sound = np.concatenate(heard)[:, 0]
    assert live(engine)["stalls"] == 0
    begun = int(np.flatnonzero(sound)[0])
    assert begun < 0.8 * RATE
    sounding = np.abs(sound[begun + 2 * FADE_FRAMES :])
    assert np.max(sounding.reshape(-1)[: len(sounding) // 480 * 480].reshape(-1, 480), axis=1).min() > 0.35, "a gap"


def test_on_the_grid_what_comes_late_is_left_out(engine: OfflineEngine, feed: Feed) -> None:
    sound = ramp(3 * RATE)
    origin = 4096 + RATE // 2
    feed.begin(origin)
    feed.write(sound[: RATE // 4])
    engine.set("/live/buffer", 0.05)
    first = engine.run(RATE)[:, :2]
    assert not first[: RATE // 2].any() and first[RATE // 2 + DELAY + 2 * FADE_FRAMES :].any()
    feed.write(sound[RATE // 4 :])  # a quarter of a second too late
    heard = engine.run(RATE)[:, :2]
    at = 4096 + RATE - origin
    np.testing.assert_allclose(heard[DELAY + FADE_FRAMES :], sound[at + FADE_FRAMES : at + RATE - DELAY], atol=1e-6)


def test_the_next_stream_takes_over_and_another_strip_too(engine: OfflineEngine, feed: Feed) -> None:
    feed.begin()
    feed.write(sine(2.0, 220, 0.5))
    engine.run(RATE // 2)
    feed.begin()
    feed.write(sine(3.0, 880, 0.5))
    heard = engine.run(RATE // 2)[:, 0]
    spectrum = np.abs(np.fft.rfft(heard[RATE // 4 :] * np.hanning(RATE // 4)))
    assert np.argmax(spectrum) == 220  # 880 Hz in bins of 4
    engine.set("/channel/3/mute", True)
    engine.run(RATE // 10)
    engine.set("/live/channel", 3)
    assert np.abs(engine.run(RATE // 2)[-RATE // 4 :]).max() < 1e-6
    assert live(engine)["stalls"] == 0
    feed.end()
    engine.set("/live/channel", 1)
    engine.run(4 * RATE)
    assert not live(engine)["playing"] and live(engine)["stalls"] == 0, "it has ended; that is no stall"


def test_what_was_not_played_is_never_overwritten(engine: OfflineEngine, feed: Feed) -> None:
    feed.begin()
    written = feed.write(np.zeros((FEED_FRAMES, 2), np.float32))
    assert 10 * RATE < written < FEED_FRAMES and feed.room == 0
    assert feed.write(np.ones((100, 2), np.float32)) == 0
    engine.run(RATE)
    assert feed.room == RATE


def test_live_is_rendered_alike_at_every_period() -> None:
    """A stream that is there whole gives the same samples, however the blocks are cut."""
    heard = []
    for period in (64, 100, 1024):
        engine = OfflineEngine()
        engine.set("/live/buffer", 0.1)
        engine.run(0)
        feed = Feed(engine.segment)
        feed.begin()
        feed.write(sine(1.0, 440, 0.5))
        feed.end()
        heard.append(engine.run(RATE, period)[: RATE - 2048])
    np.testing.assert_array_equal(heard[0], heard[1])
    np.testing.assert_array_equal(heard[0], heard[2])
