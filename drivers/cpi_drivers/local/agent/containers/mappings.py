"""bind_ports and bind_volumes of a container. Pure."""

import posixpath
from typing import Final

import msgspec

_LARGEST_PORT: Final = 65535
_STORE: Final = "/var/vcap/store"


class Port(msgspec.Struct, frozen=True):
    """A port of the VM's address, and the one where the container listens."""

    host: int
    container: int


class Volume(msgspec.Struct, frozen=True):
    """A folder below the VM's persistent store, in the container's own folder there, and where the container sees it."""

    folder: str
    place: str
    is_read_only: bool = False


def read_port(text: str) -> Port:
    """`6379` or `6380:6379`. Raises ValueError."""
    words = text.split(":")
    if len(words) > 2 or not all(word.isascii() and word.isdigit() and 0 < int(word) <= _LARGEST_PORT for word in words):  # noqa: PLR2004 - HOST:CONTAINER
        raise ValueError(f"bind_ports: {text!r} is no port, as 6379 or 6380:6379")
    return Port(int(words[0]), int(words[-1]))


def read_volume(text: str) -> Volume:
    """`/data`, `folder:/data` or `folder:/data:ro`. Raises ValueError for what lies outside the container's folder."""
    words = text.split(":")
    is_read_only = len(words) > 2 and words[-1] == "ro"  # noqa: PLR2004 - FOLDER:PLACE:ro
    if len(words) > 2 and words[-1] in {"ro", "rw"}:  # noqa: PLR2004 - as above
        words = words[:-1]
    place = words[-1]
    if len(words) > 2 or not place.startswith("/") or posixpath.normpath(place) == "/":  # noqa: PLR2004 - as above
        raise ValueError(f"bind_volumes: {text!r} is no volume, as /data or folder:/data or folder:/data:ro")
    folder = words[0] if len(words) > 1 else place.lstrip("/")
    inside = posixpath.normpath(folder)
    if folder.startswith("/") and len(words) > 1:
        hint = f": leave out {_STORE}/NAME" if inside.startswith(f"{_STORE}/") else ""
        raise ValueError(f"bind_volumes: {folder} of {text!r} lies outside the container's folder in the store{hint}")
    if inside in {".", ".."} or inside.startswith("../"):
        raise ValueError(f"bind_volumes: {folder} of {text!r} leads out of the container's folder in the store")
    return Volume(inside, posixpath.normpath(place), is_read_only)
