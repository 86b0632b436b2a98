# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be heard of a clip before it is played: tempo, beat grid, key, loudness, energy, spectrum, likeness, a picture.

``python -m appliance.library.analysis FILE`` listens to one file and prints what it found as a line of JSON; control runs it
as a process of its own, behind everything else. Of a file of any length only its features are held.
"""
