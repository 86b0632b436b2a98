# SPDX-License-Identifier: GPL-3.0-or-later
"""What the supervisor is made of: children, the audio server, leftovers of a killed predecessor, the journal."""
