# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles: what a controller has, what its controls do, what lights up."""
