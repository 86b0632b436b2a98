# SPDX-License-Identifier: GPL-3.0-or-later
"""The ten styles: each is itself, in its key and tempo, in every section, and nothing in it is lost."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.gen.backends.base import Audio
from appliance.gen.backends.procedural import ProceduralBackend
from appliance.gen.backends.procedural.arrangement import loudness, velocity_at
from appliance.gen.backends.procedural.instruments import PATCHES
from appliance.gen.backends.procedural.patches import Tone
from appliance.gen.backends.procedural.song import compose
from appliance.gen.backends.procedural.styles import table
from appliance.gen.backends.procedural.tonal import bass_line, chord_line
from appliance.gen.conform import conform, seam_ratio
from appliance.gen.request import PARTS, SECTIONS, STYLE_BPM, parse_request
from appliance.gen.theory import NOTE_NAMES, parse_key
from appliance.gen.vocabulary import INSTRUMENT_PARTS
from tests.listening import found_bpm, found_key, marks

BACKEND = ProceduralBackend()
STYLES = list(STYLE_BPM)


def play(**fields: object) -> Audio:
    return BACKEND.generate(parse_request({"prompt": "a loop", **fields}).resolved(), lambda _: None, lambda: False)


def level_db(audio: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(audio.astype(np.float64) ** 2)) + 1e-12))


def keys_right(seeds: range) -> float:
    """Share of loops whose key, or its relative, is heard."""
    right = 0
    for seed in seeds:
        key = f"{NOTE_NAMES[seed * 5 % 12]} {('minor', 'minor', 'major')[seed % 3]}"
        parts = ([*PARTS[2:5]], ["chords"], ["bass", "chords"])[seed // 10 % 3]
        tonic, mode = parse_key(key).tonic, parse_key(key).mode
        relative = ((tonic + 3) % 12, "major") if mode == "minor" else ((tonic + 9) % 12, "minor")
        mix = play(seed=seed, key=key, parts=parts, style=STYLES[seed % 10], sample_rate=24000).mix
        right += found_key(mix, 24000) in ((tonic, mode), relative)
    return right / len(seeds)


def tempos_right(seeds: range) -> float:
    """Share of drum loops whose tempo, half or double is heard within 1 BPM, in a cut that hides the loop's length."""
    right = []
    for number, style in enumerate(STYLES):
        for seed in seeds:
            bpm = STYLE_BPM[style] * (0.93 + 0.02 * (seed % 8))
            mix = play(seed=seed, style=style, bpm=round(bpm, 1), parts=["drums"], sample_rate=24000).mix
            start = 1_777 * (seed + 3 * number)
            heard = found_bpm(np.tile(mix, (5, 1))[start : start + 23 * 24000], 24000)
            right.append(any(abs(heard - round(bpm, 1) * factor) <= 1 for factor in (0.5, 1, 2)))
    return float(np.mean(right))


def styles_told_apart(seeds: range) -> float:
    """Share of mixes at one tempo that lie nearest to the centre of their style's others."""
    points = np.array([
        [marks(play(seed=s, style=style, bpm=120, bars=2, sample_rate=24000).mix, 24000, 2) for s in seeds] for style in STYLES
    ])  # fmt: skip
    points -= points.mean(axis=(0, 1))
    points /= points.std(axis=(0, 1)) + 1e-9
    right = 0
    for style in range(len(STYLES)):
        for seed in range(len(seeds)):
            centres = points.mean(axis=1)
            centres[style] = np.delete(points[style], seed, axis=0).mean(axis=0)
            right += int(np.argmin(((centres - points[style, seed]) ** 2).sum(axis=1)) == style)
    return right / (len(STYLES) * len(seeds))


def test_the_key_that_was_asked_for_is_heard() -> None:
    assert keys_right(range(20)) >= 0.9


@pytest.mark.soak
def test_the_key_that_was_asked_for_is_heard_over_a_hundred_seeds() -> None:
    assert keys_right(range(100)) >= 0.9


def test_the_tempo_of_drum_loops_is_heard() -> None:
    assert tempos_right(range(2)) >= 0.95


@pytest.mark.soak
def test_the_tempo_of_drum_loops_is_heard_over_thirty_seeds() -> None:
    assert tempos_right(range(30)) >= 0.95


def test_styles_are_told_apart_at_one_tempo() -> None:
    assert styles_told_apart(range(5)) >= 0.8


@pytest.mark.soak
def test_styles_are_told_apart_at_one_tempo_over_thirty_seeds() -> None:
    assert styles_told_apart(range(30)) >= 0.8


@pytest.mark.parametrize("style", STYLES)
def test_every_section_sounds_and_is_the_sum_of_its_stems(style: str) -> None:
    request = parse_request({"prompt": "a loop", "style": style, "seed": 4, "bars": 2, "sample_rate": 16000})
    levels = {}
    for section, wanted in request.sections().items():
        audio = BACKEND.generate(wanted, lambda _: None, lambda: False)
        assert list(audio.stems) == list(PARTS) and np.array_equal(sum(audio.stems.values()), audio.mix)
        for part, stem in audio.stems.items():
            wanted_db = table()[style].levels_db[part]
            assert wanted_db - 13 < level_db(stem) < wanted_db + 0.5, (section, part)
        levels[section] = level_db(audio.mix)
        assert -32 < levels[section] < -10 and np.abs(audio.mix).max() < 4, section
        loop, report, _ = conform(audio.mix, 16000, bpm=float(wanted.bpm or 0), bars=2, target_rate=16000, target_lufs=-14)
        assert seam_ratio(loop) <= 1 and report.peak_db <= -0.9
    assert levels["drop"] == max(levels.values()) and levels["break"] < levels["drop"] - 1


@pytest.mark.parametrize("section", SECTIONS)
def test_every_part_alone_sounds_in_every_section(section: str) -> None:
    for number, part in enumerate(PARTS):
        mix = play(style=STYLES[number + SECTIONS.index(section)], parts=[part], section=section, bars=1, sample_rate=16000).mix
        assert level_db(mix) > -60


def test_sections_are_one_song() -> None:
    """Same chords, groove and bass line; a break has no kick, an intro keeps the bass back."""
    request = parse_request({"prompt": "a loop", "style": "deep_house", "seed": 8, "bars": 4})
    songs = {section: compose(wanted) for section, wanted in request.sections().items()}
    assert len({(song.degrees, song.chord_degrees, song.grid.swing, song.room_seed) for song in songs.values()}) == 1
    lines = [[(note.step, note.pitch) for note in bass_line(song, song.rng("bass"))] for song in songs.values()]
    assert all(line == lines[0] for line in lines)
    for section in SECTIONS:
        assert (velocity_at(section, "kick", 0.1) > 0) == (section in ("build", "drop", "outro"))
        assert all(0.25 <= loudness(section, part) <= 1.0 for part in PARTS)
    low = {}
    for section in ("intro", "drop", "break"):
        stem = play(style="deep_house", seed=8, section=section, parts=["drums"], bars=2, sample_rate=16000).mix
        low[section] = float(np.sum(np.abs(np.fft.rfft(stem[: len(stem) // 2].mean(axis=1)))[: len(stem) // 16000 * 110] ** 2))
    assert low["break"] < 0.1 * low["drop"] and low["intro"] < 0.1 * low["drop"]


@pytest.mark.parametrize("style", STYLES)
def test_loops_of_odd_metres_and_lengths_have_their_exact_length(style: str) -> None:
    request = parse_request({"style": style, "bars": 1, "beats_per_bar": 3.5, "bpm": 131.7, "sample_rate": 11025}).resolved()
    audio = BACKEND.generate(request, lambda _: None, lambda: False)
    assert len(audio.mix) == round(3.5 * 60 / 131.7 * 11025) and np.isfinite(audio.mix).all()


def test_parts_keep_to_their_own_octaves() -> None:
    """In every style the bass lies below the chords, and the chords below the lead's highest notes."""
    for name, style in table().items():
        assert style.bass.high_note < style.chords.low_note <= style.lead.low_note + 3, name
        song = compose(parse_request({"style": name, "seed": 3}).resolved())
        lines = (bass_line(song, song.rng("bass")), chord_line(song, song.rng("chords"), style.chords.patches[0]))
        for tune, line in zip((style.bass, style.chords), lines, strict=True):
            rooted = line is lines[1] and style.chords.patches[0] == "power"
            assert all(tune.low_note <= note.pitch <= tune.high_note for note in line) or rooted, name


@pytest.mark.parametrize("patch", PATCHES)
def test_patches_are_in_tune_and_end_in_silence(patch: str) -> None:
    rate, pitch = 48000, 57
    sound = np.atleast_2d(PATCHES[patch](Tone(pitch, 0.8, 0.8, 0.5, 0.5, rate)))
    assert 0.1 < np.abs(sound).max() < 2 and np.abs(sound[:, -1]).max() < 0.02 and np.isfinite(sound).all()
    mono = np.pad(sound.mean(axis=0), (0, 1 << 17))[: 1 << 17]
    spectrum = np.abs(np.fft.rfft(mono))
    peak_hz = np.argmax(spectrum[100:6000]) + 100
    harmonic = peak_hz * rate / (1 << 17) / 220.0
    if patch not in ("bell", "power"):  # a bell's partials are no harmonics, a power chord has a fifth
        assert abs(12 * np.log2(harmonic / round(harmonic))) < 0.3


def test_an_instrument_that_is_named_is_played() -> None:
    plain = play(style="dub", seed=2, bars=1, parts=["chords"], sample_rate=16000).mix
    asked = play(style="dub", seed=2, bars=1, parts=["chords"], sample_rate=16000, instruments="piano").mix
    assert not np.array_equal(asked, plain)
    song = compose(parse_request({"style": "rock", "prompt": "piano, strings, cello and bongos"}).resolved())
    found = {part: song.instruments(part) for part in PARTS}
    assert found["chords"] == ["piano"] and found["lead"] == ["strings"] and found["bass"] == ["cello"]
    assert found["percussion"] == ["conga"] and found["drums"] == []
    for name, parts in INSTRUMENT_PARTS.items():
        assert name in PATCHES or parts[0] in ("drums", "percussion"), name
