"""Where everything lies under the root folder."""

import errno
import os
from pathlib import Path
from typing import Final

from cpi.contract import errors

_OWNER_ONLY: Final = 0o700
_TRIES: Final = 20
_MOST_NAMED: Final = 5


class Layout:
    """The paths of one local cloud. Nothing is made by asking for a path."""

    def __init__(self, root: str) -> None:
        self.root = Path(os.path.normpath(root))
        self.database = self.root / "state.sqlite"
        self.turns = self.root / "state.turns"
        self.authority = self.root / "ca"

    def lock(self, name: str) -> Path:
        """The lock file of a resource, or of something there is one of."""
        return self.root / "locks" / name

    def stemcell(self, cid: str) -> Path:
        """The folder with a stemcell's content."""
        return self.root / "stemcells" / cid

    def disk(self, cid: str) -> Path:
        """The folder of a disk."""
        return self.root / "disks" / cid

    def snapshot(self, cid: str) -> Path:
        """The folder of a snapshot."""
        return self.root / "snapshots" / cid

    def vm(self, cid: str) -> Path:
        """The folder of a VM."""
        return self.root / "vms" / cid

    def resources(self) -> list[str]:
        """The resources that have a folder, whatever is on record; at most a few are named."""
        kinds = [self.root / name for name in ("stemcells", "disks", "snapshots", "vms")]
        return [f"{kind.name}/{path.name}" for kind in kinds if kind.is_dir() for path in sorted(kind.iterdir())[:_MOST_NAMED]]

    def make_root(self) -> None:
        """Make the root folder, for its owner alone, and the folders in it; one that exists keeps its mode."""
        try:
            self.root.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
            for name in ("locks", "stemcells", "disks", "snapshots", "vms"):
                (self.root / name).mkdir(mode=_OWNER_ONLY, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise errors.CpiError(f"the root folder cannot be made: {error.filename} is no folder") from error


def make_folder(path: Path) -> None:
    """Make a folder for its owner alone."""
    path.mkdir(mode=_OWNER_ONLY)


def remove_folder(path: Path) -> None:
    """Remove a folder with all in it; a missing one is fine. Raises OSError if something stays."""
    import shutil

    for _ in range(_TRIES):
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            if not path.exists():
                return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
        else:
            return
    raise errors.CloudError(f"{path} cannot be removed: something keeps writing into it")
