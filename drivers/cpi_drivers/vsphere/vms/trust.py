"""What a VM needs to be trusted: a virtual TPM, encryption. They come after its hardware version, before it is switched on."""

from typing import Any, Final

from cpi.contract import errors
from cpi_drivers.vsphere.api import devices
from cpi_drivers.vsphere.api.client import Client, Reference, vim
from cpi_drivers.vsphere.api.errors import Refused
from cpi_drivers.vsphere.properties import VmProperties

_TPM_KEY: Final = 11000
_FIRMWARE: Final = "config.firmware"


def boot(config: Any, wanted: VmProperties) -> None:
    """Firmware and secure boot, in the configuration of a new VM."""
    if wanted.firmware is not None:
        config.firmware = wanted.firmware
    if wanted.secure_boot is not None:
        config.bootOptions = vim.vm.BootOptions(efiSecureBootEnabled=wanted.secure_boot)


def secure(client: Client, vm: Reference, name: str, wanted: VmProperties) -> None:
    """In one change: the home of a VM that gets a TPM has to be encrypted, which the vCenter does itself without key_provider."""
    if not wanted.vtpm and wanted.key_provider is None:
        return
    seen = devices.look(client, vm, _FIRMWARE)
    if wanted.vtpm and seen.get(_FIRMWARE) == "bios":
        raise errors.CpiError("vtpm: needs firmware: efi, and a stemcell that boots by it; this stemcell's firmware is bios")
    spec = vim.vm.ConfigSpec(deviceChange=[])
    if wanted.key_provider is not None:
        spec.crypto = _encryption(client, wanted.key_provider)
        backing = vim.vm.device.VirtualDeviceSpec.BackingSpec(crypto=spec.crypto)
        for disk in devices.disks(seen["config.hardware.device"]):
            spec.deviceChange.append(vim.vm.device.VirtualDeviceSpec(operation="edit", device=disk, backing=backing))
    if wanted.vtpm:
        spec.deviceChange.append(vim.vm.device.VirtualDeviceSpec(operation="add", device=vim.vm.device.VirtualTPM(key=_TPM_KEY)))
    client.done(vm, "ReconfigVM_Task", f"securing the VM {name}", spec=spec)


def _encryption(client: Client, provider: str) -> Any:
    """By a new key of the provider."""
    identity = vim.encryption.KeyProviderId(id=provider)
    try:
        made = client.call(client.manager("cryptoManager"), "GenerateKey", keyProvider=identity)
    except (errors.NotSupported, Refused) as error:
        raise errors.CloudError(f"key_provider: no key of {provider}: {error.message}") from error
    if not made.success:
        raise errors.CloudError(f"key_provider: no key of {provider}: {made.reason or 'the vCenter does not say why'}")
    return vim.encryption.CryptoSpecEncrypt(cryptoKeyId=vim.encryption.CryptoKeyId(keyId=made.keyId.keyId, providerId=identity))
