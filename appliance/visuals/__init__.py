# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures: a process of its own that draws ISF scenes from the engine's telemetry and can die without being heard."""
