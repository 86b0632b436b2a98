# SPDX-License-Identifier: GPL-3.0-or-later
"""A headless performance box: sound, touch, generated loops and pictures, as one daemon."""

__version__ = "0.1.0"
