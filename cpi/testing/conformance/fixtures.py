"""What the clauses are given."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, StemcellCid, VmCid
from cpi.contract.units import MiB
from cpi.kit.redaction import secrets_in
from cpi.testing.census import Census
from cpi.testing.faces import opened
from cpi.testing.guest import Guest
from cpi.testing.harness import Document, Face, Harness
from cpi.testing.ledger import Ledger
from cpi.testing.maker import Maker
from cpi.testing.powers import lacking_power, prove_refused

_ANSWERS = (errors.VMNotFound, errors.DiskNotFound, errors.NetworkNotFound, errors.NotImplemented, errors.NotSupported)

Enter = Callable[[VmCid], contextlib.AbstractContextManager[Guest]]
Lost = Callable[[], Cloud]
Reconfigured = Callable[[Document], Cloud]
SizeOf = Callable[[DiskCid], MiB]
TagsOf = Callable[[str], Mapping[str, str]]


class ContractFixtures:
    """Fixtures. The stemcell and one VM are made once a class; everything else belongs to one test and goes with it."""

    faces: tuple[Face, ...] = ("in-process",)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Every clause once for each face."""
        if "face" in metafunc.fixturenames:
            metafunc.parametrize("face", self.faces, scope="class")

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls) -> Harness:
        """What the author of a driver writes."""
        pytest.fail("a subclass of CloudContract needs a fixture `harness` that returns a Harness")

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A place for config files."""
        return tmp_path_factory.mktemp("contract")

    @pytest.fixture(scope="class")
    @classmethod
    def janitor(cls, harness: Harness, folder: Path) -> Iterator[Cloud]:
        """Makes what the tests share, and cleans up: in this process if that can be."""
        with opened(harness, cls.faces[0], folder) as cloud:
            yield cloud

    @pytest.fixture(scope="class")
    @classmethod
    def powers(cls, harness: Harness, janitor: Cloud) -> frozenset[Capability]:
        """What the cloud declares."""
        return janitor.capabilities if harness.capabilities is None else harness.capabilities

    @pytest.fixture(scope="class")
    @classmethod
    def common(cls, janitor: Cloud, powers: frozenset[Capability]) -> Iterator[Ledger]:
        """The ledger of what the tests share."""
        ledger = Ledger(janitor, powers)
        yield ledger
        ledger.settle()

    @pytest.fixture(scope="class")
    @classmethod
    def census(cls, harness: Harness, common: Ledger) -> Census:
        """What the cloud holds."""
        return Census(harness.census, common)

    @pytest.fixture(scope="class")
    @classmethod
    def image_path(cls, harness: Harness, folder: Path) -> str:
        """The file that create_stemcell is given."""
        if harness.stemcell.image:
            return harness.stemcell.image
        light = folder / "image"
        light.touch()
        return str(light)

    @pytest.fixture(scope="class")
    @classmethod
    def stemcell_cid(cls, common: Ledger, harness: Harness, image_path: str) -> StemcellCid:
        """A stemcell that VMs are made from."""
        return common.create_stemcell(image_path, harness.stemcell.cloud_properties, {})

    @pytest.fixture(scope="class")
    @classmethod
    def vm_cid(cls, common: Ledger, harness: Harness, stemcell_cid: StemcellCid) -> VmCid:
        """A VM that no test changes for good."""
        return Maker(common, harness, stemcell_cid).vm().cid

    @pytest.fixture(scope="class")
    @classmethod
    def connected(cls, harness: Harness, face: Face, folder: Path) -> Iterator[Cloud]:
        """The cloud by one of its faces."""
        with opened(harness, face, folder) as cloud:
            yield cloud

    @pytest.fixture
    def cloud(
        self,
        connected: Cloud,
        janitor: Cloud,
        powers: frozenset[Capability],
        harness: Harness,
        census: Census,
        request: pytest.FixtureRequest,
    ) -> Iterator[Ledger]:
        """The cloud under test, with a ledger: what a test leaves is removed, and what cannot be removed fails it."""
        lacking = lacking_power(request.function, powers)
        if lacking is not None:
            request.node.user_properties.append(("refused", lacking.value))
            for method in lacking.methods:
                prove_refused(connected, harness, lacking, method)
        with kept(connected, powers, census, janitor) as ledger:
            yield ledger

    @pytest.fixture
    def make(self, cloud: Ledger, harness: Harness, stemcell_cid: StemcellCid) -> Maker:
        """Short ways to make VMs and disks."""
        return Maker(cloud, harness, stemcell_cid)

    @pytest.fixture
    def enter(self, harness: Harness, janitor: Cloud) -> Enter:
        """Opens a way into a VM."""
        way = harness.guest
        if way is None:
            pytest.skip("not proven: the harness has no guest")

        @contextlib.contextmanager
        def entered(vm_cid: VmCid) -> Iterator[Guest]:
            with contextlib.closing(way(janitor, vm_cid)) as guest:
                guest.boot()
                yield guest

        return entered

    @pytest.fixture
    def reconfigured(self, harness: Harness, face: Face, folder: Path) -> Reconfigured:
        """Opens the cloud of another configuration."""
        if harness.command is not None:
            pytest.skip("not proven: the executable has a configuration of its own")
        return lambda config: opened(harness, face, folder, config)

    @pytest.fixture
    def lost(self, harness: Harness, reconfigured: Reconfigured) -> Lost:
        """Opens the same cloud where it cannot be reached."""
        unreachable = harness.unreachable
        if unreachable is None:
            pytest.skip("not proven: the harness names no cloud that cannot be reached")
        return lambda: reconfigured(unreachable)

    @pytest.fixture
    def tags_of(self, harness: Harness) -> TagsOf:
        """Reads what people see on a thing in the cloud."""
        if harness.tags_of is None:
            pytest.skip("not proven: the harness cannot read tags")
        return harness.tags_of

    @pytest.fixture
    def disk_size_of(self, harness: Harness) -> SizeOf:
        """Reads the size that a disk really has."""
        if harness.disk_size_of is None:
            pytest.skip("not proven: the harness cannot measure a disk")
        return harness.disk_size_of

    @pytest.fixture(scope="class")
    @classmethod
    def secrets(cls, harness: Harness) -> frozenset[str]:
        """What must never be shown."""
        return harness.secrets | secrets_in(harness.config)


@contextlib.contextmanager
def kept(cloud: Cloud, powers: frozenset[Capability], census: Census, janitor: Cloud) -> Iterator[Ledger]:
    """A ledger around a cloud, settled at the end of the block, with the census before and after."""
    with census.kept():
        ledger = Ledger(cloud, powers, janitor)
        yield ledger
        ledger.settle()


@contextlib.contextmanager
def refused(*kinds: type[errors.Error]) -> Iterator[pytest.ExceptionInfo[errors.Error]]:
    """That the block raises one of these errors of the contract, and says something."""
    with pytest.raises(kinds) as caught:
        yield caught
    assert caught.value.message.strip(), f"{caught.value!r} says nothing"


@contextlib.contextmanager
def uncertain() -> Iterator[None]:
    """That the block raises CloudError, or CpiError if the configuration is to blame: nothing that callers take for an answer."""
    with refused(errors.CloudError, errors.CpiError) as caught:
        yield
    assert not isinstance(caught.value, _ANSWERS), f"taken for an answer: {caught.value!r}"


@contextlib.contextmanager
def allowed(*kinds: type[errors.Error]) -> Iterator[None]:
    """That the block succeeds or raises one of these errors of the contract."""
    with contextlib.suppress(*kinds):
        yield
