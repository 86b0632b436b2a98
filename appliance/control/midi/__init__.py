# SPDX-License-Identifier: GPL-3.0-or-later
"""MIDI devices: their ports, what the engine does not do at once, and their lamps."""
