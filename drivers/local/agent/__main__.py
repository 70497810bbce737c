"""`python -m drivers.local.agent --vm-dir DIR`."""

import sys

from drivers.local.agent.launcher import main

if __name__ == "__main__":
    sys.exit(main())
