# SPDX-License-Identifier: GPL-3.0-or-later
"""What `appliance bench` runs: each module has ``rows()``, which measures and yields :class:`benchmarks.report.Row`."""
