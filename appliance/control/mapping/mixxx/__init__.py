# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller mappings of Mixxx (``*.midi.xml``) as profiles: read, what its keys are here, and a profile with a report."""
