# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that grow: what other programs read of them at any moment."""

from __future__ import annotations

import os

import numpy as np
import pytest
import soundfile as sf

from appliance.errors import BadFile
from appliance.library.wavefile import HEADER_BYTES, WaveFile

RATE = 48000
NOISE = np.random.default_rng(5).uniform(-1.2, 1.2, (30000, 2)).astype(np.float32)


@pytest.mark.parametrize(("format", "subtype", "step"), [("pcm24", "PCM_24", 2**-23), ("float32", "FLOAT", 0)])
def test_what_is_noted_can_be_read_while_it_grows(tmp_path, format, subtype, step):
    path = tmp_path / "growing.wav"
    file = WaveFile(path, RATE, format)
    for at in range(0, 30000, 7000):
        file.append(NOISE[at : at + 7000])
        file.note()
        assert sf.info(path).subtype == subtype
        heard, rate = sf.read(path, dtype="float64")
        assert rate == RATE and len(heard) == min(at + 7000, 30000)
    wanted = np.clip(NOISE, -1, 1 - step) if step else NOISE
    np.testing.assert_allclose(heard, wanted, atol=step / 2 + 1e-12)
    file.close()
    with pytest.raises(FileExistsError):
        WaveFile(path, RATE, format)


def test_it_goes_on_after_it_was_cut_off_in_the_middle_of_a_frame(tmp_path):
    path = tmp_path / "cut.wav"
    file = WaveFile(path, RATE, "pcm24")
    file.append(NOISE[:10000])
    file.close()
    os.truncate(path, HEADER_BYTES + 9000 * 6 + 4)
    again = WaveFile.resume(path)
    assert again.frames == 9000
    again.append(NOISE[9000:])
    again.close()
    heard, _ = sf.read(path)
    np.testing.assert_allclose(heard, np.clip(NOISE, -1, 1 - 2**-23), atol=2**-24 + 1e-12)


def test_over_four_gigabytes_it_is_an_rf64_file(tmp_path):
    path = tmp_path / "long.wav"
    WaveFile(path, RATE, "pcm24").close()
    frames = 5_000_000_000 // 6
    os.truncate(path, HEADER_BYTES + frames * 6)  # sparse: it takes no room
    file = WaveFile.resume(path)
    file.append(NOISE[:100])
    file.close()
    facts = sf.info(path)
    assert (facts.format, facts.frames) == ("RF64", frames + 100)
    heard, _ = sf.read(path, start=frames)
    np.testing.assert_allclose(heard, np.clip(NOISE[:100], -1, 1 - 2**-23), atol=2**-24 + 1e-12)


@pytest.mark.parametrize("body", [b"", b"RIFF", b"RIFF" + bytes(200), b"\0" * 100])
def test_what_is_no_recording_is_left_alone(tmp_path, body):
    path = tmp_path / "other.wav"
    path.write_bytes(body)
    with pytest.raises(BadFile, match="no recording"):
        WaveFile.resume(path)
    assert path.read_bytes() == body
