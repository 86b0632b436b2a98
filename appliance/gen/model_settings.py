# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ``models`` worker is told when it starts: the part of the config that is about models."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from appliance.config import Device, Gen, Precision


class ModelSettings(BaseModel):
    """See :class:`appliance.config.Gen`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: Device = "auto"
    precision: Precision = "auto"
    threads: int = 1
    fetch: bool = False
    pickles: tuple[str, ...] = ()
    dia_codec: str = ""

    @classmethod
    def of(cls, gen: Gen, threads: int) -> ModelSettings:
        return cls(device=gen.device, precision=gen.precision, threads=threads, fetch=gen.fetch, pickles=tuple(gen.pickles),
                   dia_codec=gen.dia_codec)
