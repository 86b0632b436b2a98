# SPDX-License-Identifier: GPL-3.0-or-later
"""The one tree of errors. A message says what happened, where, and what to do; it is read by a person on stage."""

from __future__ import annotations


class ApplianceError(Exception):
    """Something was refused or failed. ``message`` is one plain line; ``status`` is the HTTP status that fits it."""

    status = 500

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if status is not None:
            self.status = status


class UnknownAddress(ApplianceError):
    """No node has this address."""

    status = 404


class BadValue(ApplianceError):
    """A value or argument has the wrong type, is not finite or lies out of range."""

    status = 422


class NotAllowed(ApplianceError):
    """The node exists but cannot be used this way (a read-only node was set, an action was read)."""

    status = 405


class BadFile(ApplianceError):
    """A file is missing, empty, truncated, of an unknown kind or breaks its format."""

    status = 422


class Unavailable(ApplianceError):
    """A part of the box that is needed for this is not there right now (restarting, full, not installed)."""

    status = 503
