"""The clauses of connect, close, info, ping, and of the methods of api_version 1."""

import functools
from pathlib import Path

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from cpi.contract.ids import VmCid
from cpi.testing.config_variants import UNKNOWN_KEYS, block_replaced, with_unknown_keys
from cpi.testing.conformance.fixtures import ContractFixtures, Lost, Reconfigured, refused
from cpi.testing.faces import opened
from cpi.testing.harness import Face, Harness
from cpi.testing.ledger import Ledger
from cpi.testing.maker import Maker, at_once, fresh_token


class ConnectingClauses(ContractFixtures):
    """The CPI itself."""

    def test_connect_given_a_block_that_is_no_object_is_refused(self, harness: Harness, reconfigured: Reconfigured) -> None:
        """A wrong kind of block is a fault of the configuration, not of the cloud."""
        wrong = block_replaced(harness.config, "no object")
        with refused(errors.CpiError), reconfigured(wrong) as cloud:
            cloud.has_vm(harness.absent.vm)

    def test_connect_then_any_number_of_threads_may_call(self, cloud: Ledger, make: Maker) -> None:
        """Calls from several threads on one Cloud do not disturb each other."""
        disk_cid = make.disk()
        assert at_once(*[lambda: cloud.has_disk(disk_cid)] * 6) == [True] * 6

    def test_connect_then_nothing_was_made(self, cloud: Ledger, harness: Harness, face: Face, folder: Path) -> None:
        """The ledger's census sees that connecting leaves no trace in the cloud."""
        with opened(harness, face, folder) as another:
            assert not another.has_vm(harness.absent.vm)

    def test_connect_then_the_powers_declared_are_the_methods_overridden(self, janitor: Cloud, cloud: Ledger) -> None:
        """A user who reads Cloud.capabilities is told the truth."""
        if "in-process" not in self.faces:
            return
        for power in Capability:
            overridden = [getattr(type(janitor), method) is not getattr(Cloud, method) for method in power.methods]
            assert overridden == [power in cloud.powers] * len(overridden), power

    def test_connect_again_is_independent(self, make: Maker, harness: Harness, face: Face, folder: Path) -> None:
        """Closing one Cloud leaves another of the same configuration at work."""
        disk_cid = make.disk()
        with opened(harness, face, folder) as first, opened(harness, face, folder) as second:
            first.close()
            assert second.has_disk(disk_cid)

    def test_connect_raises_cpi_error_naming_every_fault(self, harness: Harness, reconfigured: Reconfigured) -> None:
        """All that is wrong with a configuration is told at once."""
        wrong = with_unknown_keys(harness.config)
        with refused(errors.CpiError) as caught, reconfigured(wrong) as cloud:
            cloud.has_vm(harness.absent.vm)
        assert [key for key in UNKNOWN_KEYS if key not in caught.value.message] == []

    def test_close_then_what_was_made_stays(self, cloud: Ledger, make: Maker, harness: Harness, face: Face, folder: Path) -> None:
        """Closing lets go of connections, not of disks."""
        with opened(harness, face, folder) as another:
            disk_cid = make.disk()
            assert another.has_disk(disk_cid)
        assert cloud.has_disk(disk_cid)

    def test_close_again_changes_nothing(self, harness: Harness, face: Face, folder: Path) -> None:
        """A Cloud may be closed twice."""
        cloud = opened(harness, face, folder)
        cloud.close()
        cloud.close()

    def test_for_request_given_a_token_repeats_are_the_same_disk(self, cloud: Ledger, harness: Harness) -> None:
        """create_disk takes the token of the request, as if the call had given it."""
        theirs = cloud.for_request("cpi-654321", fresh_token())
        made = {theirs.create_disk(harness.disk_size, harness.disk_cloud_properties) for _ in range(2)}
        assert len(made) == 1

    def test_for_request_then_the_token_of_a_call_goes_first(self, cloud: Ledger, make: Maker, harness: Harness) -> None:
        """It is the same disk, whichever request asks for it."""
        token = fresh_token()
        theirs = cloud.for_request("cpi-654321", fresh_token())
        assert theirs.create_disk(harness.disk_size, harness.disk_cloud_properties, token=token) == make.disk(token=token)

    def test_for_request_again_is_another_request(self, cloud: Ledger, harness: Harness) -> None:
        """Two tokens name two disks, and both requests may be under way at once."""
        both = [cloud.for_request("cpi-1", fresh_token()), cloud.for_request("cpi-2", fresh_token())]
        made = at_once(*[functools.partial(one.create_disk, harness.disk_size, harness.disk_cloud_properties) for one in both])
        assert len(set(made)) == len(both)

    def test_info_then_it_tells_formats_and_version(self, cloud: Ledger) -> None:
        """The director needs strings, and a version of at least 2."""
        info = cloud.info()
        assert info.api_version == 3
        assert info.stemcell_formats
        assert all(form.strip() for form in info.stemcell_formats)

    def test_info_then_it_is_told_without_the_cloud(self, lost: Lost) -> None:
        """Callers ask before nearly every call: it must not depend on anything."""
        try:
            cloud = lost()
        except errors.Error:
            return
        with cloud:
            assert cloud.info().api_version == 3

    def test_info_again_is_the_same(self, cloud: Ledger) -> None:
        """It is static."""
        assert cloud.info() == cloud.info()

    def test_ping_then_it_answers_pong(self, cloud: Ledger) -> None:
        """In this spelling."""
        assert cloud.ping() == "pong"

    def test_ping_again_is_the_same(self, cloud: Ledger) -> None:
        """As often as one likes."""
        assert [cloud.ping(), cloud.ping()] == ["pong", "pong"]

    def test_current_vm_id_then_it_is_refused(self, cloud: Ledger) -> None:
        """No present caller needs it."""
        with refused(errors.Error):
            cloud.current_vm_id()

    def test_current_vm_id_again_is_the_same(self, cloud: Ledger) -> None:
        """The second time as the first."""
        for _ in range(2):
            with refused(errors.NotImplemented):
                cloud.current_vm_id()

    def test_current_vm_id_raises_not_implemented(self, cloud: Ledger) -> None:
        """The error by which callers know a missing method."""
        with refused(errors.NotImplemented):
            cloud.current_vm_id()

    def test_configure_networks_then_the_vm_is_untouched(self, cloud: Ledger, vm_cid: VmCid) -> None:
        """Its callers recreate the VM instead."""
        with refused(errors.Error):
            cloud.configure_networks(vm_cid, {})
        assert cloud.has_vm(vm_cid)

    def test_configure_networks_again_is_the_same(self, cloud: Ledger, vm_cid: VmCid) -> None:
        """The second time as the first."""
        for _ in range(2):
            with refused(errors.NotSupported):
                cloud.configure_networks(vm_cid, {})

    def test_configure_networks_raises_not_supported(self, cloud: Ledger, vm_cid: VmCid) -> None:
        """The error that made directors recreate the VM."""
        with refused(errors.NotSupported):
            cloud.configure_networks(vm_cid, {})
