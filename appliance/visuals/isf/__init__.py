# SPDX-License-Identifier: GPL-3.0-or-later
"""ISF, the interactive shader format: reading a scene file, translating it to core GLSL, drawing it."""
