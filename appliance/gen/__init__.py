# SPDX-License-Identifier: GPL-3.0-or-later
"""Generation: requests become loops that are exact, stored and ready to launch."""
