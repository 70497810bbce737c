"""What a VM's agent is told: a document on a CD, beside it in the VM's folder, and in guestinfo."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cpi.contract import errors
from cpi.contract.ids import AgentId
from cpi.contract.model import AgentDefaults, Env, Networks
from cpi.kit.agent_settings import agent_settings
from cpi_drivers.vsphere.api.client import vim

ISO: Final = "env.iso"
PLAIN: Final = "env.json"
"""The same document where people, and the official CPI, can read it."""

GUESTINFO: Final = "guestinfo.userdata"


def document(
    agent_id: AgentId, name: str, moid: str, networks: Networks, env: Env | None, defaults: AgentDefaults, units: Sequence[int]
) -> dict[str, Any]:
    """The settings; networks have their MACs, units are those of the root and the ephemeral disk."""
    system, ephemeral = (str(unit) for unit in units)
    settings = agent_settings(agent_id, name, networks, env, defaults, system_disk=system, ephemeral_disk=ephemeral)
    return {**settings, "vm": {"name": name, "id": moid}}


def plain(settings: Mapping[str, Any]) -> bytes:
    """As it lies in the VM's folder."""
    return json.dumps(settings, separators=(",", ":")).encode()


def iso(settings: Mapping[str, Any]) -> bytes:
    """A CD with one file, `env`."""
    import pycdlib

    content, image = plain(settings), pycdlib.PyCdlib()
    image.new(interchange_level=1, joliet=3, rock_ridge="1.09")
    image.add_fp(io.BytesIO(content), len(content), "/ENV.;1", rr_name="env", joliet_path="/env")
    written = io.BytesIO()
    image.write_fp(written)
    image.close()
    return written.getvalue()


def guestinfo(settings: Mapping[str, Any]) -> list[Any]:
    """The options that the guest reads by VMware Tools."""
    encoded = base64.b64encode(plain(settings)).decode()
    return [
        vim.option.OptionValue(key=GUESTINFO, value=encoded),
        vim.option.OptionValue(key=f"{GUESTINFO}.encoding", value="base64"),
    ]


def drive(devices: Sequence[Any], path: str) -> Any:
    """The change that lays the CD into the VM's drive, or gives it a drive with the CD in it."""
    backing = vim.vm.device.VirtualCdrom.IsoBackingInfo(fileName=path)
    connecting = vim.vm.device.VirtualDevice.ConnectInfo(startConnected=True, connected=True, allowGuestControl=True)
    present = next((device for device in devices if isinstance(device, vim.vm.device.VirtualCdrom)), None)
    if present is not None:
        changed = vim.vm.device.VirtualCdrom(
            key=present.key,
            controllerKey=present.controllerKey,
            unitNumber=present.unitNumber,
            deviceInfo=present.deviceInfo,
            backing=backing,
            connectable=connecting,
        )
        return vim.vm.device.VirtualDeviceSpec(operation="edit", device=changed)
    controller, unit = _free_place(devices)
    made = vim.vm.device.VirtualCdrom(
        key=-300, controllerKey=controller, unitNumber=unit, backing=backing, connectable=connecting
    )
    return vim.vm.device.VirtualDeviceSpec(operation="add", device=made)


def _free_place(devices: Sequence[Any]) -> tuple[int, int]:
    kinds = (vim.vm.device.VirtualIDEController, vim.vm.device.VirtualSATAController)
    for controller in devices:
        if isinstance(controller, kinds):
            used = {device.unitNumber for device in devices if device.controllerKey == controller.key}
            free = next((unit for unit in range(2) if unit not in used), None)
            if free is not None:
                return controller.key, free
    raise errors.CloudError("the stemcell has neither a CD drive nor a free place on an IDE or SATA controller for one")
