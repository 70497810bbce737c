"""`python -m cpi_drivers.local.agent.as_user UID GID GROUPS COMMAND…`: becomes a command that another user runs.

The agent is root, and the folders that lead to a VM are for root alone: the command sees a /var/vcap that its user can enter.
"""

import os
import sys

from cpi_drivers.local.agent.namespace import open_var_vcap


def main(arguments: list[str]) -> None:
    """Returns only by an OSError."""
    user, group, groups, *command = arguments
    open_var_vcap()
    os.chdir("/")
    os.setgroups([int(one) for one in groups.split(",") if one])
    os.setgid(int(group))
    os.setuid(int(user))
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.exit(f"{sys.argv[4]} cannot be run as user {sys.argv[1]}: {error}")
