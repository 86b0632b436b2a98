# SPDX-License-Identifier: GPL-3.0-or-later
"""Open Sound Control: messages in, feedback out."""
