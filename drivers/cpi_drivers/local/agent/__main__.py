"""`python -m cpi_drivers.local.agent --vm-dir DIR`."""

import sys

from cpi_drivers.local.agent.launcher import main

if __name__ == "__main__":
    sys.exit(main())
