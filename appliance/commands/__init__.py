# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands: each module has ``add_arguments(parser)`` and ``run(options) -> exit status``."""
