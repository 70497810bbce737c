"""What the user of the vCenter must be allowed, and what for."""

from collections.abc import Mapping
from typing import Final

NEEDED: Final[Mapping[str, str]] = {
    "Datastore.AllocateSpace": "disks and VMs",
    "Datastore.Browse": "finding disks",
    "Datastore.DeleteFile": "removing disks, and folders of VMs",
    "Datastore.FileManagement": "moving disks, agent settings, disk metadata, First Class Disks",
    "Folder.Create": "the folders of VMs and stemcells",
    "Global.ManageCustomFields": "names of metadata",
    "Global.SetCustomField": "metadata of VMs and stemcells",
    "Network.Assign": "network cards",
    "Resource.AssignVMToPool": "VMs and stemcells",
    "VApp.Import": "stemcells",
    "VirtualMachine.Config.AddExistingDisk": "attaching disks",
    "VirtualMachine.Config.AddNewDisk": "ephemeral disks",
    "VirtualMachine.Config.AddRemoveDevice": "network cards and CD drives",
    "VirtualMachine.Config.AdvancedConfig": "agent settings in guestinfo, vmx_options",
    "VirtualMachine.Config.CPUCount": "cpu",
    "VirtualMachine.Config.DiskExtend": "root_disk_size_gb, disks grown attached",
    "VirtualMachine.Config.EditDevice": "CD drives",
    "VirtualMachine.Config.Memory": "ram",
    "VirtualMachine.Config.RemoveDisk": "detaching disks",
    "VirtualMachine.Config.Resource": "reservations",
    "VirtualMachine.Config.Settings": "VMs' options and vApp properties",
    "VirtualMachine.Config.UpgradeVirtualHardware": "upgrade_hw_version",
    "VirtualMachine.Interact.DeviceConnection": "network cards and CD drives",
    "VirtualMachine.Interact.PowerOff": "delete_vm",
    "VirtualMachine.Interact.PowerOn": "create_vm",
    "VirtualMachine.Interact.Reset": "reboot_vm",
    "VirtualMachine.Interact.SetCDMedia": "agent settings on a CD",
    "VirtualMachine.Inventory.Create": "stemcells",
    "VirtualMachine.Inventory.CreateFromExisting": "create_vm",
    "VirtualMachine.Inventory.Delete": "delete_vm and delete_stemcell",
    "VirtualMachine.Provisioning.Clone": "create_vm",
    "VirtualMachine.State.CreateSnapshot": "stemcells",
}

WHERE_USED: Final[Mapping[str, str]] = {
    "Cryptographer.Encrypt": "key_provider",
    "Cryptographer.EncryptNew": "vtpm, key_provider",
    "Cryptographer.ManageKeys": "key_provider",
    "Host.Inventory.EditCluster": "DRS rules, VM groups, disable_drs",
    "InventoryService.Tagging.AttachTag": "tags",
    "StorageProfile.View": "storage policies",
}
"""Needed by those alone who use what it is for."""
