"""Loop devices on sparse files, freed after the test."""

import subprocess
from pathlib import Path


def run(*command: str) -> str:
    """What the tool printed."""
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin", "LC_ALL": "C"}
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, env=environment).stdout.strip()


class Loop:
    """One device, as large as its file."""

    def __init__(self, image: Path, size_mib: int) -> None:
        self.image = image
        self._size(size_mib)
        self.device = run("losetup", "--find", "--show", str(image))

    def _size(self, mib: int) -> None:
        with self.image.open("ab") as file:
            file.truncate(mib * 1024 * 1024)

    def grow(self, size_mib: int) -> None:
        """As resize_disk and the next attach_disk do."""
        self._size(size_mib)
        run("losetup", "--set-capacity", self.device)

    def kind(self) -> str:
        """The filesystem on it."""
        return run("blkid", "--probe", "--output", "value", "--match-tag", "TYPE", self.device)

    def close(self) -> None:
        """Frees the device."""
        run("losetup", "--detach", self.device)
