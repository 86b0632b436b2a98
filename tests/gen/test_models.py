# SPDX-License-Identifier: GPL-3.0-or-later
"""Models in the worker of their own environment: the libraries' real code on tiny models. Needs that environment:
``make gen-env gen-test``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from appliance.gen.drop import parse_drop
from appliance.gen.model_options import FLOW_SAMPLERS, V_SAMPLERS
from appliance.gen.model_settings import ModelSettings
from appliance.gen.pool import JobCancelled, JobFailed, WorkerProcess
from appliance.gen.request import GenRequest, parse_request
from appliance.gen.seam import seam_ratio
from appliance.gen.stems.request import STEMS, parse_stem
from appliance.library.store import AudioStore
from tests.gen.conftest import Running
from tests.gen.test_conform import beat_track

HERE = Path(__file__).parents[2]
PYTHON = os.environ.get("APPLIANCE_GEN_PYTHON") or str(HERE / ".venv-gen" / "bin" / "python")
pytestmark = pytest.mark.skipif(
    not shutil.which(PYTHON), reason="there is no environment for models; `make gen-env gen-test` makes it and runs these"
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models, made by the libraries themselves."""
    folder = tmp_path_factory.mktemp("tiny")
    done = subprocess.run([PYTHON, "-m", "tests.gen.tinymodels", str(folder)], cwd=HERE, capture_output=True, text=True,
                          timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


class Models:
    """The worker for models, and what it made."""

    def __init__(self, data: Path, **settings: Any) -> None:
        self.data = data
        self.heard: list[float] = []
        self.worker = WorkerProcess("models", data, PYTHON, stall_s=120, obey_s=10, idle_s=60,
                                    settings=ModelSettings(**settings).model_dump())
        self._job = 0

    async def make(self, request: Any, candidates: tuple[int, ...] = (0,)) -> list[dict[str, Any]]:
        self._job += 1
        self.heard.clear()
        return await self.worker.generate(self._job, request, list(candidates), self.heard.append)

    async def loop(self, request: GenRequest) -> np.ndarray:
        return self.audio((await self.make(request))[0]["hash"])

    def audio(self, hash_: str) -> np.ndarray:
        return sf.read(self.data / "audio" / hash_[:2] / f"{hash_}.wav", dtype="float32", always_2d=True)[0]

    def put(self, audio: np.ndarray, rate: int = 48_000, **fields: Any) -> dict[str, Any]:
        """A clip in the store, as material."""
        store = AudioStore(self.data)
        clip = store.put(audio, rate, name="source", role="mix", **fields)
        store.close()
        return {"hash": clip.hash, "name": "source", "exact": True, **fields}


@pytest.fixture
async def models(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Models]:
    made = Models(tmp_path / "data", **getattr(request, "param", {}))
    try:
        yield made
    finally:
        await made.worker.stop()


def ask(model: Path | str, **fields: Any) -> GenRequest:
    return parse_request({"prompt": "techno loop", "backend": "stable_audio", "model": str(model), "bars": 1, "bpm": 126,
                          "steps": 4, "seed": 1, **fields}).resolved()


def check(loop: np.ndarray, request: GenRequest) -> None:
    assert len(loop) == request.frames and np.isfinite(loop).all() and seam_ratio(loop) <= 1
    assert 0.01 < np.abs(loop).max() <= 10 ** (-1 / 20) + 1e-5


async def test_words_become_a_loop_and_seed_and_prompt_are_heard(models: Models, tiny: Path) -> None:
    request = ask(tiny / "flow", candidates=2)
    clips = await models.make(request, (0, 1))
    assert models.heard == sorted(models.heard) and models.heard[-1] == 1.0 and len(models.heard) > 4
    one, two = (models.audio(clip["hash"]) for clip in clips)
    for loop in (one, two):
        check(loop, request)
    assert not np.array_equal(one, two) and clips[0]["lineage"]["model"] == str(tiny / "flow")
    pid = models.worker.pid
    assert (await models.make(request))[0]["hash"] == clips[0]["hash"], "the same request, the same bytes"
    assert models.worker.pid == pid, "and the model is loaded once"
    other = await models.make(request.model_copy(update={"prompt": "dark warm pad"}))
    assert other[0]["hash"] != clips[0]["hash"]
    assert (await models.make(ask(tiny / "flow", negative_prompt="snare", cfg_scale=3)))[0]["hash"] != clips[0]["hash"]


@pytest.mark.soak
async def test_every_sampler_of_the_library_plays(models: Models, tiny: Path) -> None:
    made: set[str] = set()
    for name, samplers in (("flow", FLOW_SAMPLERS), ("v", V_SAMPLERS)):
        for sampler in samplers:
            guided = 3 if sampler.endswith("cfgpp") else 1  # it is DDIM with another guidance
            request = ask(tiny / name, sampler_type=sampler, steps=3, cfg_scale=guided, bars=1, bpm=180)
            clip = (await models.make(request))[0]
            check(models.audio(clip["hash"]), request)
            assert models.heard[-1] == 1.0, sampler
            made.add(clip["hash"])
    assert len(made) == len(FLOW_SAMPLERS) + len(V_SAMPLERS)
    with pytest.raises(JobFailed, match=r"rectified_flow.*takes euler") as caught:
        await models.make(ask(tiny / "flow", sampler_type="k-heun"))
    assert not caught.value.retry


@pytest.mark.soak
async def test_every_parameter_reaches_the_library(models: Models, tiny: Path) -> None:
    plain = ask(tiny / "v", sampler_type="dpmpp-2m-sde", cfg_scale=4)
    first = (await models.make(plain))[0]["hash"]
    for fields in ({"sigma_min": 0.05}, {"sigma_max": 20}, {"rho": 3}, {"cfg_scale": 6}, {"steps": 5}, {"scale_phi": 0.5},
                   {"cfg_interval": [0.0, 0.3]}, {"seconds_total": 9}, {"seconds_start": 3}, {"sample_size": 200_000}):
        request = ask(tiny / "v", sampler_type="dpmpp-2m-sde", **{"cfg_scale": 4, **fields})
        assert (await models.make(request))[0]["hash"] != first, fields


async def test_it_starts_from_a_sound_by_its_noise_level(models: Models, tiny: Path) -> None:
    beat = beat_track(126, 4, 48_000, 0.0, 0.0)[: round(4 * 60 / 126 * 48_000)]
    sources = [models.put(beat, bpm=126.0, bars=1, beats=4.0), models.put(np.roll(beat, 9000, 0), bpm=126.0, bars=1, beats=4.0)]
    apart: list[float] = []
    for level in (0.05, 0.95):
        loops = []
        for source in sources:
            request = ask(tiny / "flow", init_audio=source, init_noise_level=level)
            loop = await models.loop(request)
            check(loop, request)
            loops.append(loop)
        apart.append(float(np.abs(loops[0] - loops[1]).mean()))
    assert apart[0] > 1.2 * apart[1], "with little noise more of the sound that it starts from is left"


async def test_inpainting_keeps_every_sample_outside(models: Models, tiny: Path) -> None:
    frames = round(8 * 60 / 126 * 48_000)
    beat = beat_track(126, 8, 48_000, 0.0, 0.0)[:frames]
    source = models.put(beat, bpm=126.0, bars=2, beats=8.0)
    request = ask(tiny / "inpaint", inpaint_audio=source, inpaint_beats=[[2, 4], [6.5, 8]], bars=2)
    clip = (await models.make(request))[0]
    loop = models.audio(clip["hash"])
    beats = np.arange(frames) / frames * 8
    new = ((beats >= 2) & (beats < 4)) | (beats >= 6.5)
    edge = np.abs(beats[:, None] - np.array([2, 4, 6.5, 8])).min(axis=1) < 1e-3
    assert np.array_equal(loop[~new & ~edge], beat[~new & ~edge]) and not np.allclose(loop[new], beat[new], atol=1e-3)
    assert clip["frames"] == frames and clip["beats"] == 8 and clip["lineage"]["parents"] == [source["hash"]]
    with pytest.raises(JobFailed, match="behind the end"):
        await models.make(ask(tiny / "inpaint", inpaint_audio=source, inpaint_beats=[[9, 10]]))
    with pytest.raises(JobFailed, match=r"cannot inpaint.*diffusion_cond_inpaint"):
        await models.make(ask(tiny / "flow", inpaint_audio=source, inpaint_beats=[[2, 4]]))


async def test_a_loop_goes_on_and_begins_as_it_was(models: Models, tiny: Path) -> None:
    frames = round(4 * 60 / 126 * 48_000)
    beat = beat_track(126, 4, 48_000, 0.0, 0.0)[:frames]
    source = models.put(beat, bpm=126.0, bars=1, beats=4.0)
    clip = (await models.make(ask(tiny / "inpaint", continue_audio=source, bars=2)))[0]
    loop = models.audio(clip["hash"])
    assert np.array_equal(loop[:frames], beat) and clip["beats"] == 12 and abs(len(loop) - 3 * frames) <= 2
    assert np.abs(loop[frames:]).max() > 0.01


@pytest.mark.parametrize("models", [{"precision": "bf16"}, {"precision": "fp16"}], indirect=True)
async def test_half_precision_plays(models: Models, tiny: Path) -> None:
    request = ask(tiny / "flow")
    check(await models.loop(request), request)
    source = models.put(beat_track(126, 4, 48_000)[:91_429], bpm=126.0, bars=1, beats=4.0)
    request = ask(tiny / "inpaint", inpaint_audio=source, inpaint_beats=[[1, 2]])
    assert np.isfinite(await models.loop(request)).all()


async def test_cancel_takes_effect_within_half_a_second_and_the_model_stays(models: Models, tiny: Path) -> None:
    await models.make(ask(tiny / "flow"))
    pid = models.worker.pid
    for wait_s in (0.05, 0.3, 0.6):
        task = asyncio.create_task(models.make(ask(tiny / "flow", steps=1000, bars=4, seed=round(100 * wait_s))))
        await asyncio.sleep(wait_s)
        began = time.monotonic()
        models.worker.cancel()
        with pytest.raises(JobCancelled):
            await task
        assert time.monotonic() - began < 0.5 + 0.2  # and some room for a busy machine
    await models.make(ask(tiny / "flow", seed=2))
    assert models.worker.pid == pid


BROKEN = [
    ("nowhere", "there is no folder"),
    ("truncated", "truncated or damaged"),
    ("no_weights", r"lacks model.safetensors or model.ckpt"),
    ("evil", r"pickle with code in it.*gen\.pickles"),
    ("cut_pickle", "truncated or damaged"),
    ("text_pickle", "no checkpoint"),
    ("other", "another architecture"),
    ("autoencoder", "model of type autoencoder"),
    ("no_json", "does not describe a model"),
    ("musicgen", r"lacks model_config\.json"),
]


async def test_a_model_that_cannot_be_loaded_is_said_plainly_and_the_next_job_goes_on(models: Models, tiny: Path) -> None:
    for name, words in BROKEN:
        with pytest.raises(JobFailed, match=words) as caught:
            await models.make(ask(tiny / name))
        assert not caught.value.retry and "\n" not in caught.value.message and caught.value.status < 500, name
    assert not list(tiny.rglob("ran_code")) and not (models.data / "ran_code").exists()
    with pytest.raises(JobFailed, match=r"hf download owner/model.*gen\.fetch"):
        await models.make(ask("owner/model"))
    request = ask(tiny / "pickle")
    check(await models.loop(request), request)


@pytest.mark.parametrize("models", [{"pickles": ["model.ckpt"]}], indirect=True)
async def test_a_pickle_that_is_allowed_by_name_is_loaded(models: Models, tiny: Path) -> None:
    request = ask(tiny / "evil_allowed")
    check(await models.loop(request), request)


@pytest.mark.parametrize("models", [{"device": "cuda"}], indirect=True)
async def test_a_device_that_is_not_there_is_said(models: Models, tiny: Path) -> None:
    if Path("/dev/nvidia0").exists():
        pytest.skip("there is a CUDA device")
    with pytest.raises(JobFailed, match=r"gen\.device is cuda"):
        await models.make(ask(tiny / "flow"))


@pytest.mark.soak
async def test_out_of_memory_is_answered_by_a_smaller_request_and_said(models: Models, tiny: Path) -> None:
    """A real allocation that fails: the worker may have only so much more than it has."""
    await models.make(ask(tiny / "flow"))
    assert models.worker.pid
    status = Path(f"/proc/{models.worker.pid}/status").read_text()
    size = 1024 * int(next(line for line in status.splitlines() if line.startswith("VmSize")).split()[1])
    request = ask(tiny / "flow", bars=8, bpm=60)
    clip: dict[str, Any] = {}
    for more_mb in range(300, 600, 50):  # too little for a bar fails plainly, too much would be enough for all of them
        resource.prlimit(models.worker.pid, resource.RLIMIT_AS, (size + more_mb * 10**6,) * 2)
        try:
            clip = (await models.make(request))[0]
            break
        except JobFailed as error:
            assert "not enough memory" in error.message
    check(models.audio(clip["hash"]), request)
    assert any("not enough memory for 8 bars" in line for line in clip["said"]), clip["said"]


async def test_a_worker_that_is_killed_costs_a_retry(models: Models, tiny: Path) -> None:
    await models.make(ask(tiny / "flow"))
    task = asyncio.create_task(models.make(ask(tiny / "flow", steps=1000)))
    await asyncio.sleep(0.3)
    assert models.worker.pid
    os.kill(models.worker.pid, signal.SIGKILL)
    with pytest.raises(JobFailed, match="killed by signal 9") as caught:
        await task
    assert caught.value.retry
    await models.make(ask(tiny / "flow", seed=3))


async def test_musicgen_plays_in_the_same_frame(models: Models, tiny: Path) -> None:
    fields = {"backend": "musicgen", "model": str(tiny / "musicgen"), "prompt": "techno loop", "bars": 1, "bpm": 126, "seed": 1}
    request = parse_request(fields).resolved()
    one = await models.make(request)
    check(models.audio(one[0]["hash"]), request)
    assert models.heard == sorted(models.heard) and models.heard[-1] == 1.0 and len(models.heard) > 3
    assert (await models.make(request))[0]["hash"] == one[0]["hash"]
    for more in ({"temperature": 0.01}, {"top_k": 4}, {"guidance_scale": 1.5}, {"do_sample": False}, {"seed": 2}):
        assert (await models.make(parse_request({**fields, **more}).resolved()))[0]["hash"] != one[0]["hash"], more
    task = asyncio.create_task(models.make(parse_request({**fields, "bars": 8, "seed": 9}).resolved()))
    await asyncio.sleep(0.3)
    models.worker.cancel()
    with pytest.raises(JobCancelled):
        await task
    with pytest.raises(JobFailed, match=r"model of type|lacks"):
        await models.make(parse_request({**fields, "model": str(tiny / "flow")}).resolved())
    broken = tiny / "musicgen_truncated"
    shutil.copytree(tiny / "musicgen", broken, dirs_exist_ok=True)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(JobFailed, match="cannot be loaded"):
        await models.make(parse_request({**fields, "model": str(broken)}).resolved())


async def test_dia_says_a_drop_in_a_voice_of_its_own_or_like_somebody(tmp_path: Path, tiny: Path) -> None:
    models = Models(tmp_path / "data", dia_codec=str(tiny / "dac"))
    fields = {"backend": "dia", "model": str(tiny / "dia"), "text": "[S1] hello (laughs) [S2] always", "seed": 1}
    recording = models.put((0.1 * np.random.default_rng(1).standard_normal((2 * 48_000, 2))).astype(np.float32))
    try:
        first = (await models.make(parse_drop(fields)))[0]
        assert models.heard == sorted(models.heard) and models.heard[-1] == 1.0 and len(models.heard) > 3
        assert first["lineage"]["backend"] == "dia" and first["role"] == "voice" and not first["said"]
        sound = models.audio(first["hash"])
        assert 0.1 * 48_000 < len(sound) < 8 * 48_000 and np.isfinite(sound).all() and np.abs(sound).max() > 0.01
        assert (await models.make(parse_drop(fields)))[0]["hash"] == first["hash"]
        like = {"like": recording, "like_text": "good evening"}
        for more in ({"seed": 2}, {"text": "[S1] goodbye"}, {"options": {"guidance_scale": 1.5}}, {"options": {"top_p": 0.2}},
                     {"options": {"temperature": 3}}, like, like | {"like_text": "who is there"}):
            assert (await models.make(parse_drop(fields | more)))[0]["hash"] != first["hash"], more
        task = asyncio.create_task(models.make(parse_drop(fields | {"text": "and so on " * 50})))
        await asyncio.sleep(0.3)
        models.worker.cancel()
        with pytest.raises(JobCancelled):
            await task
        if shutil.which("espeak-ng"):
            for broken, words in ((tiny / "musicgen", "of type musicgen"), (tiny / "none", "no folder")):
                clip = (await models.make(parse_drop(fields | {"model": str(broken)})))[0]
                assert clip["lineage"]["backend"] == "espeak" and words in clip["said"][0], "the embedded voice says it"
        with pytest.raises(JobFailed, match="too long for this model"):
            await models.make(parse_drop(fields | like | {"like": models.put(np.repeat(sound, 60, axis=0)[: 40 * 48_000])}))
    finally:
        await models.worker.stop()


async def test_demucs_takes_apart_what_adds_up_again(models: Models, tiny: Path) -> None:
    random = np.random.default_rng(1)
    mix = (0.1 * random.standard_normal((3 * 48_000, 2))).astype(np.float32)
    source = models.put(mix, bpm=120.0, beats=6.0)
    for kind in ("th", "safe"):
        stems = []
        for stem in STEMS:
            request = parse_stem({"material": source, "stem": stem, "backend": "demucs", "model": f"{tiny}/demucs/{kind}:tiny"})
            clip = (await models.make(request))[0]
            assert clip["lineage"]["backend"] == "demucs" and not clip["said"], clip["said"]
            stems.append(models.audio(clip["hash"]))
        assert np.abs(np.sum(stems, axis=0) - mix).max() < 1e-5, kind
        assert all(np.abs(stem).max() > 1e-4 for stem in stems)
    for kind, words in (("evil", "none of demucs' models"), ("none", "no folder")):
        request = parse_stem({"material": source, "stem": "bass", "backend": "demucs", "model": f"{tiny}/demucs/{kind}:tiny"})
        clip = (await models.make(request))[0]
        assert clip["lineage"]["backend"] == "filters" and words in clip["said"][0], "filters do it, and that is said"
    assert not list(tiny.rglob("ran_code"))


@pytest.fixture
async def box(tmp_path: Path, tiny: Path) -> AsyncIterator[Running]:
    """A box whose config names the models."""
    running = Running(tmp_path / "data", gen={
        "python": PYTHON, "stable_audio": str(tiny / "inpaint"), "musicgen": str(tiny / "musicgen"),
        "demucs": str(tiny / "demucs" / "th"), "demucs_model": "tiny", "idle_s": 2,
    })  # fmt: skip
    await running.control.hub.start()
    await running.start()
    try:
        yield running
    finally:
        await running.stop()
        await running.control.hub.stop()
        running.close()


def children(pid: int) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            if path.read_text().rpartition(")")[2].split()[1] == str(pid):
                found.append((path.parent / "cmdline").read_text().replace("\0", " "))
    return found


async def test_in_a_box_from_words_to_pads_and_the_model_goes_when_nobody_wants_it(box: Running) -> None:
    box.box.values.set("/clock/bpm", 120.0)
    box.box.values.set("/gen/bars", 1)
    box.box.values.set("/gen/generator", "stable_audio")
    await box.do("/gen/generate", {"prompt": "techno loop", "steps": 2}, "/pad/1")
    await box.until(lambda: len(box.control.loads) == 1, 90)
    first = box.control.loads[0][1]
    inpaint = {"prompt": "dark", "steps": 2, "inpaint_audio": "/pad/1", "inpaint_beats": [[0, 2]]}
    await box.do("/gen/generate", inpaint, "/pad/2")
    await box.do("/gen/generate", {"prompt": "dark", "steps": 2, "init_audio": first, "init_noise_level": 0.5}, "/pad/3")
    await box.do("/gen/generate", {"prompt": "warm", "backend": "musicgen"}, "/pad/4")
    await box.do("/gen/generate", {"prompt": "only bass", "backend": "procedural"}, "/pad/5")
    await box.until(lambda: len(box.control.loads) == 5, 90)
    places = {address.removesuffix("/load"): path for address, path, _ in box.control.loads}
    old, new = (sf.read(places[f"/bank/1/pad/{pad}"], dtype="float32")[0] for pad in (1, 2))
    assert np.array_equal(old[48_010:], new[48_010:]) and not np.array_equal(old[:48_000], new[:48_000])
    await box.do("/bank/1/pad/4/stems", "/pad/9")
    await box.until(lambda: len(box.control.loads) == 9, 90)
    await box.do("/bank/1/pad/9/vary", "text", "dark pad", "/pad/13")  # a stem has no recipe: from its sound
    await box.until(lambda: len(box.control.loads) == 10, 90)
    assert (await box.job((await box.do("/gen/jobs"))[0]["id"]))["request"]["init_audio"]["bpm"] == 120
    states = {job["state"] for job in await box.do("/gen/jobs")}
    assert states == {"done"}
    assert box.process
    assert any("--name models" in line for line in children(box.process.pid))
    await box.until(lambda: not any("--name models" in line for line in children(box.process.pid)), 15)
    await box.do("/gen/generate", {"prompt": "techno", "steps": 2, "seed": 8}, "/pad/6")
    await box.until(lambda: len(box.control.loads) == 11, 90)
