# SPDX-License-Identifier: GPL-3.0-or-later
"""The live stream: music made bar after bar while it plays, in a process of its own beside the workers."""
