# SPDX-License-Identifier: GPL-3.0-or-later
"""The devices that are paired, in ``<data>/access.json``: of a token only its hash, readable for the box's user alone.

A token is 256 random bits, so a plain SHA-256 of it tells nothing. A file that cannot be read is set aside, and nobody is
paired then: the door stays shut rather than open.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.bus.wholefile import write_atomically
from appliance.errors import BadValue
from appliance.namespace import Scope

log = logging.getLogger(__name__)

TOKEN_BYTES = 32
MOST_DEVICES = 256
MOST_HOSTS = 8
"""Hosts from which a device has been allowed to send OSC; the one heard longest ago goes first."""
SEEN_STEP_S = 60.0
"""That a device was seen again is worth noting after so long."""
RETRY_S = 10.0

Moment = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Device(BaseModel):
    """One pairing. Times are seconds since 1970; ``hosts`` tells when each host that OSC is taken from was heard last."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]
    name: Annotated[str, Field(min_length=1, max_length=64)]
    scope: Scope
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    host: str
    created: Moment
    seen: Moment
    hosts: dict[str, Moment] = {}


class AccessFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    devices: Annotated[list[Device], Field(max_length=MOST_DEVICES)] = []


class Store:
    """All paired devices. Lives on control's loop; ``say`` tells the person on stage, ``clock`` gives seconds since 1970."""

    def __init__(self, path: Path, say: Callable[[str], None], clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self.changes = 0
        """Counts what makes answers given before void: a device came, went, or has another host."""
        self._say = say
        self._clock = clock
        self._devices: dict[str, Device] = {}
        self._writing = asyncio.Lock()
        self._dirty = self._full = False
        self._later: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def __iter__(self) -> Iterator[Device]:
        return iter(tuple(self._devices.values()))

    def __len__(self) -> int:
        return len(self._devices)

    # -- the file

    def load(self) -> None:
        """Read the file. One that is broken is said and set aside; one that cannot be read is said."""
        self._devices = {}
        self.changes += 1
        try:
            if self.path.stat().st_mode & 0o077:
                self.path.chmod(0o600)
            body = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            self._set_aside(error.strerror or str(error))
            return
        try:
            read = AccessFile.model_validate_json(body)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            self._set_aside(f"{where}: {first['msg']}" if where else first["msg"])
            return
        self._devices = {device.digest: device for device in read.devices}

    def _set_aside(self, why: str) -> None:
        aside = self.path.with_name(f"{self.path.name}.broken-{time.strftime('%Y%m%d-%H%M%S')}")
        try:
            self.path.rename(aside)
            where = f"it was set aside as {aside.name}"
        except OSError as error:
            where = f"it could not be set aside ({error.strerror})"
        self._say(f"{self.path} cannot be read ({why}); {where}. No device is paired: pair them again")

    async def flush(self) -> None:
        """What has changed is on the disk when this returns, or it is said why it is not, and tried again."""
        async with self._writing:
            if not self._dirty:
                return
            self._dirty = False
            body = AccessFile(devices=list(self._devices.values())).model_dump_json(indent=1).encode() + b"\n"
            try:
                await asyncio.to_thread(write_atomically, self.path, body, 0o600)
            except OSError as error:
                self._dirty = True
                if not self._full:
                    self._say(f"{self.path} cannot be written ({error.strerror}): who was paired or sent away since is not "
                              "remembered over a restart until it can")
                self._full = True
                self._flush_later(RETRY_S)
            else:
                self._full = False

    def _flush_later(self, seconds: float) -> None:
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(seconds, self._flush_now)

    def _flush_now(self) -> None:
        self._later = None
        self._task = asyncio.get_running_loop().create_task(self.flush())

    async def stop(self) -> None:
        if self._later is not None:
            self._later.cancel()
        await self.flush()
        if self._later is not None:
            self._later.cancel()

    # -- devices

    def add(self, name: str, scope: Scope, host: str, replaces: str = "") -> tuple[Device, str]:
        """A new device and its token, which nobody is told again. ``replaces``: the id of its older pairing."""
        if replaces:
            self.remove(replaces)
        if len(self._devices) >= MOST_DEVICES:
            raise BadValue(f"{MOST_DEVICES} devices are paired; `appliance pair revoke` those that are gone", status=409)
        token, now = secrets.token_urlsafe(TOKEN_BYTES), self._clock()
        device = Device(id=self._new_id(), name=name, scope=scope, digest=digest_of(token), host=host, created=now, seen=now,
                        hosts={host: now})
        self._devices[device.digest] = device
        self._changed()
        return device, token

    def _new_id(self) -> str:
        taken = {device.id for device in self}
        while (chosen := secrets.token_hex(4)) in taken:
            pass
        return chosen

    def find(self, token: str) -> Device | None:
        """The device that has this token."""
        return self._devices.get(digest_of(token))

    def get(self, device_id: str) -> Device | None:
        return next((device for device in self if device.id == device_id), None)

    def remove(self, device_id: str) -> bool:
        device = self.get(device_id)
        if device is not None:
            del self._devices[device.digest]
            self._changed()
        return device is not None

    def saw(self, device: Device) -> None:
        """It has used its token."""
        now = self._clock()
        if abs(now - device.seen) >= SEEN_STEP_S:
            device.seen = now
            self._note()

    def allow(self, device: Device, host: str) -> None:
        """OSC from this host counts as the device's."""
        if host not in device.hosts:
            self.changes += 1
        device.hosts[host] = device.seen = self._clock()
        while len(device.hosts) > MOST_HOSTS:
            del device.hosts[min(device.hosts, key=lambda known: device.hosts[known])]
        self._note()

    def _changed(self) -> None:
        self._dirty = True
        self.changes += 1

    def _note(self) -> None:
        """To be written, but not at once."""
        self._dirty = True
        try:
            self._flush_later(RETRY_S)
        except RuntimeError:  # no loop runs: it is written with the next change
            pass


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
