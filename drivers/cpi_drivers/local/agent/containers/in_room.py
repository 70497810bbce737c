"""`python -m cpi_drivers.local.agent.containers.in_room STORE REGISTRIES ARGUMENT…`: runs the engine once, in a room."""

import subprocess
import sys
from pathlib import Path

from cpi_drivers.local.agent.containers.engine import ContainerEngine
from cpi_drivers.local.agent.containers.room import enter_room


def main(arguments: list[str]) -> int:
    """The engine's own exit status."""
    store, registries, *words = arguments
    engine = ContainerEngine.found()
    enter_room()
    environment = {**engine.environment(), "CONTAINERS_REGISTRIES_CONF": registries}
    done = subprocess.run(engine.command(Path(store), *words), env=environment, stdin=subprocess.DEVNULL, check=False)
    return abs(done.returncode)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
