"""create_vm as one transaction: whatever fails, what was made is removed."""

import logging
from collections.abc import Mapping, Sequence

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import AgentDefaults, CallContext, Vm
from cpi.kit import private_files
from cpi.kit.failures import AnswerLost, Passing
from cpi.kit.settings import read_cloud_properties
from cpi.kit.undo import Undo
from cpi.kit.vm_request import VmRequest
from cpi_drivers.openstack import naming
from cpi_drivers.openstack.api.client import Client
from cpi_drivers.openstack.api.errors import Refused
from cpi_drivers.openstack.api.states import Document, Pending, Waits
from cpi_drivers.openstack.api.volumes import Volumes
from cpi_drivers.openstack.networks.floating_ips import FloatingIps
from cpi_drivers.openstack.networks.requested import fixed_addresses, in_order, resolved_networks, wiring
from cpi_drivers.openstack.networks.security_groups import SecurityGroups
from cpi_drivers.openstack.properties import VmProperties
from cpi_drivers.openstack.settings import OpenStackSettings
from cpi_drivers.openstack.vms import placement, server_groups
from cpi_drivers.openstack.vms.balancing import Balancing
from cpi_drivers.openstack.vms.flavors import Flavors
from cpi_drivers.openstack.vms.launch import Launching, NoRoom
from cpi_drivers.openstack.vms.lifecycle import Vms
from cpi_drivers.openstack.vms.request import VmWish

_log = logging.getLogger(__name__)


class VmCreation:
    """From a request to a VM."""

    def __init__(
        self,
        client: Client,
        settings: OpenStackSettings,
        waits: Waits,
        vms: Vms,
        volumes: Volumes,
        defaults: AgentDefaults,
        context: CallContext,
        *,
        strict: bool,
    ) -> None:
        self._client = client
        self._settings = settings
        self._vms = vms
        self._servers = vms.servers
        self._ports = vms.ports
        self._volumes = volumes
        self._defaults = defaults
        self._context = context
        self._strict = strict
        self._floating_ips = FloatingIps(client)
        self._waits = waits
        self._balancing = Balancing(client, waits)
        self._launching = Launching(client, settings, self._servers)

    def create(self, request: VmRequest) -> Vm:
        """The VM, active, with its addresses."""
        wish = self._wish(request)
        with private_files.one_at_a_time(self._client.folder, "openstack-call", request.token):
            return self._found(request, wish) or self._made(request, wish)

    def _wish(self, request: VmRequest) -> VmWish:
        tags = ((request.env or {}).get("bosh") or {}).get("tags")
        return VmWish(
            agent_id=request.agent_id,
            name=naming.name_of("vm", request.token),
            image_id=request.stemcell_cid.split()[0],
            properties=read_cloud_properties(VmProperties, request.cloud_properties, strict=self._strict),
            networks=request.networks,
            wired=wiring(request.networks, use_dhcp=self._settings.use_dhcp, strict=self._strict),
            env=request.env,
            defaults=self._defaults,
            metadata=naming.metadata_at_birth(self._context, request.token, tags if isinstance(tags, Mapping) else None),
        )

    def _found(self, request: VmRequest, wish: VmWish) -> Vm | None:
        """What a call with the same token has made; what it could not finish is removed."""
        for server in self._servers.with_token(request.token) if request.token else ():
            try:
                self._servers.active(server["id"], "create_vm")
                ports = in_order(wish.wired, self._ports.of(server["id"]))
                with Undo() as undo:
                    return self._finish(server, ports, wish, self._floating_ip(wish), undo)
            except errors.CloudError as error:
                _log.warning("the VM %s of an earlier call with this token is removed: %s", server["id"], error)
                self._vms.delete(VmCid(server["id"]))
        return None

    def _made(self, request: VmRequest, wish: VmWish) -> Vm:
        undo = Undo()
        try:
            with undo:
                return self._make(request, wish, undo)
        except errors.VMCreationFailed as error:
            raise errors.VMCreationFailed(self._told(request, error), ok_to_retry=error.ok_to_retry and undo.clean) from error
        except AnswerLost as error:
            raise errors.VMCreationFailed(self._told(request, error)) from error
        except (Refused, Passing) as error:
            raise errors.CloudError(self._told(request, error)) from error

    def _make(self, request: VmRequest, wish: VmWish, undo: Undo) -> Vm:
        flavors = Flavors(self._client).named(wish.properties.flavors)
        zones = placement.zones(
            wish.properties,
            self._disk_zones(request.disk_cids),
            ignore_server_zone=self._settings.ignore_server_availability_zone,
        )
        floating_ip = self._floating_ip(wish)
        group = self._own_group(wish)
        if request.token:
            self._ports.remove_unused(wish.wired.nics, wish.name)
        ports = self._make_ports(wish, undo)
        server = self._launch(wish, [(flavor, zone) for flavor in flavors for zone in zones], ports, group, undo)
        return self._finish(server, ports, wish, floating_ip, undo)

    def _finish(self, server: Document, ports: list[Document], wish: VmWish, floating_ip: Document | None, undo: Undo) -> Vm:
        """What follows once the server runs. All of it can be done again."""
        for port in ports:
            self._ports.mark(port, server["id"])
        ports = [self._addressed(port) for port in ports]
        if floating_ip is not None:
            self._floating_ips.move(floating_ip, ports[0])
        joined = self._balancing.join(wish.properties.loadbalancer_pools, wish.name, fixed_addresses(ports[0])[0], undo)
        if joined:
            self._vms.add_metadata(VmCid(server["id"]), joined)
        return Vm(VmCid(server["id"]), resolved_networks(wish.networks, wish.wired, ports))

    def _addressed(self, port: Document) -> Document:
        """The port once it has an address: that of a dynamic network may come when the VM runs."""

        def look() -> Document | Pending:
            now = self._ports.addressed(port)
            return now if now.get("fixed_ips") else Pending(now)

        what = f"create_vm: the port {port['id']} has no address"
        return port if port.get("fixed_ips") else self._waits.until(what, look)

    def _launch(
        self,
        wish: VmWish,
        places: Sequence[tuple[Document, str | None]],
        ports: list[Document],
        group: str | None,
        undo: Undo,
    ) -> Document:
        """In the first flavour and zone that has room. Raises VMCreationFailed with what was said of each."""
        said: list[str] = []
        may_pass = False
        for flavor, zone in places:
            body = wish.body(flavor, zone, ports, self._settings)
            try:
                return self._launching.launch(body, group, wish, undo)
            except NoRoom as error:
                said.append(f"{flavor['name']} in {zone or 'any zone'}: {error}")
                may_pass = may_pass or error.may_pass
        raise errors.VMCreationFailed("; ".join(said), ok_to_retry=may_pass)

    def _make_ports(self, wish: VmWish, undo: Undo) -> list[Document]:
        of_networks = tuple(dict.fromkeys(name for nic in wish.wired.nics for name in nic.security_groups))
        names = wish.properties.security_groups or of_networks or self._settings.default_security_groups
        ids = SecurityGroups(self._client).ids(names) if names else {}
        groups = [ids[name] for name in names]
        return [self._ports.make(nic, wish.name, groups, wish.properties, undo, self._context) for nic in wish.wired.nics]

    def _floating_ip(self, wish: VmWish) -> Document | None:
        return self._floating_ips.find(wish.wired.floating) if wish.wired.floating else None

    def _own_group(self, wish: VmWish) -> str | None:
        if not self._settings.anti_affinity_per_instance_group or "group" in wish.properties.scheduler_hints:
            return None
        return server_groups.ServerGroups(self._client).for_instance_group(wish.env)

    def _disk_zones(self, disk_cids: Sequence[DiskCid]) -> dict[str, str]:
        return {cid: self._volumes.existing(cid)["availability_zone"] for cid in disk_cids}

    def _told(self, request: VmRequest, error: errors.Error) -> str:
        return f"no VM from the stemcell {request.stemcell_cid}: {error.message}"
