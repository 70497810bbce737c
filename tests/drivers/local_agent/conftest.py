"""VMs to talk to; whatever a test leaves of them is ended after it."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.drivers.local_agent.vm import Certificate, Vm, make_certificate

MakeVm = Callable[..., Vm]


@pytest.fixture(scope="session")
def certificate() -> Certificate:
    """One for all VMs of the session."""
    return make_certificate()


@pytest.fixture
def make_vm(tmp_path: Path, certificate: Certificate) -> Iterator[MakeVm]:
    """Makes VM folders; none is started yet."""
    made: list[Vm] = []

    def make(env: Mapping[str, Any] | None = None) -> Vm:
        made.append(Vm(tmp_path / f"vm-{len(made)}", certificate, env))
        return made[-1]

    yield make
    for vm in made:
        vm.close()


@pytest.fixture
def vm(make_vm: MakeVm) -> Vm:
    """One whose agent answers."""
    return make_vm().start()


@pytest.fixture(scope="module")
def lasting_vm(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Vm]:
    """One whose agent answers, for tests that leave it as they found it."""
    vm = Vm(tmp_path_factory.mktemp("lasting") / "vm", certificate)
    try:
        yield vm.start()
    finally:
        vm.close()


@pytest.fixture
def make_folder_disk(tmp_path: Path) -> Callable[..., Path]:
    """Makes the data folder of a folder disk, with its size on record."""

    def make(name: str, size: int | None = 100) -> Path:
        data = tmp_path / "disks" / name / "data"
        data.mkdir(parents=True)
        if size is not None:
            (data.parent / "size").write_text(f"{size}\n")
        return data

    return make
