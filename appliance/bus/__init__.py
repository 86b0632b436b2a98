# SPDX-License-Identifier: GPL-3.0-or-later
"""What the processes share. Importing it chooses the folder of compiled kernels, before numba is imported."""

from appliance.bus.kernelcache import choose

choose()
