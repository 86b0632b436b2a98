# SPDX-License-Identifier: GPL-3.0-or-later
"""The current value of every numeric parameter, in shared memory: survives any process, readable by all."""

from __future__ import annotations

from typing import Any

import numpy as np

from appliance.errors import NotAllowed
from appliance.namespace import Address, Kind, Namespace


class Values:
    """Numbers by address. Eight-byte aligned words: a reader sees the old value or the new one, never half of each."""

    def __init__(self, vector: np.ndarray, namespace: Namespace) -> None:
        self.vector = vector
        self.namespace = namespace
        self._bank_slot = namespace.find("/pads/bank").slot

    @property
    def bank(self) -> int:
        """The chosen bank, from 1."""
        return min(max(int(self.vector[self._bank_slot]), 1), 8)

    def find(self, address: str) -> Address:
        return self.namespace.find(address, self.bank)

    def get(self, address: str | Address) -> Any:
        """The value, as the node's type. Raises UnknownAddress, NotAllowed."""
        node = self._numeric(address)
        return node.node.from_slot(float(self.vector[node.slot]))

    def set(self, address: str | Address, value: Any) -> Any:
        """Check and store; returns the value as the node's type. Raises UnknownAddress, NotAllowed, BadValue."""
        node = self._numeric(address)
        checked = node.node.check(value, node.address)
        self.vector[node.slot] = node.node.to_slot(checked)
        return checked

    def reset(self) -> None:
        self.vector[:] = self.namespace.defaults()

    def _numeric(self, address: str | Address) -> Address:
        found = self.find(address) if isinstance(address, str) else address
        if found.node.kind is not Kind.VALUE:
            raise NotAllowed(f"{found.address} is not a number in memory but {found.node.kind.value}")
        return found

    def read_vector(self) -> np.ndarray:
        return np.array(self.vector)
