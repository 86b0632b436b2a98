# SPDX-License-Identifier: GPL-3.0-or-later
"""What a box without models says of them, and what a request to one may say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import ApplianceError, BadValue
from appliance.gen.pool import JobFailed, WorkerProcess
from appliance.gen.request import parse_request
from appliance.gen.said import words_for_model
from appliance.gen.work import parse_job
from tests.gen.conftest import Running

SOUND = {"hash": "a" * 64, "name": "x", "bpm": 120.0, "beats": 8.0, "exact": True}


async def test_without_a_model_it_is_said_what_to_do_and_the_embedded_generator_goes_on(running: Running) -> None:
    for backend in ("stable_audio", "musicgen"):
        with pytest.raises(ApplianceError) as caught:
            await running.do("/gen/generate", {"prompt": "techno", "backend": backend}, "/pad/1")
        assert f"gen.{backend}" in caught.value.message and "make gen-env" in caught.value.message
    running.box.values.set("/gen/generator", "musicgen")
    await running.do("/gen/generate", {"prompt": "only bass", "bars": 1}, "/pad/1")
    await running.until(lambda: running.control.loads)
    assert "gen.musicgen" in running.control.states["/gen/message"]


def test_the_librarys_parameters_stand_beside_the_others_under_their_own_names() -> None:
    request = parse_request({
        "backend": "stable_audio", "prompt": "dub", "steps": 30, "cfg_scale": 4.5, "sampler_type": "dpmpp-2m-sde",
        "sigma_min": 0.1, "sigma_max": 80, "rho": 1, "init_audio": SOUND, "init_noise_level": 0.4, "seed": 7,
    }).resolved()  # fmt: skip
    assert request.options == {"steps": 30, "cfg_scale": 4.5, "sampler_type": "dpmpp-2m-sde", "sigma_min": 0.1,
                               "sigma_max": 80.0, "rho": 1.0, "init_noise_level": 0.4}
    assert request.init_audio and request.init_audio.hash == "a" * 64
    again = parse_job(json.loads(json.dumps(request.model_dump(mode="json"))))
    assert again == request and again.content_hash("1") == request.content_hash("1")
    other = request.model_copy(update={"options": {**request.options, "steps": 31}})
    assert other.content_hash("1") != request.content_hash("1")
    assert request.model_copy(update={"model": "another"}).content_hash("1") != request.content_hash("1")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"backend": "stable_audio", "steps": 0}, "steps"),
    ({"backend": "stable_audio", "steps": "many"}, "steps"),
    ({"backend": "stable_audio", "sampler_type": "magic"}, "sampler_type"),
    ({"backend": "stable_audio", "init_noise_level": 0}, "init_noise_level"),
    ({"backend": "stable_audio", "cfg_scale": float("nan")}, "cfg_scale"),
    ({"backend": "stable_audio", "options": {"stepz": 3}}, "stepz"),
    ({"backend": "stable_audio", "temperature": 1}, "temperature"),
    ({"backend": "musicgen", "steps": 10}, "steps"),
    ({"backend": "musicgen", "temperature": 0}, "temperature"),
    ({"steps": 10}, "steps"),
    ({"init_audio": SOUND}, "procedural takes no init_audio"),
    ({"backend": "stable_audio", "inpaint_audio": SOUND}, "belong together"),
    ({"backend": "stable_audio", "inpaint_audio": SOUND, "inpaint_beats": [[4, 4]]}, "from and to"),
    ({"backend": "stable_audio", "init_audio": SOUND, "continue_audio": SOUND}, "exclude each other"),
    ({"backend": "stable_audio", "init_audio": {"hash": "../../etc/passwd"}}, "init_audio"),
    ({"backend": "stable_audio", "bars": 1000}, "1 … 64"),
    ({"backend": "stable_audio", "key": "H minor"}, "no key"),
    ({"backend": "stable_audio", "prompt": "a\x00b"}, "binary"),
]


@pytest.mark.parametrize(("fields", "words"), BAD)
def test_what_a_model_cannot_be_asked_is_refused_in_one_line(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(BadValue) as caught:
        parse_request(fields)
    assert words in caught.value.message and "\n" not in caught.value.message and len(caught.value.message) < 400


def test_requests_of_the_embedded_generator_are_named_as_before() -> None:
    """The cache of a box that is updated stays good: what is new in a request is not there when it is not said."""
    content = parse_request({"prompt": "techno", "seed": 1}).resolved().model_dump(mode="json", exclude_none=True)
    assert not {"model", "options", "init_audio", "inpaint_audio", "inpaint_beats", "continue_audio"} & set(content)


def test_a_model_is_told_what_the_prompt_leaves_out() -> None:
    said = words_for_model(parse_request({"prompt": "warm pads", "backend": "stable_audio", "bpm": 96, "key": "D minor",
                                          "style": "dub", "parts": ["chords"]}).resolved())
    assert said == "warm pads, only chords, dub, D minor, 96 BPM"
    said = words_for_model(parse_request({"prompt": "trip hop at 90 bpm in A minor", "backend": "stable_audio"}).resolved())
    assert said == "trip hop at 90 bpm in A minor"


async def test_a_worker_in_an_environment_without_torch_says_so(tmp_path: Path) -> None:
    worker = WorkerProcess("models", tmp_path, sys.executable, idle_s=60)
    request = parse_request({"prompt": "techno", "backend": "stable_audio", "model": str(tmp_path)}).resolved()
    with pytest.raises(JobFailed, match=r"torch is not installed.*make gen-env") as caught:
        await worker.generate(1, request, [0], lambda _: None)
    assert not caught.value.retry
    await worker.stop()
    with pytest.raises(JobFailed, match=r"no interpreter for models.*make gen-env"):
        await WorkerProcess("models", tmp_path, None, idle_s=60).generate(1, request, [0], lambda _: None)


def test_the_worker_needs_nothing_of_the_engine(tmp_path: Path) -> None:
    """It runs in another environment: what compiles, plays and draws is not there."""
    import subprocess

    missing = ("numba", "jack", "aiohttp", "moderngl", "glfw", "rtmidi", "pythonosc", "zeroconf", "json5", "ruamel", "mutagen")
    code = (f"import sys; sys.modules.update(dict.fromkeys({missing!r}))\n"
            "import appliance.gen.worker, appliance.gen.material_maker, appliance.gen.backends.models, "
            "appliance.gen.backends.stable_audio, appliance.gen.backends.musicgen, appliance.gen.backends.dia, "
            "appliance.gen.stems.network")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
