"""create_vm as one transaction: a VM with its disks, rules and addresses, or nothing."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import AgentDefaults, CallContext, Networks, Vm
from cpi.contract.units import MiB, gib_from_mib
from cpi.kit import private_files
from cpi.kit.failures import AnswerLost
from cpi.kit.settings import read_cloud_properties
from cpi.kit.undo import Undo
from cpi.kit.vm_request import VmRequest
from cpi.kit.waiting import Overdue
from cpi_drivers.cloudstack import naming, tags
from cpi_drivers.cloudstack.api.client import Client, Document
from cpi_drivers.cloudstack.api.errors import AddressTaken, Failed, NoCapacity, QuotaReached
from cpi_drivers.cloudstack.api.inventory import Inventory
from cpi_drivers.cloudstack.api.offerings import Offerings
from cpi_drivers.cloudstack.disks.attachments import EPHEMERAL
from cpi_drivers.cloudstack.networks.requested import Wiring, as_parameters, resolved_networks, wiring
from cpi_drivers.cloudstack.properties import VmProperties
from cpi_drivers.cloudstack.settings import CloudStackSettings
from cpi_drivers.cloudstack.stemcells.lifecycle import template_of
from cpi_drivers.cloudstack.vms import agent_settings
from cpi_drivers.cloudstack.vms.affinity import AffinityGroups, refused
from cpi_drivers.cloudstack.vms.balancing import Balancing
from cpi_drivers.cloudstack.vms.launch import Launching
from cpi_drivers.cloudstack.vms.lifecycle import Vms

_USABLE: Final = frozenset({"Running", "Starting"})

_log = logging.getLogger(__name__)


class Wish(msgspec.Struct, frozen=True):
    """A request, read."""

    request: VmRequest
    name: str
    properties: VmProperties
    wired: Wiring


class VmCreation:
    """From a request to a VM."""

    def __init__(
        self,
        client: Client,
        settings: CloudStackSettings,
        inventory: Inventory,
        vms: Vms,
        defaults: AgentDefaults,
        context: CallContext,
        *,
        strict: bool,
    ) -> None:
        self._client = client
        self._settings = settings
        self._inventory = inventory
        self._vms = vms
        self._defaults = defaults
        self._context = context
        self._strict = strict
        self._offerings = Offerings(client, settings, inventory)
        self._groups = AffinityGroups(client, settings, inventory, context)
        self._balancing = Balancing(client, inventory)
        self._launching = Launching(client, inventory)

    def create(self, request: VmRequest) -> Vm:
        """The VM, running, with its addresses."""
        wish = Wish(
            request,
            naming.name_of("vm", request.token),
            read_cloud_properties(VmProperties, request.cloud_properties, strict=self._strict),
            wiring(request.networks, strict=self._strict),
        )
        for network in wish.properties.routes:
            if network not in request.networks:
                raise errors.CpiError(f"routes: the VM has no network {network!r}")
        self._user_data(wish, "", request.networks)  # too much of it is told before anything is asked
        with private_files.one_at_a_time(self._client.folder, "cloudstack-call", request.token):
            return self._found(wish) or self._made(wish)

    def _found(self, wish: Wish) -> Vm | None:
        """What a call with the same token has made. What it could not finish is removed; what it finished never is."""
        vm = self._inventory.vm(wish.name) if wish.request.token else None
        if vm is None:
            return None
        if EPHEMERAL in tags.of(vm):
            if vm["state"] == "Stopped":
                self._vms.reboot(VmCid(wish.name))
            kept = Undo()  # never rolled back: what was finished stays, rules that were joined too
            return self._finished(wish, self._launching.running(wish.name), kept, has_ephemeral_disk=True)
        if vm["state"] in _USABLE:
            try:
                with Undo() as undo:
                    return self._finished(wish, self._launching.running(wish.name), undo, has_ephemeral_disk=True)
            except errors.CloudError as error:
                _log.warning("the VM %s cannot be finished: %s", wish.name, error)
        _log.warning("the VM %s of an earlier call with this token is removed", wish.name)
        self._vms.delete(wish.name)
        return None

    def _made(self, wish: Wish) -> Vm:
        undo, stemcell = Undo(), wish.request.stemcell_cid
        group: str | None = None
        try:
            with undo:
                parameters = self._parameters(wish)
                group = parameters.get("affinitygroupnames")
                return self._make(wish, parameters, undo)
        except (NoCapacity, Failed) as error:
            told = refused(group, error) if isinstance(error, NoCapacity) else error.message
            raise errors.VMCreationFailed(f"no VM from the stemcell {stemcell}: {told}", ok_to_retry=undo.clean) from error
        except (AddressTaken, QuotaReached, AnswerLost, Overdue) as error:
            raise errors.VMCreationFailed(f"no VM from the stemcell {stemcell}: {error.message}") from error

    def _make(self, wish: Wish, parameters: dict[str, Any], undo: Undo) -> Vm:
        undo.push(f"VM {wish.name}", lambda: self._vms.delete(wish.name))
        vm = self._launching.launch(wish.name, parameters)
        if len(wish.wired.nics) > 1:
            # The agent tells NICs apart by their MACs, which are known only now.
            told = self._user_data(wish, str(vm["hypervisor"]), resolved_networks(wish.request.networks, wish.wired, vm))
            self._client.call("updateVirtualMachine", idempotent=True, id=vm["id"], userdata=told)
            self._vms.start(vm, f"create_vm: VM {wish.name}", "create_vm")
        return self._finished(wish, vm, undo, has_ephemeral_disk="diskofferingid" in parameters)

    def _finished(self, wish: Wish, vm: Document, undo: Undo, *, has_ephemeral_disk: bool) -> Vm:
        """What a running VM still lacks: tags, rules, an address."""
        told = dict(self._balancing.join(wish.properties.lbs, vm, undo))
        if wish.wired.vip:
            self._balancing.lead_here(wish.wired.vip, vm)
        if EPHEMERAL not in tags.of(vm):
            told[EPHEMERAL] = " ".join(self._born_with(vm) if has_ephemeral_disk else ()) or "none"
        bosh = ((wish.request.env or {}).get("bosh") or {}).get("tags")
        given = bosh if isinstance(bosh, Mapping) else {}
        tags.add(self._client, "UserVm", vm, naming.initial_tags(self._context, wish.request.token, {**given, **told}))
        return Vm(VmCid(wish.name), resolved_networks(wish.request.networks, wish.wired, vm))

    def _born_with(self, vm: Document) -> list[str]:
        return [str(disk["id"]) for disk in self._inventory.data_disks(vm) if naming.is_ephemeral(str(disk["name"]))]

    def _parameters(self, wish: Wish) -> dict[str, Any]:
        properties, settings = wish.properties, self._settings
        zone = properties.zone or settings.default_zone
        zone_id, basic = self._inventory.zone_id(zone), self._inventory.is_basic(zone)
        self._check_disks(wish.request.disk_cids, zone_id, zone)
        template = template_of(self._client, self._inventory, wish.request.stemcell_cid, zone_id, zone)
        placed = as_parameters(self._client, self._inventory, wish.wired, zone_id, basic=basic)
        ephemeral = self._offerings.ephemeral(properties)
        groups = properties.security_groups or wish.wired.security_groups or settings.default_security_groups
        return {
            "name": wish.name,
            "zoneid": zone_id,
            "templateid": template["id"],
            **self._offerings.compute(properties),
            **ephemeral,
            **placed,
            "rootdisksize": gib_from_mib(MiB(properties.root_disk_size)) if properties.root_disk_size else None,
            "keypair": properties.key_name or settings.default_key_name,
            "securitygroupnames": list(groups) if basic else None,
            "affinitygroupnames": self._groups.of(properties, wish.request.env),
            "startvm": None if len(wish.wired.nics) == 1 else False,
            "userdata": self._user_data(wish, str(template["hypervisor"]), wish.request.networks),
            **self._inventory.scope,
        }

    def _user_data(self, wish: Wish, hypervisor: str, networks: Networks) -> str:
        settings = agent_settings.document(
            wish.request.agent_id,
            wish.name,
            networks,
            wish.request.env,
            self._defaults,
            hypervisor=hypervisor,
            has_ephemeral_disk=bool(wish.properties.disk or wish.properties.ephemeral_disk_offering),
            routes=wish.properties.routes,
        )
        return agent_settings.encoded(settings)

    def _check_disks(self, disk_cids: Sequence[DiskCid], zone_id: str, zone: str) -> None:
        for cid in disk_cids:
            disk = self._inventory.existing_disk(cid)
            if disk["zoneid"] != zone_id:
                raise errors.CloudError(
                    f"the disk {cid} lies in the zone {disk.get('zonename')}, not in {zone}: the VM could not have it"
                )
