# SPDX-License-Identifier: GPL-3.0-or-later
"""One typed tree of settings, read from YAML. ``configs/default.yaml`` shows every setting with its default."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from appliance.errors import BadFile


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_assignment=True)


Port = Annotated[int, Field(ge=0, le=65535)]


class Endpoint(Section):
    """Where a server listens. Port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: Port

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """``HOST:PORT`` or ``PORT``. Raises ValueError."""
        host, _, port = text.rpartition(":")
        return cls(host=host.strip("[]") or "127.0.0.1", port=int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Audio(Section):
    """``backend`` jack: use or start a JACK server, else pace by the clock; clock: never use JACK."""

    backend: Literal["jack", "clock"] = "jack"
    server: str = Field(default="default", description="name of the JACK server", min_length=1)
    start_server: bool = Field(default=True, description="start jackd when no server runs")
    device: str = Field(default="auto", description="ALSA device for jackd (hw:0), dummy, or auto: first card, else dummy")
    rate: int = Field(default=48000, ge=8000, le=192000, description="frames a second of a server that we start")
    period: int = Field(default=128, ge=16, le=8192, description="frames a period of a server that we start")
    connect: bool = Field(default=True, description="connect master (cue from four, booth from six on) to the physical outputs")
    outputs: list[str] = Field(
        default=[], description="ports for master_1 master_2 cue_1 cue_2 booth_1 booth_2 instead of the physical ones")
    inputs: list[str] = Field(default=[], description="ports for in_1 in_2 instead of the physical ones")
    lock_memory: bool = Field(default=True, description="lock the engine's memory where the system allows it")


class Http(Endpoint):
    port: Port = 8600


class Osc(Endpoint):
    port: Port = 9000
    tcp: bool = Field(default=True, description="also over TCP, on the same port")
    allow: list[str] = Field(default=[], description="other machines that may speak OSC: addresses or networks (10.0.0.0/24)")
    heartbeat_s: float = Field(default=5.0, ge=0, le=3600, description="seconds between two /heartbeat; 0: none")
    timeout_s: float = Field(default=60.0, ge=1, le=86400, description="who says nothing for so long is forgotten")

    @field_validator("allow")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for entry in value:
            ipaddress.ip_network(entry, strict=False)
        return value


class OscQuery(Section):
    """Where HTTP is. Port auto: HTTP's and one, or a free one; 0: off."""

    port: Port | Literal["auto"] = "auto"


class Presence(Section):
    """Announced by zeroconf. ``auto``: while a door is open to other machines."""

    announce: Literal["auto", "always", "never"] = "auto"
    name: str = Field(default="", max_length=40, description="in lists of devices; empty: performance box and the host's name")


class Access(Section):
    """Devices of the network, where HTTP and OSC listen to it."""

    confirm: Literal["held", "code"] = Field(
        default="held",
        description="what lets a device in: its code and then /access/confirm held on the box, or its code alone")
    code_s: float = Field(default=120.0, ge=10, le=900, description="how long a code is good")
    tries: int = Field(default=5, ge=1, le=20, description="wrong codes until a device must ask for a new one")
    names: list[str] = Field(default=[], description="further names by which browsers reach the box (its host name is known)")


class Visuals(Section):
    display: str = Field(default="second", description="a monitor's name, second, or none (offscreen)")
    width: int = Field(default=0, ge=0, le=7680, description="of the rendered picture; 0: what the renderer can carry")
    height: int = Field(default=0, ge=0, le=4320)
    fps: int = Field(default=0, ge=0, le=240, description="0: what the renderer can carry")
    enabled: bool = True


Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "fp16", "bf16"]


class Lyria(Section):
    """Lyria RealTime, as a maker of the live stream. The key stands in GEMINI_API_KEY or GOOGLE_API_KEY, or in a file."""

    model: str = Field(default="models/lyria-realtime-exp", min_length=1)
    key_file: Path | None = Field(default=None, description="file with the key; nobody but its owner may read it (chmod 600)")
    url: str = Field(default="", description="another server; empty: Google's")
    buffer_s: float = Field(default=1.0, ge=0.2, le=10, description="so much beyond a bar has to be there before it is heard")
    stall_s: float = Field(default=6.0, ge=0.5, le=60, description="a server that sends nothing for so long is left")
    idle_s: float = Field(default=60.0, ge=1, le=3600, description="seconds without being heard until the session is closed")


class Gen(Section):
    enabled: bool = True
    fill: bool = Field(default=True, description="fill the pads of bank 1 when the box starts with an empty session")
    stand_in: bool = Field(default=False, description="while a clip is made for an empty pad, the nearest one plays there")
    look_ahead_cpu: float = Field(default=0.3, ge=0, le=1, description="share of one core for what is made ahead; 0: none")
    python: str = Field(default="", description="interpreter of the models' worker, such as .venv-gen/bin/python "
                                                "(`make gen-env`); empty: no models")
    stable_audio: str = Field(default="", description="a Stable Audio model: its folder or its name on the Hugging Face hub")
    musicgen: str = Field(default="", description="a MusicGen model: its folder or its name on the Hugging Face hub")
    dia: str = Field(default="", description="a Dia model, which says voice drops: its folder or its name on the hub")
    dia_codec: str = Field(default="descript/dac_44khz", description="what Dia speaks through: a DAC model's folder or name")
    demucs: Path | None = Field(default=None, description="folder with demucs' weights; empty: stems are made by filters")
    demucs_model: str = Field(default="htdemucs", pattern=r"^[\w.-]+$", description="name of the model in that folder")
    device: Device = Field(default="auto", description="where models compute; auto: on a CUDA device where there is one")
    precision: Precision = Field(default="auto", description="of models; auto: fp16 on CUDA, else fp32")
    threads: int = Field(default=0, ge=0, le=256, description="of models on the processor; 0: half of the cores")
    idle_s: float = Field(default=300, ge=1, description="seconds without work after which a model is unloaded")
    fetch: bool = Field(default=False, description="download a model named by its name on the hub when it is not on the disk")
    pickles: list[str] = Field(default=[], description="names of checkpoint files that may run code when they are loaded")
    keep_jobs: int = Field(default=1000, ge=10, description="finished jobs kept in the log")
    keep_jobs_days: float = Field(default=30, gt=0, le=3650, description="days after which a finished job leaves the log")
    keep_audio_mb: int = Field(default=4096, ge=64, description="size of the store of generated audio")
    lyria: Lyria = Lyria()


class Mappings(Section):
    folders: list[Path] = Field(default=[], description="more folders with profiles; they win over the shipped ones")
    alsa: bool = Field(default=True, description="also open ALSA MIDI ports that JACK does not own")


class Session(Section):
    autosave_s: float = Field(default=2.0, ge=0.2, le=60, description="seconds between a change and its saving")
    keep: int = Field(default=20, ge=1, le=1000, description="saved versions kept")
    resume: Literal["armed", "play"] = "armed"


class Engine(Section):
    standby: bool = Field(default=True, description="a second engine that takes over when the playing one dies (with JACK)")
    keylock: Literal["r2", "r3"] = Field(default="r2", description="pitch shifter of decks that choose none: r2 costs less, "
                                                                   "r3 is finer")
    wakeful: bool = Field(default=True, description="keep the processor from sleeping deeply between blocks, where that is "
                                                    "permitted")
    busy_thread: bool = Field(default=False, description="for benchmarks: a busy Python thread in the engine's process")
    clip_memory_mb: int = Field(default=4096, ge=64, description="memory for loaded clips")
    stream_over_mb: int = Field(default=512, ge=1, description="a deck's file that would take more memory plays from the disk")
    stream_disk_mb: int = Field(default=32768, ge=64, description="disk for what decks play from there")


class Record(Section):
    folder: Path | None = Field(default=None, description="where recordings go; empty: recordings in the data folder")
    format: Literal["pcm24", "float32"] = "pcm24"
    split_mb: int = Field(default=0, ge=0, description="begin another file after so much; 0: one file (RF64 over 4 GB)")
    sticks: list[Path] = Field(default=[Path("/media"), Path("/run/media"), Path("/mnt")],
                               description="where USB sticks are mounted")


class Analysis(Section):
    enabled: bool = Field(default=True, description="find tempo, beats, key and loudness of files that are loaded")


class Voice(Section):
    program: str = Field(default="espeak-ng", description="what speaks; it takes espeak-ng's options", min_length=1)
    language: str = Field(default="en", pattern=r"^[A-Za-z0-9_-]+$", description="voice of espeak-ng (`espeak-ng --voices`)")
    variant: str = Field(default="", pattern=r"^[A-Za-z0-9_-]*$", description="such as f3 or m2; empty: the voice's own")
    speed: int = Field(default=220, ge=80, le=320, description="words a minute; what would take over 2.5 s is said faster")
    pitch: int = Field(default=50, ge=0, le=99)


class Safe(Section):
    crashes: int = Field(default=3, ge=0, description="crashes within a minute after which a process starts in its safe form; "
                                                      "0: never")


class Config(Section):
    audio: Audio = Audio()
    http: Http = Http()
    osc: Osc = Osc()
    access: Access = Access()
    oscquery: OscQuery = OscQuery()
    presence: Presence = Presence()
    visuals: Visuals = Visuals()
    gen: Gen = Gen()
    mappings: Mappings = Mappings()
    session: Session = Session()
    engine: Engine = Engine()
    record: Record = Record()
    analysis: Analysis = Analysis()
    voice: Voice = Voice()
    safe: Safe = Safe()

    @field_validator("*", mode="before")
    @classmethod
    def _empty_section(cls, value: object) -> object:
        return {} if value is None else value


def load_config(path: Path | None) -> Config:
    """Read a config file; None gives the defaults. Raises :class:`BadFile` with line and what to do."""
    if path is None:
        return Config()
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadFile(f"{path}: there is no such config file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise BadFile(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    if tree is not None and not isinstance(tree, dict):
        raise BadFile(f"{path}: a config is a tree of sections (audio:, http:, …), not {type(tree).__name__}")
    try:
        return Config.model_validate(tree or {})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise BadFile(f"{path}: {where}: {first['msg']}{more}") from None


def default_data_folder() -> Path:
    """The platform's folder for user data (XDG), or what ``APPLIANCE_DATA`` says."""
    if chosen := os.environ.get("APPLIANCE_DATA"):
        return Path(chosen)
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "appliance"


def cache_folder() -> Path:
    """Folder for compiled kernels (``APPLIANCE_CACHE``, else XDG)."""
    if chosen := os.environ.get("APPLIANCE_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "appliance"
