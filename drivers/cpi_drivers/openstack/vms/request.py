"""One wish for a VM, read and looked up: what every attempt to make it shares."""

from collections.abc import Mapping
from typing import Any

import msgspec

from cpi.contract import errors
from cpi.contract.ids import AgentId
from cpi.contract.model import AgentDefaults, Env, Networks
from cpi_drivers.openstack.api.states import Document
from cpi_drivers.openstack.networks.requested import Wiring, resolved_networks
from cpi_drivers.openstack.properties import VmProperties
from cpi_drivers.openstack.settings import OpenStackSettings
from cpi_drivers.openstack.vms import agent_settings, flavors


class VmWish(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be made."""

    agent_id: AgentId
    name: str
    image_id: str
    properties: VmProperties
    networks: Networks
    wired: Wiring
    env: Env | None
    defaults: AgentDefaults
    metadata: Mapping[str, str]

    def body(self, flavor: Document, zone: str | None, ports: list[Document], settings: OpenStackSettings) -> dict[str, Any]:
        """The server that Nova is asked for."""
        server: dict[str, Any] = {
            "name": self.name,
            "flavorRef": flavor["id"],
            "networks": [{"port": port["id"]} for port in ports],
            "user_data": self._user_data(flavor, ports, settings),
            "metadata": dict(self.metadata),
            **self._root(flavor, settings),
        }
        if self.properties.key_name or settings.default_key_name:
            server["key_name"] = self.properties.key_name or settings.default_key_name
        if zone:
            server["availability_zone"] = zone
        if settings.config_drive:
            server["config_drive"] = True
        return server

    def _user_data(self, flavor: Document, ports: list[Document], settings: OpenStackSettings) -> str:
        wired = self._told(ports)
        has_ephemeral_disk = flavors.ephemeral_mib(flavor) > 0
        told = agent_settings.document(
            self.agent_id,
            self.name,
            wired,
            self.env,
            self.defaults,
            has_ephemeral_disk=has_ephemeral_disk,
            use_dhcp=settings.use_dhcp,
        )
        return agent_settings.encoded(told)

    def _told(self, ports: list[Document]) -> Networks:
        """The networks with their MACs; an address that DHCP gives is not told."""
        turned_out = resolved_networks(self.networks, self.wired, ports)
        return {name: msgspec.structs.replace(network, ip=self.networks[name].ip) for name, network in turned_out.items()}

    def _root(self, flavor: Document, settings: OpenStackSettings) -> dict[str, Any]:
        properties = self.properties
        on_volume = settings.boot_from_volume if properties.boot_from_volume is None else properties.boot_from_volume
        if not on_volume:
            if properties.root_disk:
                raise errors.CpiError("root_disk.size needs boot_from_volume: true")
            if flavor["disk"] == 0:
                raise errors.CpiError(
                    f"the flavour {flavor['name']} has no root disk: it needs boot_from_volume and root_disk.size"
                )
            return {"imageRef": self.image_id}
        size = properties.root_disk.size if properties.root_disk else flavor["disk"]
        if not size:
            raise errors.CpiError(f"the flavour {flavor['name']} has no root disk: say root_disk.size")
        root = {
            "uuid": self.image_id,
            "source_type": "image",
            "destination_type": "volume",
            "volume_size": size,
            "boot_index": 0,
            "delete_on_termination": True,
        }
        return {"imageRef": "", "block_device_mapping_v2": [root]}
