# SPDX-License-Identifier: GPL-3.0-or-later
"""Surfaces for other programs, written from the namespace: TouchOSC, Open Stage Control, REAPER."""
