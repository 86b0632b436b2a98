# SPDX-License-Identifier: GPL-3.0-or-later
"""Drums, bass, vocals and the rest out of a finished mix: :func:`.network.separate` takes demucs where it and its weights are
installed, else filters alone (:mod:`.filters`)."""
