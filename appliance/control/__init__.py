# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that listens to people and other programs: the desk, sessions, clips, scenes, and the surfaces on top."""
