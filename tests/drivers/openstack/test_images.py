"""Image files and what is told of them."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from cpi.contract import errors
from cpi.kit.settings import STEMCELL_KEYS, read_cloud_properties
from cpi_drivers.openstack.properties import StemcellProperties
from cpi_drivers.openstack.stemcells.image import Reading, check_format, mismatch, properties_of

MANIFEST = {
    "name": "bosh-openstack-kvm-ubuntu-jammy",
    "version": "1.200",
    "infrastructure": "openstack",
    "disk_format": "raw",
    "container_format": "bare",
    "os_type": "linux",
    "os_distro": "ubuntu",
    "architecture": "x86_64",
    "auto_disk_config": True,
    "hypervisor": "kvm",
    "hw_vif_model": "virtio",
    "root_device_name": "/dev/sda1",
    "disk": 5120,
}


def test_image_properties_are_those_of_the_official_cpis() -> None:
    """What the manifest says, the hypervisor under Glance's name for it."""
    wish = read_cloud_properties(StemcellProperties, MANIFEST)
    told = properties_of(wish, {"team": "blue", "empty": None}, public=False)
    told.pop("multicpi-call")
    assert told == {
        "name": "bosh-openstack-kvm-ubuntu-jammy/1.200",
        "version": "1.200",
        "visibility": "private",
        "disk_format": "raw",
        "container_format": "bare",
        "os_type": "linux",
        "os_distro": "ubuntu",
        "architecture": "x86_64",
        "auto_disk_config": "true",
        "hypervisor_type": "kvm",
        "hw_vif_model": "virtio",
        "team": "blue",
        "tags": ["team:blue"],
    }


def _strictly(document: dict[str, Any]) -> StemcellProperties:
    return read_cloud_properties(StemcellProperties, document, strict=True, ignored_keys=STEMCELL_KEYS)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"boot_mode": "uefi"}, {"hw_firmware_type": "uefi"}),
        ({"boot_mode": "uefi", "hw_firmware_type": "bios"}, {"hw_firmware_type": "bios"}),
        ({"boot_mode": "legacy-bios"}, {}),
        (
            {"hw_firmware_type": "uefi", "hw_machine_type": "q35", "os_secure_boot": "required"},
            {"hw_firmware_type": "uefi", "hw_machine_type": "q35", "os_secure_boot": "required"},
        ),
        ({"hw_tpm_model": "tpm-crb", "hw_tpm_version": 2.0}, {"hw_tpm_model": "tpm-crb", "hw_tpm_version": "2.0"}),
    ],
)
def test_firmware_and_virtual_tpms_are_properties_of_the_image(given: dict[str, Any], told: dict[str, str]) -> None:
    """Under Glance's names; the manifest's own word for UEFI is taken too."""
    without = properties_of(read_cloud_properties(StemcellProperties, MANIFEST), {}, public=False)
    properties = properties_of(_strictly({**MANIFEST, **given}), {}, public=False)
    assert {name: value for name, value in properties.items() if name not in {*without, "multicpi-call"}} == told


def test_tags_cannot_change_what_the_image_is() -> None:
    """A tag called architecture is a tag no more than a property is."""
    wish = read_cloud_properties(StemcellProperties, MANIFEST)
    assert properties_of(wish, {"architecture": "brutalist"}, public=True)["architecture"] == "x86_64"


@pytest.mark.parametrize(
    ("content", "disk_format"),
    [
        (b"no image", "qcow2"),
        (b"QFI\xfb" + bytes(508), "raw"),
        (b"\x1f\x8b" + bytes(510), "raw"),
        (b"", "raw"),
        (bytes(100), "raw"),
    ],
)
def test_a_file_of_another_format_is_refused(tmp_path: Path, content: bytes, disk_format: str) -> None:
    """Glance would take it, and every VM would fail to boot."""
    path = tmp_path / "image"
    path.write_bytes(content)
    with pytest.raises(errors.CpiError, match="image"):
        check_format(path, disk_format)


@pytest.mark.parametrize(("content", "disk_format"), [(b"QFI\xfb", "qcow2"), (bytes(1024), "raw"), (b"anything", "iso")])
def test_a_file_of_its_format_is_taken(tmp_path: Path, content: bytes, disk_format: str) -> None:
    """Formats that we know no mark of are Glance's business."""
    path = tmp_path / "image"
    path.write_bytes(content)
    check_format(path, disk_format)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({}, None),
        ({"os_hash_value": "0" * 128}, "sha512"),
        ({"os_hash_algo": "blake3", "checksum": "0" * 32}, "md5"),
        ({"os_hash_algo": None, "checksum": None, "size": 3}, "3 bytes"),
        ({"os_hash_algo": None, "checksum": None}, None),
    ],
)
def test_what_arrived_is_compared_with_what_was_sent(tmp_path: Path, change: dict[str, Any], wrong: str | None) -> None:
    """By the hash that Glance took, or the older one, or the size."""
    content = b"QFI\xfb" + bytes(4096)
    path = tmp_path / "image"
    path.write_bytes(content)
    with Reading(path) as file:
        while file.read(1000):
            pass
        hashes = {
            "os_hash_value": hashlib.sha512(content).hexdigest(),
            "checksum": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        }
        found = mismatch({"os_hash_algo": "sha512", "size": len(content), **hashes, **change}, file)
    assert (found is None) == (wrong is None)
    assert wrong is None or wrong in str(found)
