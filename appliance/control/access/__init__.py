# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may play the box from elsewhere: pairing, scoped tokens, the allow-list for OSC."""
