# SPDX-License-Identifier: GPL-3.0-or-later
"""Generators. Each is a folder or file here with a class that obeys :class:`appliance.gen.backends.base.Backend`."""
