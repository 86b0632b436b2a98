# SPDX-License-Identifier: GPL-3.0-or-later
"""Learning a controller by playing it: recognise a control by its bytes, bind it, write it into the device's profile."""
