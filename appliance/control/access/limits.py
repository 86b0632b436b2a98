# SPDX-License-Identifier: GPL-3.0-or-later
"""How often strangers may try: a few at once, then one every so many seconds, for each host and for all together."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.errors import ApplianceError

Clock = Callable[[], float]

MOST_HOSTS = 1024
"""Hosts remembered; the one heard longest ago is forgotten first. The limit for all together holds whatever is forgotten."""


class TooMany(ApplianceError):
    """Tried too often; ``retry_s`` tells when it is worth trying again."""

    status = 429

    def __init__(self, message: str, retry_s: float) -> None:
        super().__init__(message)
        self.retry_s = math.ceil(retry_s)


@dataclass(frozen=True)
class Rate:
    """``burst`` at once, then one more every ``every_s`` seconds."""

    burst: int
    every_s: float


@dataclass
class _Bucket:
    left: float
    at_s: float


@dataclass
class Limit:
    """One kind of thing that strangers may do; times are seconds of ``clock``."""

    host: Rate
    total: Rate
    clock: Clock = time.monotonic
    _hosts: OrderedDict[str, _Bucket] = field(default_factory=OrderedDict)
    _all: _Bucket = field(init=False)

    def __post_init__(self) -> None:
        self._all = _Bucket(self.total.burst, self.clock())

    def wait_s(self, host: str) -> float:
        """0 when the host may try now, else the seconds until then."""
        return max(_wait(self._bucket(host), self.host), _wait(self._fill(self._all, self.total), self.total))

    def spend(self, host: str) -> None:
        """Count one. A host that is over its own limit takes nothing from the others."""
        own = self._bucket(host)
        if own.left >= 1.0:
            self._fill(self._all, self.total).left = max(self._all.left - 1.0, 0.0)
        own.left = max(own.left - 1.0, 0.0)

    def check(self, host: str, what: str) -> None:
        """Raises :class:`TooMany` with ``what`` was tried too often; counts nothing."""
        if (wait_s := self.wait_s(host)) > 0.0:
            raise TooMany(f"{what}; try again in {math.ceil(wait_s)} s", wait_s)

    def require(self, host: str, what: str) -> None:
        """Count one. Raises :class:`TooMany`, and counts nothing then."""
        self.check(host, what)
        self.spend(host)

    def _bucket(self, host: str) -> _Bucket:
        bucket = self._hosts.pop(host, None) or _Bucket(self.host.burst, self.clock())
        self._hosts[host] = bucket
        if len(self._hosts) > MOST_HOSTS:
            self._hosts.popitem(last=False)
        return self._fill(bucket, self.host)

    def _fill(self, bucket: _Bucket, rate: Rate) -> _Bucket:
        now = self.clock()
        bucket.left = min(bucket.left + max(now - bucket.at_s, 0.0) / rate.every_s, float(rate.burst))
        bucket.at_s = now
        return bucket


def _wait(bucket: _Bucket, rate: Rate) -> float:
    return max(1.0 - bucket.left, 0.0) * rate.every_s
