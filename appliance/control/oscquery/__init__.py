# SPDX-License-Identifier: GPL-3.0-or-later
"""OSCQuery: the namespace as JSON for programs that find out by themselves what there is to control."""
