# SPDX-License-Identifier: GPL-3.0-or-later
"""What the box says into the headphones: which words, in which order, made by espeak-ng, handed to the engine as a clip."""
