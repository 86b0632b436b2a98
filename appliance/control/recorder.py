# SPDX-License-Identifier: GPL-3.0-or-later
"""The recorder: ``/record/on`` writes the master to disk, frame by frame as the engine has it on its tape.

A thread of its own reads the tape ten times a second and writes; the tape holds twenty seconds, so a slow disk, a full one that
gets room again, and a control process that is killed and started anew lose nothing. Beside each recording grows a cue sheet of
what played and of the marks that people set.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from appliance.bus.layout import DECKS
from appliance.bus.tape import Tape
from appliance.bus.wholefile import write_atomically
from appliance.control import sticks
from appliance.control.desk import Desk
from appliance.errors import ApplianceError, BadFile, BadValue, NotAllowed, Unavailable
from appliance.library.wavefile import WaveFile
from appliance.namespace import Address

log = logging.getLogger(__name__)

FOLDER = "recordings"
CURRENT = ".recording.json"
PUMP_S = 0.1
NOTE_S, SYNC_S, TELL_S, RETRY_S = 0.25, 1.0, 1.0, 1.0
PIECE_FRAMES = 1 << 16
HEARD_GAIN, HEARD_S = 0.1, 5.0
"""A deck is in the cue sheet when it has played for so long with its fader up so far."""


@dataclass
class Recording:
    """One that runs, as it stands in ``CURRENT``. ``start``: the engine's frame of its first one; ``box`` tells boxes apart."""

    path: str
    start: int
    rate: int
    box: str
    part: int = 1
    lost_frames: int = 0
    cues: list[tuple[float, str]] = field(default_factory=list)


class Recorder:
    """``start`` after the session is there, ``stop`` at the end; calls are answered on the loop."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._box = desk.box
        self._settings = desk.box.config.record
        self.folder = self._settings.folder or desk.box.data / FOLDER
        self._tape = Tape(desk.box.segment)
        self._recording: Recording | None = None
        self._file: WaveFile | None = None
        self._next = 0
        self._trouble = ""
        self._noted = self._synced = self._told = self._tried = 0.0
        self._heard: dict[int, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last = ""
        for name, handler in (("mark", self._mark), ("list", self._list), ("copy", self._copy)):
            desk.register(f"/record/{name}", handler)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """The file as it is; a control that follows goes on with it."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    # -- the thread

    def _run(self) -> None:
        self._go_on()
        while not self._ending.wait(PUMP_S):
            try:
                with self._lock:
                    self._turn()
            except Exception:  # whatever it is, the next turn tries again: what is on the tape is not lost yet
                log.exception("the recorder failed")
                self._ending.wait(RETRY_S)
        with self._lock:
            if self._file:
                self._pump()
                self._file.close()

    def _turn(self) -> None:
        wanted = bool(self._box.values.get("/record/on"))
        if wanted and self._recording is None:
            if time.monotonic() - self._tried > RETRY_S or not self._trouble:
                self._begin()
        elif self._recording is not None:
            self._pump()
            if not wanted:
                self._end()

    def _begin(self) -> None:
        rate = round(self._box.rate)
        if not rate or not self._tape.head:
            return
        self._tried = time.monotonic()
        name = time.strftime("%Y-%m-%d %H.%M.%S")
        path = self.folder / f"{name}.wav"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = WaveFile(path, rate, self._settings.format)
        except OSError as error:
            self._say_once(f"{path}: cannot be written ({error.strerror}); make room or set record.folder; recording waits")
            return
        self._next = self._tape.head
        self._recording = Recording(str(path), self._next, rate, self._identity())
        self._heard.clear()
        self._trouble = ""
        self._remember()
        self._publish()

    def _go_on(self) -> None:
        """After a control that was killed: with the same file, from where it ends. After a box that was: mend the file."""
        try:
            kept = json.loads((self.folder / CURRENT).read_text(encoding="utf-8"))
            recording = Recording(**kept)
            file = WaveFile.resume(Path(recording.path))
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, ApplianceError) as error:
            log.warning("a recording that was interrupted cannot be gone on with: %s", error)
            return
        self._last = recording.path
        if recording.box != self._identity() or not self._box.values.get("/record/on"):
            file.close()
            self._forget()
            self._say(f"{recording.path}: the recording was cut off when the box went down; it is whole up to there")
            return
        recording.cues = [(float(at), str(name)) for at, name in recording.cues]
        self._recording, self._file = recording, file
        self._next = recording.start + file.frames

    def _pump(self) -> None:
        """Write what is new on the tape."""
        file, recording, now = self._file, self._recording, time.monotonic()
        if file is None or recording is None:
            return
        head = self._tape.head
        if self._next < self._tape.oldest:  # too late: silence takes its place, so that all else stays where it was
            self._lose(self._tape.oldest - self._next)
        try:
            if self._trouble and now - self._tried < RETRY_S:
                return
            self._tried = now
            while self._next < head:
                frames = min(head - self._next, PIECE_FRAMES)
                file.append(self._tape.read(self._next, frames))
                self._next += frames
            if now - self._synced > SYNC_S:
                file.sync()
                self._synced = self._noted = now
            elif now - self._noted > NOTE_S:
                file.note()
                self._noted = now
            self._trouble = ""
        except OSError as error:
            self._say_once(f"{file.path}: the disk takes no more ({error.strerror}); make room within "
                           f"{(self._next - self._tape.oldest) / recording.rate:.0f} s and nothing is lost")
        self._listen(now)
        if now - self._told > TELL_S:
            self._told = now
            self._publish()
        if self._settings.split_mb and file.bytes > self._settings.split_mb << 20:
            self._split()

    def _lose(self, frames: int) -> None:
        recording = self._recording
        assert recording is not None
        recording.lost_frames += frames
        self._next += frames
        recording.start += frames  # the file has no room for silence either
        self._say_once(f"{recording.path}: {recording.lost_frames / recording.rate:.1f} s could not be written and are lost")

    def _split(self) -> None:
        """Go on in another file, from the next frame."""
        file, recording = self._file, self._recording
        assert file is not None and recording is not None
        part = recording.part + 1
        stem = Path(recording.path).stem.removesuffix(f" part {recording.part}")
        path = self.folder / f"{stem} part {part}.wav"
        try:
            fresh = WaveFile(path, recording.rate, self._settings.format)
        except OSError as error:
            self._say_once(f"{path}: cannot be written ({error.strerror}); the recording goes on in {file.path.name}")
            return
        file.close()
        self._write_cues(recording)
        self._file = fresh
        self._recording = Recording(str(path), self._next, recording.rate, recording.box, part, recording.lost_frames)
        self._remember()

    def _end(self) -> None:
        file, recording = self._file, self._recording
        if file is None or recording is None:
            return
        file.close()
        self._write_cues(recording)
        self._forget()
        self._publish()
        self._last = recording.path
        self._file = self._recording = None
        self._trouble = ""

    # -- what played

    def _listen(self, now: float) -> None:
        """Note a deck's track when it has been heard for a while."""
        told = self._box.telemetry.snapshot()["deck"]
        for deck in range(DECKS):
            title = str(self._desk.get_now(f"/deck/{deck + 1}/title"))
            audible = bool(told["playing"][deck]) and float(self._desk.get_now(f"/channel/{deck + 1}/fader")) > HEARD_GAIN
            if not audible or not title:
                self._heard.pop(deck, None)
                continue
            before, since = self._heard.get(deck, ("", now))
            if before != title:
                self._heard[deck] = (title, now)
            elif since and now - since > HEARD_S:
                self._heard[deck] = (title, 0.0)
                self._note_cue(self._seconds() - (now - since), title)

    def _note_cue(self, at: float, name: str) -> None:
        if self._recording is not None:
            self._recording.cues.append((round(max(at, 0.0), 3), name))
            self._recording.cues.sort()
            self._remember()
            self._write_cues(self._recording)

    def _write_cues(self, recording: Recording) -> None:
        if not recording.cues:
            return
        path = Path(recording.path)
        with contextlib.suppress(OSError):  # the disk is full, which is told elsewhere
            write_atomically(path.with_suffix(".cue"), cue_sheet(path.name, recording.cues).encode())

    # -- telling

    def _seconds(self) -> float:
        return self._file.frames / self._recording.rate if self._file and self._recording else 0.0

    def _identity(self) -> str:
        facts = (self._box.run / "box.json").stat()
        return f"{facts.st_ino}-{facts.st_mtime_ns}"

    def _remember(self) -> None:
        if self._recording is not None:
            with contextlib.suppress(OSError):
                write_atomically(self.folder / CURRENT, json.dumps(asdict(self._recording)).encode())

    def _forget(self) -> None:
        with contextlib.suppress(OSError):
            (self.folder / CURRENT).unlink(missing_ok=True)

    def _publish(self) -> None:
        recording = self._recording
        if recording is None or self._file is None:
            return
        states: dict[str, Any] = {"file": recording.path, "seconds": round(self._seconds(), 1),
                                  "lost": round(recording.lost_frames / recording.rate, 3)}
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(self.folder).free
            states["room"] = round(free / (recording.rate * (6 if self._settings.format == "pcm24" else 8)))
        for name, value in states.items():
            self._on_loop(self._desk.publish, f"/record/{name}", value)

    def _say_once(self, line: str) -> None:
        if not self._trouble:
            self._say(line)
        self._trouble = line

    def _say(self, line: str) -> None:
        self._on_loop(self._desk.say, line)

    def _on_loop(self, work: Any, *args: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(work, *args)

    # -- calls

    async def _mark(self, address: Address, args: list[Any]) -> dict[str, Any]:
        name = args[0] if args and isinstance(args[0], str) else "mark"
        if len(name) > 200 or any(c in name for c in '"\r\n'):
            raise BadValue(f"{address}: a mark's name is a line of up to 200 characters without quotes")
        with self._lock:
            if self._recording is None:
                raise NotAllowed(f"{address}: nothing is being recorded; switch /record/on", status=409)
            at = self._seconds()
            self._note_cue(at, name)
        return {"at": round(at, 3), "name": name}

    async def _list(self, _address: Address, _args: list[Any]) -> list[dict[str, Any]]:
        return await asyncio.to_thread(self._listed)

    def _listed(self) -> list[dict[str, Any]]:
        files = sorted(self.folder.glob("*.wav")) if self.folder.is_dir() else []
        return [{"file": str(path), "megabytes": round(path.stat().st_size / 1e6, 1)} for path in files]

    async def _copy(self, address: Address, args: list[Any]) -> dict[str, Any]:
        if args and isinstance(args[0], int | float) and args[0] < 0.5:
            return {}  # a button let go
        name = args[0] if args and isinstance(args[0], str) else ""
        source = self._find(address, name)
        places = await asyncio.to_thread(sticks.mounted_below, self._settings.sticks)
        if not places:
            shown = ", ".join(str(folder) for folder in self._settings.sticks)
            raise Unavailable(f"{address}: there is no USB stick that can be written below {shown}; plug one in")
        return await asyncio.to_thread(self._copy_to, source, places[0])

    def _find(self, address: Address, name: str) -> Path:
        with self._lock:
            running = self._recording.path if self._recording else ""
        path = self.folder / Path(name).name if name else Path(self._last or "")
        if not name and not self._last:
            path = max(self.folder.glob("*.wav"), key=lambda path: path.stat().st_mtime_ns, default=Path())
        if str(path) == running:
            raise NotAllowed(f"{address}: {path.name} is still being recorded; end it first", status=409)
        if not path.is_file():
            raise BadFile(f"{address}: there is no recording {name or 'yet'}; /record/list tells them")
        return path

    def _copy_to(self, source: Path, stick: Path) -> dict[str, Any]:
        began = time.monotonic()
        target = sticks.copy(source, stick)
        if (cues := source.with_suffix(".cue")).is_file():
            sticks.copy(cues, stick)
        sticks.eject(stick)
        self._say(f"{source.name} is on the stick; it can be pulled out")
        return {"file": str(target), "seconds": round(time.monotonic() - began, 1), "stick": os.fspath(stick)}


def cue_sheet(name: str, cues: list[tuple[float, str]]) -> str:
    """A cue sheet, as players and editors read it: places in minutes, seconds and 1/75 s."""
    lines = [f'FILE "{name}" WAVE']
    for number, (at, title) in enumerate(cues[:99], start=1):
        frames = round(at * 75)
        lines += [f"  TRACK {number:02} AUDIO", f'    TITLE "{title.replace(chr(34), chr(39))}"',
                  f"    INDEX 01 {frames // 4500:02}:{frames // 75 % 60:02}:{frames % 75:02}"]
    return "\n".join(lines) + "\n"
