# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m appliance.control --box PATH``: the control process."""

from appliance.control.process import main

if __name__ == "__main__":
    main()
