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


class WantedVm(msgspec.Struct, frozen=True):
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
        wanted = WantedVm(
            request,
            naming.name_of("vm", request.token),
            read_cloud_properties(VmProperties, request.cloud_properties, strict=self._strict),
            wiring(request.networks, strict=self._strict),
        )
        for network in wanted.properties.routes:
            if network not in request.networks:
                raise errors.CpiError(f"routes: the VM has no network {network!r}")
        self._user_data(wanted, "", request.networks)  # too much of it is refused before anything is asked
        with private_files.one_at_a_time(self._client.folder, "cloudstack-call", request.token):
            return self._found(wanted) or self._made(wanted)

    def _found(self, wanted: WantedVm) -> Vm | None:
        """What a call with the same token has made. What it could not finish is removed; what it finished never is."""
        vm = self._inventory.vm(wanted.name) if wanted.request.token else None
        if vm is None:
            return None
        if EPHEMERAL in tags.of(vm):
            if vm["state"] == "Stopped":
                self._vms.reboot(VmCid(wanted.name))
            kept = Undo()  # never rolled back: what was finished stays, rules that were joined too
            return self._finished(wanted, self._launching.running(wanted.name), kept, has_ephemeral_disk=True)
        if vm["state"] in _USABLE:
            try:
                with Undo() as undo:
                    return self._finished(wanted, self._launching.running(wanted.name), undo, has_ephemeral_disk=True)
            except errors.CloudError as error:
                _log.warning("the VM %s cannot be finished: %s", wanted.name, error)
        _log.warning("the VM %s of an earlier call with this token is removed", wanted.name)
        self._vms.delete(wanted.name)
        return None

    def _made(self, wanted: WantedVm) -> Vm:
        undo, stemcell = Undo(), wanted.request.stemcell_cid
        group: str | None = None
        try:
            with undo:
                parameters = self._parameters(wanted)
                group = parameters.get("affinitygroupnames")
                return self._make(wanted, parameters, undo)
        except (NoCapacity, Failed) as error:
            told = refused(group, error) if isinstance(error, NoCapacity) else error.message
            raise errors.VMCreationFailed(f"no VM from the stemcell {stemcell}: {told}", ok_to_retry=undo.clean) from error
        except (AddressTaken, QuotaReached, AnswerLost, Overdue) as error:
            raise errors.VMCreationFailed(f"no VM from the stemcell {stemcell}: {error.message}") from error

    def _make(self, wanted: WantedVm, parameters: dict[str, Any], undo: Undo) -> Vm:
        undo.push(f"VM {wanted.name}", lambda: self._vms.delete(wanted.name))
        vm = self._launching.launch(wanted.name, parameters)
        if len(wanted.wired.nics) > 1:
            # The agent tells NICs apart by their MACs, which are known only now.
            told = self._user_data(wanted, str(vm["hypervisor"]), resolved_networks(wanted.request.networks, wanted.wired, vm))
            self._client.call("updateVirtualMachine", idempotent=True, id=vm["id"], userdata=told)
            self._vms.start(vm, f"create_vm: VM {wanted.name}", "create_vm")
        return self._finished(wanted, vm, undo, has_ephemeral_disk="diskofferingid" in parameters)

    def _finished(self, wanted: WantedVm, vm: Document, undo: Undo, *, has_ephemeral_disk: bool) -> Vm:
        """What a running VM still lacks: tags, rules, an address."""
        told = dict(self._balancing.join(wanted.properties.lbs, vm, undo))
        if wanted.wired.vip:
            self._balancing.lead_here(wanted.wired.vip, vm)
        if EPHEMERAL not in tags.of(vm):
            told[EPHEMERAL] = " ".join(self._born_with(vm) if has_ephemeral_disk else ()) or "none"
        bosh = ((wanted.request.env or {}).get("bosh") or {}).get("tags")
        given = bosh if isinstance(bosh, Mapping) else {}
        tags.add(self._client, "UserVm", vm, naming.initial_tags(self._context, wanted.request.token, {**given, **told}))
        return Vm(VmCid(wanted.name), resolved_networks(wanted.request.networks, wanted.wired, vm))

    def _born_with(self, vm: Document) -> list[str]:
        return [str(disk["id"]) for disk in self._inventory.data_disks(vm) if naming.is_ephemeral(str(disk["name"]))]

    def _parameters(self, wanted: WantedVm) -> dict[str, Any]:
        properties, settings = wanted.properties, self._settings
        zone = properties.zone or settings.default_zone
        zone_id, basic = self._inventory.zone_id(zone), self._inventory.is_basic(zone)
        self._check_disks(wanted.request.disk_cids, zone_id, zone)
        template = template_of(self._client, self._inventory, wanted.request.stemcell_cid, zone_id, zone)
        placed = as_parameters(self._client, self._inventory, wanted.wired, zone_id, basic=basic)
        ephemeral = self._offerings.ephemeral(properties)
        groups = properties.security_groups or wanted.wired.security_groups or settings.default_security_groups
        return {
            "name": wanted.name,
            "zoneid": zone_id,
            "templateid": template["id"],
            **self._offerings.compute(properties),
            **ephemeral,
            **placed,
            "rootdisksize": gib_from_mib(MiB(properties.root_disk_size)) if properties.root_disk_size else None,
            "keypair": properties.key_name or settings.default_key_name,
            "securitygroupnames": list(groups) if basic else None,
            "affinitygroupnames": self._groups.of(properties, wanted.request.env),
            "startvm": None if len(wanted.wired.nics) == 1 else False,
            "userdata": self._user_data(wanted, str(template["hypervisor"]), wanted.request.networks),
            **self._inventory.scope,
        }

    def _user_data(self, wanted: WantedVm, hypervisor: str, networks: Networks) -> str:
        settings = agent_settings.document(
            wanted.request.agent_id,
            wanted.name,
            networks,
            wanted.request.env,
            self._defaults,
            hypervisor=hypervisor,
            has_ephemeral_disk=bool(wanted.properties.disk or wanted.properties.ephemeral_disk_offering),
            routes=wanted.properties.routes,
        )
        return agent_settings.encoded(settings)

    def _check_disks(self, disk_cids: Sequence[DiskCid], zone_id: str, zone: str) -> None:
        for cid in disk_cids:
            disk = self._inventory.existing_disk(cid)
            if disk["zoneid"] != zone_id:
                raise errors.CloudError(
                    f"the disk {cid} lies in the zone {disk.get('zonename')}, not in {zone}: the VM could not have it"
                )
