# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process that runs kernels loads with them."""

import subprocess
import sys

import pytest

CALL = """
import sys, numpy
import {module}
from appliance.bus import atomic
word = numpy.array([7], numpy.int64)
assert atomic.read(word.ctypes.data) == 7
print(sorted(name for name in sys.modules if name.split('.')[0] == 'scipy'))
import scipy.linalg  # who wants it can have it
"""


@pytest.mark.parametrize("module", ["appliance.control.process", "appliance.engine.process", "appliance.visuals.process"])
def test_kernels_come_without_scipy(module):
    done = subprocess.run([sys.executable, "-c", CALL.format(module=module)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
