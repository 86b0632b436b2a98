# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP/JSON interface and its WebSocket."""
