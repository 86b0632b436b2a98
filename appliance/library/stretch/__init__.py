# SPDX-License-Identifier: GPL-3.0-or-later
"""Loops at another tempo and in another key, rendered off line (``loop``) in a process of its own (``python -m``)."""
