"""Firmware, secure boot, virtual TPMs and encryption of VMs."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from pyVmomi import vim

from cpi.contract import errors
from cpi.kit.settings import read_cloud_properties
from cpi_drivers.vsphere.properties import VmProperties
from cpi_drivers.vsphere.vms import trust
from fixtures.clouds.vcsim.answers import fault
from fixtures.clouds.vcsim.lab import Lab
from fixtures.proxy import Rule, effects
from tests.drivers.vsphere.conftest import Helper

if TYPE_CHECKING:
    from cpi_drivers.vsphere.api.client import Client


def _wish(**properties: Any) -> VmProperties:
    return read_cloud_properties(VmProperties, {"cpu": 1, "ram": 512, "disk": 1024, **properties}, strict=True)


class _Vcenter:
    """Of which the simulator that the tests have knows nothing: a key provider."""

    def __init__(self, firmware: str = "efi", reason: str | None = None) -> None:
        self.told: list[Any] = []
        self._firmware = firmware
        self._reason = reason

    def manager(self, name: str) -> str:
        """By its name."""
        return name

    def read(self, objects: list[Any], _: Any) -> dict[Any, dict[str, Any]]:
        """A VM with two disks."""
        disks = [vim.vm.device.VirtualDisk(key=2000 + number) for number in range(2)]
        return {one: {"config.hardware.device": disks, "config.firmware": self._firmware} for one in objects}

    def call(self, target: Any, operation: str, **arguments: Any) -> Any:
        """A key, or none."""
        assert (target, operation) == ("cryptoManager", "GenerateKey")
        key = SimpleNamespace(keyId=f"key of {arguments['keyProvider'].id}")
        return SimpleNamespace(success=self._reason is None, reason=self._reason, keyId=key)

    def done(self, _: Any, operation: str, what: str, **arguments: Any) -> None:
        """It is done."""
        self.told.append((operation, what, arguments["spec"]))


def _secured(vcenter: _Vcenter, **properties: Any) -> None:
    trust.secure(cast("Client", vcenter), "vm", "vm-1", _wish(**properties))


def test_home_and_disks_are_encrypted_by_one_key_of_the_provider() -> None:
    """In one change, the TPM with them: its state is part of the home."""
    vcenter = _Vcenter()
    _secured(vcenter, key_provider="hsm", vtpm=True)
    [(operation, what, spec)] = vcenter.told
    assert (operation, what) == ("ReconfigVM_Task", "securing the VM vm-1")
    assert (spec.crypto.cryptoKeyId.keyId, spec.crypto.cryptoKeyId.providerId.id) == ("key of hsm", "hsm")
    *disks, tpm = spec.deviceChange
    assert [(one.operation, one.device.key, one.backing.crypto) for one in disks] == [
        ("edit", 2000, spec.crypto),
        ("edit", 2001, spec.crypto),
    ]
    assert (tpm.operation, type(tpm.device)) == ("add", vim.vm.device.VirtualTPM)


def test_a_key_provider_that_makes_no_key_is_named() -> None:
    """Nothing is changed then, and nothing is encrypted in part."""
    vcenter = _Vcenter(reason="no server answers")
    with pytest.raises(errors.CloudError, match="key_provider: no key of hsm: no server answers"):
        _secured(vcenter, key_provider="hsm")
    assert vcenter.told == []


def test_a_stemcell_that_boots_by_bios_gets_no_tpm() -> None:
    """The vCenter's own words for it name a device by its key."""
    with pytest.raises(errors.CpiError, match="vtpm: needs firmware: efi, and a stemcell that boots by it"):
        _secured(_Vcenter("bios"), vtpm=True)


@pytest.mark.parametrize("key", ["vtpm", "secure_boot"])
def test_what_needs_efi_is_refused_with_bios(key: str) -> None:
    """Before anything is asked."""
    with pytest.raises(errors.CpiError, match=f"{key}: needs firmware: efi"):
        _wish(firmware="bios", **{key: True})


def test_a_vm_has_its_firmware_and_its_tpm(vcenter: Lab, helper: Helper) -> None:
    """Before it is switched on for the first time; as a linked clone."""
    vm = vcenter.vm(helper.vm(firmware="efi", secure_boot=True, vtpm=True).cid)
    assert (vm.config.firmware, vm.runtime.powerState) == ("efi", "poweredOn")
    assert [type(one) for one in vm.config.hardware.device].count(vim.vm.device.VirtualTPM) == 1
    [cloned] = [call.request.body for call in vcenter.proxy.calls if call.action == "CloneVM_Task"][-1:]
    assert b"<efiSecureBootEnabled>true</efiSecureBootEnabled>" in cloned
    assert b"createNewChildDiskBacking" in cloned


def test_a_vm_that_cannot_be_encrypted_is_removed(vcenter: Lab, helper: Helper) -> None:
    """The reason names the property."""
    before = vcenter.census()
    with pytest.raises(errors.CloudError, match="key_provider: no key of hsm: "):
        helper.vm(key_provider="hsm")
    assert vcenter.census() == before


def test_a_vm_that_gets_no_tpm_is_removed(vcenter: Lab, helper: Helper) -> None:
    """A vCenter without a key provider refuses it, after the VM has got its settings."""
    before = vcenter.census()
    refused = Rule("ReconfigVM_Task", effects.answer(500, fault("InvalidVmConfig").body), skip=1)
    vcenter.proxy.inject(refused)
    with pytest.raises(errors.VMCreationFailed, match="InvalidVmConfig"):
        helper.vm(firmware="efi", vtpm=True)
    vcenter.proxy.withdraw(refused)
    assert refused.met == 1
    assert vcenter.census() == before
