"""VMs that the tests of one process use one after the other: a move leaves its VM well, so it can be moved again.

A conftest takes what is named `vms`, and the hook.
"""

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from fixtures.local_cloud import local_config
from tests.migration.database_vm import DatabaseVm, database_vms

_SIZE, _DATA = 96, 4
_SMALLEST_XFS = 400
XFS = "xfs"
"""As a backing: loop devices with that filesystem, which grows while it is mounted."""

_FAILED = pytest.StashKey[bool]()


class SharedVms:
    """One VM for each backing of disks, each on a cloud of its own. A VM with which a test failed is not given to another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = ExitStack()
        self._idle: dict[str, DatabaseVm] = {}
        self._count = 0

    def _take(self, backing: str) -> DatabaseVm:
        """A VM whose job runs and is written to, with no disk besides its own."""
        vm = self._idle.pop(backing, None)
        if vm is None:
            return self._new(backing)
        vm.write_anew()
        return vm

    def _give_back(self, backing: str, vm: DatabaseVm) -> None:
        """The test is over, and all was well."""
        vm.rest()
        self._idle[backing] = vm

    def clear(self) -> None:
        """Remove all of them."""
        self._made.close()

    def _next_folder(self) -> Path:
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        return folder

    def _new(self, backing: str) -> DatabaseVm:
        folder = self._next_folder()
        if backing != XFS:
            return self._made.enter_context(database_vms(folder, local_config(folder, backing)))(_SIZE, _DATA)
        make = self._made.enter_context(database_vms(folder, local_config(folder, "loop"), {"persistent_disk_fs": XFS}))
        return make(_SMALLEST_XFS, _DATA)

    @contextmanager
    def lent(self, backing: str, test: pytest.Item) -> Iterator[DatabaseVm]:
        """A VM for that test."""
        vm = self._take(backing)
        yield vm
        if not test.stash.get(_FAILED, False):
            self._give_back(backing, vm)


@pytest.fixture(scope="session")
def vms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedVms]:
    """They are removed at the end of the session."""
    made = SharedVms(tmp_path_factory.mktemp("shared-vms"))
    try:
        yield made
    finally:
        made.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember what failed: nobody knows how its VM is."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report
