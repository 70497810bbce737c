"""The folders of a container on the persistent disk."""

import os
from collections.abc import Sequence
from pathlib import Path

from cpi_drivers.local.agent.containers.mappings import Volume


def made_volumes(folder: Path, volumes: Sequence[Volume]) -> tuple[tuple[Path, Volume, bool], ...]:
    """Each volume with its folder, and whether it is empty. Raises ValueError where a link leads out of the store."""
    top = os.path.realpath(folder)
    if os.path.realpath(folder.parent) != os.path.dirname(top):  # noqa: PTH120 - strings, as realpath gives them
        raise ValueError(f"{folder} is a link that leads to {top}")
    made = []
    for volume in volumes:
        place = Path(os.path.realpath(folder / volume.folder))
        if not place.is_relative_to(top):
            raise ValueError(f"{folder / volume.folder} leads out of the container's folder in the store, to {place}")
        place.mkdir(parents=True, exist_ok=True)
        made.append((place, volume, not any(place.iterdir())))
    return tuple(made)
