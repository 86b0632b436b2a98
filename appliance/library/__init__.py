# SPDX-License-Identifier: GPL-3.0-or-later
"""The library: audio files in, decoded and kept under the hash of their content."""
