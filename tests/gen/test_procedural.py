# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded generator: the same bytes, in key, on the grid, seamless, and different by seed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from appliance.gen.backends import VERSIONS
from appliance.gen.backends.base import Audio, GenerationCancelled
from appliance.gen.backends.procedural import ProceduralBackend
from appliance.gen.backends.procedural.bank import bank_requests
from appliance.gen.backends.procedural.grid import euclid
from appliance.gen.backends.procedural.oscillators import subtractive
from appliance.gen.backends.procedural.shaping import loop_noise
from appliance.gen.backends.procedural.song import compose
from appliance.gen.backends.procedural.styles import table
from appliance.gen.maths import exp2, fast_length, sin_turns
from appliance.gen.request import PARTS, STYLE_BPM, parse_request
from appliance.gen.seam import seam_ratio

BACKEND = ProceduralBackend()


def play(**fields: object) -> Audio:
    return BACKEND.generate(parse_request({"prompt": "techno", **fields}).resolved(), lambda _: None, lambda: False)


def digest(audio: Audio) -> str:
    return hashlib.sha256(audio.mix.tobytes() + b"".join(stem.tobytes() for stem in audio.stems.values())).hexdigest()


_OTHER = """
import hashlib
from appliance.gen.backends.procedural import ProceduralBackend
from appliance.gen.backends.procedural.instruments import PATCHES
from appliance.gen.backends.procedural.patches import Tone
from appliance.gen.conform import conform
from appliance.gen.request import SECTIONS, STYLE_BPM, parse_request
fields = {"prompt": "techno", "seed": 5, "bars": 2, "complexity": 0.9, "effects": ["chorus", "distortion"]}
request = parse_request(fields).resolved()
audio = ProceduralBackend().generate(request, lambda _: None, lambda: False)
loop, report, _ = conform(audio.mix, 48000, bpm=request.bpm, bars=2, downbeat_frame=0)
heard = audio.mix.tobytes() + loop.tobytes()
for number, style in enumerate(STYLE_BPM):
    section = SECTIONS[number % 5]
    fields = {"style": style, "seed": 2, "bars": 1, "section": section, "complexity": 0.8, "energy": 0.9, "sample_rate": 16000}
    heard += ProceduralBackend().generate(parse_request(fields).resolved(), lambda _: None, lambda: False).mix.tobytes()
for name, patch in PATCHES.items():
    heard += patch(Tone(50, 0.4, 0.8, 0.6, 0.4, 16000)).tobytes()
print(hashlib.sha256(heard).hexdigest())
"""


def bytes_in_another_process(**environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _OTHER], env={**os.environ, **environment}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_the_same_request_gives_the_same_bytes_in_other_processes_and_on_plainer_processors() -> None:
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    ours = bytes_in_another_process(PYTHONHASHSEED="1")
    assert len(ours) == 64
    assert bytes_in_another_process(PYTHONHASHSEED="2") == ours
    switched_off = [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]
    plain = {"NPY_DISABLE_CPU_FEATURES": " ".join(switched_off), "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F"}
    assert bytes_in_another_process(**plain) == ours


def test_mix_is_the_sum_of_its_stems_and_has_the_exact_length() -> None:
    for bpm, bars, beats, rate in ((126, 4, 4, 48000), (97.3, 1, 3, 44100), (174, 2, 3.5, 48000), (126, 3, 5, 22050)):
        request = parse_request({"bpm": bpm, "bars": bars, "beats_per_bar": beats, "sample_rate": rate}).resolved()
        audio = BACKEND.generate(request, lambda _: None, lambda: False)
        assert audio.mix.shape == (round(bars * beats * 60 / bpm * rate), 2) and audio.mix.dtype == np.float32
        assert list(audio.stems) == list(PARTS)
        assert np.array_equal(sum(audio.stems.values()), audio.mix)
        assert np.isfinite(audio.mix).all()


def test_seeds_and_settings_are_heard() -> None:
    """Other seeds change every part; so do energy and complexity."""
    one, two = play(seed=1, bars=2), play(seed=2, bars=2)
    for part in PARTS:
        a, b = one.stems[part].ravel(), two.stems[part].ravel()
        likeness = float(np.dot(a, b)) / np.sqrt(float(np.dot(a, a)) * float(np.dot(b, b)))
        assert likeness < 0.9, part
    assert digest(play(seed=1, bars=2, energy=0.9)) != digest(one)
    assert digest(play(seed=1, bars=2, complexity=1.0)) != digest(one)


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_seamless_and_sounds(part: str) -> None:
    for seed in range(6):
        mix = play(seed=seed, bars=2, parts=[part], complexity=0.2 + 0.15 * seed).mix
        assert seam_ratio(mix) <= 1
        assert 0.01 < float(np.sqrt(np.mean(mix * mix))) < 0.5


def test_kicks_are_on_the_beats_to_two_milliseconds() -> None:
    for seed in range(4):
        fields = {"style": "techno_minimal", "seed": seed, "bars": 4, "parts": ["drums"], "complexity": 0.3}
        request = parse_request(fields).resolved()
        mono = np.abs(BACKEND.generate(request, lambda _: None, lambda: False).mix).max(axis=1)
        for beat in range(12):
            frame = round(beat * request.frames / 16)
            after, before = mono[frame : frame + 480].max(), mono[max(frame - 96, 0) : frame + 1].max(initial=0)
            assert after > 0.2 and (beat == 0 or before < after)
            onset = int(np.argmax(mono[frame : frame + 480] > 0.25 * after))
            assert onset <= 96


def test_parts_leave_room_for_each_other() -> None:
    """Bass below, chords and lead above it, hats on top; the bass makes way for the kick."""
    centre = {}
    for part, stem in play(seed=3).stems.items():
        spectrum = np.abs(np.fft.rfft(stem.mean(axis=1))) ** 2
        hz = np.fft.rfftfreq(len(stem), 1 / 48000)
        centre[part] = float(hz[np.searchsorted(np.cumsum(spectrum), 0.5 * spectrum.sum())])
    assert centre["bass"] < 130 < 250 < centre["chords"] < 1500 and centre["lead"] > 400
    bass = play(seed=3, energy=0.9, complexity=0.9, parts=["bass"]).mix
    beat = len(bass) / 16
    on = np.mean([np.abs(bass[round(b * beat) : round(b * beat) + 2000]).mean() for b in range(16)])
    off = np.mean([np.abs(bass[round((b + 0.5) * beat) : round((b + 0.5) * beat) + 6000]).mean() for b in range(16)])
    assert on < 0.5 * off


def test_every_style_that_can_be_asked_for_can_be_played() -> None:
    assert set(table()) == set(STYLE_BPM)
    for name, style in table().items():
        lengths = {len(r) for lane in (*style.drums.values(), *style.percussion.values()) for r in lane.rhythms}
        lengths |= {len(r) for tune in (style.bass, style.chords, style.lead) for r in tune.rhythms}
        assert lengths <= {16, 32, 64}, name
        assert set(style.levels_db) == set(PARTS)


def test_cancelled_generation_stops() -> None:
    calls = iter([False, False, True])
    with pytest.raises(GenerationCancelled):
        BACKEND.generate(parse_request("techno").resolved(), lambda _: None, lambda: next(calls))


def test_bank_has_four_rows_that_share_their_harmony() -> None:
    requests = bank_requests(7, 124.0, "D minor")
    assert len(requests) == 16 and len({r.content_hash(VERSIONS["procedural"]) for r in requests}) == 16
    assert [r.role for r in requests[:4]] == ["drums", "bass", "chords", "texture"]
    assert [r.role for r in requests[4:8]] == ["drums", "bass", "chords", "lead"]
    songs = [compose(r.resolved()) for r in requests]
    assert len({(s.degrees, s.chord_degrees, s.key, s.grid.swing, s.kick_hz) for s in songs}) == 1
    assert len({r.frames for r in (r.resolved() for r in requests)}) == 1
    assert all(0 < len(r.name) <= 20 for r in requests) and len({r.name for r in requests}) == 16
    energies = [r.energy for r in requests[::4]]
    assert energies == sorted(energies)


def test_sine_and_power_are_accurate() -> None:
    x = np.linspace(-3, 3, 100_001)
    assert np.abs(sin_turns(x) - np.sin(2 * np.pi * x)).max() < 1e-9
    assert np.abs(sin_turns(x.astype(np.float32)) - np.sin(2 * np.pi * x)).max() < 3e-6
    assert np.abs(exp2(x * 10) / 2.0 ** (x * 10) - 1).max() < 1e-10


def test_fast_lengths_have_small_factors() -> None:
    for wanted in (1, 1_700, 48_001, 365_714, 460_000):
        length = fast_length(wanted)
        assert wanted <= length <= max(wanted * 1.3, 16)
        for factor in (2, 3, 5):
            while length % factor == 0:
                length //= factor
        assert length == 1


def test_oscillators_do_not_alias() -> None:
    """A wide open saw at 2093 Hz: what is not one of its harmonics lies 60 dB below it."""
    frames = 48000
    saw = subtractive("saw", 2093.0, np.full(frames, 7.4, np.float32), 48000)
    spectrum = np.abs(np.fft.rfft(saw * np.blackman(frames)))
    harmonic = np.zeros(len(spectrum), bool)
    for number in range(1, 12):
        harmonic[number * 2093 - 6 : number * 2093 + 7] = True
    assert spectrum[~harmonic].max() < 1e-3 * spectrum.max()


def test_noise_has_no_seam() -> None:
    rng = np.random.default_rng(1)
    for low, high in ((300, 1500), (3000, 9000)):
        assert seam_ratio(loop_noise(rng, 2, 100_003, low, high, 48000).T) <= 1


def test_euclidean_rhythms() -> None:
    assert euclid(4, 16) == [0, 4, 8, 12]
    assert euclid(3, 8) == [0, 2, 5]
