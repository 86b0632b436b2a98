# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions: the whole state of the box as one file, saved after every change and restored at the start."""
