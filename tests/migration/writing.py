"""What a job is that writes as a database does: where its rows lie, and how it proves them."""

import hashlib
from abc import ABC, abstractmethod
from pathlib import Path


def text_of(number: int) -> str:
    """What a row holds."""
    return hashlib.sha256(f"row {number}".encode()).hexdigest()


class Writing(ABC):
    """One kind of database, in a folder of its own."""

    def __init__(self, folder: Path, scale: int) -> None:
        self.folder = folder
        self.scale = scale

    @abstractmethod
    def begin(self) -> None:
        """Make what is not there yet."""

    @abstractmethod
    def write(self, number: int) -> None:
        """Returns when the row is on the disk."""

    @abstractmethod
    def rows(self) -> set[int]:
        """The rows that are on the disk, each as it was written. Raises ValueError if anything is not whole."""

    def end(self) -> None:  # noqa: B027 - most have nothing to end
        """What runs beside the writer."""
