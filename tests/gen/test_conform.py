# SPDX-License-Identifier: GPL-3.0-or-later
"""Conform: any material becomes a loop that may be launched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from appliance.errors import BadValue
from appliance.gen.backends.procedural import ProceduralBackend
from appliance.gen.conform import ROLE_LUFS, conform
from appliance.gen.loudness import integrated_lufs, limit_curve
from appliance.gen.request import parse_request
from appliance.gen.seam import seam_ratio

LOOPS = Path(__file__).parents[3] / "shared" / "audio"


def beat_track(bpm: float, beats: int, rate: int, lead_s: float = 0.0, tail_s: float = 0.0) -> np.ndarray:
    """Clicks of a decaying tone on every beat, the first one ``lead_s`` after a quiet start."""
    frames = round((lead_s + beats * 60 / bpm + tail_s) * rate)
    audio = np.random.default_rng(1).uniform(-1e-4, 1e-4, (frames, 2))
    at = np.arange(int(0.2 * rate)) / rate
    hit = np.sin(2 * np.pi * 180 * at) * np.exp(-at / 0.04)
    for beat in range(int((frames / rate - lead_s) * bpm / 60 + 1e-6) + 1):
        start = round((lead_s + beat * 60 / bpm) * rate)
        piece = hit[: max(frames - start, 0)]
        audio[start : start + len(piece)] += 0.6 * piece[:, None]
    return audio.astype(np.float32)


@pytest.mark.parametrize("rate", [48000, 44100, 32000])
@pytest.mark.parametrize("lead_s", [0.0, 0.0173, 0.137])
def test_downbeat_is_found_and_the_length_is_exact(rate: int, lead_s: float) -> None:
    bpm = 123.0
    material = beat_track(bpm, 16, rate, lead_s, 0.5)
    loop, report, _ = conform(material, rate, bpm=bpm, bars=4)
    assert loop.shape == (round(16 * 60 / bpm * 48000), 2) == (report.frames, 2)
    assert loop.dtype == np.float32 and loop.flags.c_contiguous
    level = np.abs(loop).max(axis=1)
    onset = int(np.argmax(level > 0.1 * level[:480].max()))
    assert onset <= 96  # 2 ms
    for beat in range(16):
        frame = round(beat * len(loop) / 16)
        around = level[frame : frame + 960]
        assert np.argmax(around > 0.2 * around.max()) <= 96 and around.max() > 0.2


@pytest.mark.parametrize("target", [-14.0, -20.0, -27.0])
def test_loudness_lands_on_the_target_by_an_independent_meter(target: float) -> None:
    meter = pytest.importorskip("pyloudnorm").Meter(48000)
    rng = np.random.default_rng(5)
    for audio in (beat_track(126, 16, 48000), rng.uniform(-0.3, 0.3, (365_714, 2)).astype(np.float32)):
        loop, report, _ = conform(audio[:365_714], 48000, bpm=126, bars=4, target_lufs=target, downbeat_frame=0)
        measured = meter.integrated_loudness(loop.astype(float))
        assert measured == pytest.approx(target, abs=0.5)
        assert report.loudness_lufs == pytest.approx(measured, abs=0.15)


def test_loudness_gates_quiet_passages() -> None:
    meter = pytest.importorskip("pyloudnorm").Meter(44100)
    rng = np.random.default_rng(6)
    audio = rng.uniform(-0.5, 0.5, (44100 * 8, 2)).astype(np.float32)
    audio[44100 * 3 :] *= 0.005
    assert integrated_lufs(audio, 44100) == pytest.approx(meter.integrated_loudness(audio.astype(float)), abs=0.15)


def test_standard_tone_reads_minus_three() -> None:
    """BS.1770: a 997 Hz sine at full scale in one channel is -3.01 LKFS."""
    audio = np.zeros((48000 * 5, 2), np.float32)
    audio[:, 0] = np.sin(2 * np.pi * 997 * np.arange(len(audio)) / 48000)
    assert integrated_lufs(audio, 48000) == pytest.approx(-3.01, abs=0.05)


def test_peaks_stay_under_the_ceiling() -> None:
    audio = np.random.default_rng(7).uniform(-0.02, 0.02, (96000, 2)).astype(np.float32)
    audio[::4800] = 0.9
    loop, report, _ = conform(audio, 48000, bpm=120, bars=1, target_lufs=-14, downbeat_frame=0)
    assert np.abs(loop).max() <= 10 ** (-1 / 20) + 1e-6 and report.limited_db < 0
    assert limit_curve(np.zeros((100, 2), np.float32), 0.5, 48000) is None


@pytest.mark.parametrize("tail_s", [0.0, 0.02, 1.0])
def test_seam_of_a_tone_that_does_not_fit_the_loop(tail_s: float) -> None:
    """A sine whose phase does not come round at the loop point clicks; after conform it does not."""
    frames = round(4 * 60 / 120 * 48000)
    time = np.arange(frames + round(tail_s * 48000)) / 48000
    tone = np.repeat(0.3 * np.sin(2 * np.pi * 101.3 * time)[:, None], 2, axis=1).astype(np.float32)
    assert seam_ratio(tone[:frames]) > 1
    loop, report, _ = conform(tone, 48000, bpm=120, bars=1, downbeat_frame=0)
    assert len(loop) == frames and seam_ratio(loop) == report.seam_ratio <= 1


def test_noise_is_joined_too() -> None:
    audio = np.cumsum(np.random.default_rng(8).uniform(-0.01, 0.01, (100_000, 2)), axis=0).astype(np.float32)
    loop, report, _ = conform(audio - audio.mean(axis=0), 48000, bpm=120, bars=1, downbeat_frame=0)
    assert len(loop) == 96000 and report.seam_ratio <= 1


def test_stems_get_what_the_mix_gets() -> None:
    audio = ProceduralBackend().generate(parse_request({"seed": 2, "bars": 2}).resolved(), lambda _: None, lambda: False)
    loop, report, stems = conform(audio.mix, 48000, bpm=126, bars=2, target_lufs=-9, downbeat_frame=0, stems=audio.stems)
    assert report.limited_db < 0  # so loud that the limiter works
    assert np.abs(sum(stems.values()) - loop).max() < 1e-5


def test_generated_loops_pass_through_unharmed() -> None:
    for seed in range(4):
        for part in (None, ["drums"], ["bass"], ["chords"], ["lead"], ["texture"]):
            request = parse_request({"seed": seed, "bars": 2, "parts": part}).resolved()
            audio = ProceduralBackend().generate(request, lambda _: None, lambda: False)
            loop, report, _ = conform(
                audio.mix, 48000, bpm=float(request.bpm or 0), bars=2, target_lufs=ROLE_LUFS[request.role], downbeat_frame=0,
            )  # fmt: skip
            assert report.seam == "exact" and report.seam_ratio <= 1 and report.frames == request.frames
            assert report.loudness_lufs == pytest.approx(ROLE_LUFS[request.role], abs=0.5)
            gain = 10 ** (report.gain_db / 20)
            if report.limited_db == 0:
                assert np.allclose(loop, audio.mix * gain, atol=1e-4)


def test_short_material_repeats_by_bars_and_far_too_short_is_refused() -> None:
    two_bars = beat_track(120, 8, 48000)
    loop, report, _ = conform(two_bars, 48000, bpm=120, bars=4)
    assert len(loop) == 4 * 96000 and any("repeat" in note for note in report.notes)
    assert np.allclose(loop[2000:90000], loop[2 * 96000 + 2000 : 2 * 96000 + 90000], atol=0.02)
    with pytest.raises(BadValue, match="less than one bar"):
        conform(two_bars[:30000], 48000, bpm=120, bars=4)


def test_material_in_another_tempo_is_played_at_the_right_speed() -> None:
    loop, report, _ = conform(beat_track(100, 16, 48000, 0, 1), 48000, bpm=110, bars=4, source_bpm=100)
    assert report.speed == pytest.approx(1.1) and len(loop) == round(16 * 60 / 110 * 48000)
    level = np.abs(loop).max(axis=1)
    for beat in range(16):
        frame = round(beat * len(loop) / 16)
        assert level[frame : frame + 480].max() > 0.3 * level.max()


@pytest.mark.parametrize(
    ("audio", "word"),
    [(np.zeros((48000, 2), np.float32), "silent"), (np.full((48000, 2), np.nan, np.float32), "NaN"),
     (np.zeros((0, 2), np.float32), "empty"), (np.zeros((10, 5), np.float32), "mono or stereo")],
)  # fmt: skip
def test_what_cannot_be_a_loop_is_refused_in_one_line(audio: np.ndarray, word: str) -> None:
    with pytest.raises(BadValue, match=word) as caught:
        conform(audio, 48000, bpm=120, bars=1)
    assert "\n" not in caught.value.message


@pytest.mark.skipif(not LOOPS.is_dir(), reason="the folder with recorded loops is not here")
@pytest.mark.parametrize(("name", "bpm"), [("garzul", 120), ("mika", 120), ("breakbeat", 126), ("compus", 148)])
def test_recorded_loops(name: str, bpm: float) -> None:
    audio, rate = sf.read(LOOPS / f"loop_{name}.flac", dtype="float32", always_2d=True)
    bars = max(round(len(audio) / rate * bpm / 240), 1)
    loop, report, _ = conform(audio, rate, bpm=bpm, bars=bars, target_lufs=-18)
    assert len(loop) == round(bars * 240 / bpm * 48000)
    assert report.downbeat_frame <= 0.01 * 48000  # they start on their downbeat
    assert report.seam_ratio <= 1 and report.loudness_lufs == pytest.approx(-18, abs=0.5)
