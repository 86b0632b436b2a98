# SPDX-License-Identifier: GPL-3.0-or-later
"""Drums, bass, vocals and the rest out of a finished mix: by demucs in the worker for models (:mod:`.network`) where its
weights are named, else by filters alone (:mod:`.filters`)."""
