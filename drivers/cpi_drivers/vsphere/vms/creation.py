"""create_vm as one transaction: whatever fails, what was made is removed."""

import logging
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import AgentDefaults, CallContext, Vm
from cpi.kit import private_files
from cpi.kit.settings import read_cloud_properties
from cpi.kit.tagging import TOKEN, birth_tags
from cpi.kit.undo import Undo
from cpi.kit.vm_request import VmRequest
from cpi.kit.waiting import wait_until
from cpi_drivers.vsphere import naming
from cpi_drivers.vsphere.api import devices, inventory, placement, policies
from cpi_drivers.vsphere.api.attributes import Attributes
from cpi_drivers.vsphere.api.client import Reference, vim
from cpi_drivers.vsphere.api.datacenter import Site
from cpi_drivers.vsphere.api.datacenters import Sites
from cpi_drivers.vsphere.api.datastores import requested as choice_of
from cpi_drivers.vsphere.api.errors import AnswerLost, Refused, Unreached
from cpi_drivers.vsphere.api.files import Files
from cpi_drivers.vsphere.api.inventory import Net
from cpi_drivers.vsphere.api.placement import Need, Place
from cpi_drivers.vsphere.disks.lifecycle import Disks
from cpi_drivers.vsphere.networks import requested
from cpi_drivers.vsphere.networks.conflicts import refuse_taken
from cpi_drivers.vsphere.properties import VmProperties
from cpi_drivers.vsphere.settings import ClusterOptions, clusters_by_name
from cpi_drivers.vsphere.stemcells.lifecycle import Stemcells
from cpi_drivers.vsphere.vms import agent_settings, device_groups, drs, launch, storage_drs, trust
from cpi_drivers.vsphere.vms.lifecycle import Vms, folder_of
from cpi_drivers.vsphere.vms.nsxt import memberships, memory
from cpi_drivers.vsphere.vms.tags import Tags

_log = logging.getLogger(__name__)

_NO_PLACE: Final = frozenset(
    {
        "GenericVmConfigFault",
        "InsufficientResourcesFault",
        "InsufficientCpuResourcesFault",
        "InsufficientMemoryResourcesFault",
        "InsufficientFailoverResourcesFault",
        "NoCompatibleHost",
        "NoDiskSpace",
        "InsufficientStorageSpace",
        "HostNotConnected",
    }
)
"""Faults after which another place is tried."""


class WantedVm(NamedTuple):
    """A request, read and looked up: what every attempt to fulfil it shares."""

    request: VmRequest
    site: Site
    name: str
    properties: VmProperties
    nets: Sequence[tuple[str, Net]]
    policy: str | None
    """The id of its storage policy."""

    joined: memory.Joined | None = None
    """What it joins in NSX."""


class VmCreation:
    """From a request to a VM."""

    def __init__(
        self,
        sites: Sites,
        disks: Disks,
        stemcells: Stemcells,
        vms: Vms,
        defaults: AgentDefaults,
        context: CallContext,
        *,
        strict: bool,
    ) -> None:
        self._sites = sites
        self._disks = disks
        self._stemcells = stemcells
        self._vms = vms
        self._defaults = defaults
        self._context = context
        self._strict = strict

    def create(self, request: VmRequest) -> Vm:
        """The VM, running."""
        properties = read_cloud_properties(VmProperties, request.cloud_properties, strict=self._strict)
        site = self._sites.named(properties.datacenters[0].name if properties.datacenters else None)
        name = naming.name_of("vm", request.token)
        if _requested(properties.enable_human_readable_name, default=site.vcenter.enable_human_readable_name):
            name = naming.readable_name(request.env, name)
        with private_files.one_at_a_time(site.client.folder, "vsphere-token", request.token):
            if request.token and self._is_made(site, name):
                return Vm(VmCid(name), request.networks)
            return self._made(request, site, name, properties)

    def _is_made(self, site: Site, name: str) -> bool:
        """Whether a call with the same token has made it; what it could not finish is removed."""
        vm = site.vm(name)
        if vm is None:
            return False
        seen = site.client.read([vm], {vim.VirtualMachine: ("runtime.powerState", "config.extraConfig")}).get(vm, {})
        if seen.get("runtime.powerState") == "poweredOn":
            memberships.settle(site, vm, memory.remembered(seen.get("config.extraConfig") or ()))
            return True
        _log.warning("the VM %s of an earlier call with this token is not running, and is removed", name)
        self._vms.delete(VmCid(name))
        return False

    def _made(self, request: VmRequest, site: Site, name: str, properties: VmProperties) -> Vm:
        self._stemcells.source(request.stemcell_cid, site)
        disks = self._persistent(request.disk_cids)
        clusters = _clusters(site, properties)
        groups = any(options.hosts for options in clusters.values())
        seen = inventory.look(site, with_groups=groups, with_devices=properties.has_devices)
        nets = requested.wired(request.networks, seen, strict=self._strict)
        refuse_taken(site, request.networks, [each for _, net in nets for each in (net, *net.twins)])
        pci, vgpus = frozenset(one.numbers for one in properties.pci_passthroughs), frozenset(properties.vgpus)
        need = Need(properties.ram, properties.disk, tuple(net for _, net in nets), disks, pci, vgpus)
        choice = choice_of(properties.datastores) if properties.datastores else site.vm_stores
        policy = properties.storage_policy.name if properties.storage_policy else site.vcenter.vm_storage_policy_name
        profile = policies.find(site.client, policy) if policy else None
        if profile:
            seen = msgspec.structs.replace(seen, stores=tuple(policies.fitting(site.client, profile, choice.of(seen.stores))))
        wanted_vm = WantedVm(
            request, site, name, properties, nets, profile, memberships.wanted(site, properties.nsxt, request.networks)
        )
        said: list[str] = []
        for place in storage_drs.advised(site, placement.places(seen, clusters, choice, need), need, name):
            try:
                return self._attempt(wanted_vm._replace(nets=[(name, net.on(place.cluster)) for name, net in nets]), place)
            except _NoPlace as error:
                said.append(f"{place.cluster.name} on {place.store.name}: {error}")
        raise errors.VMCreationFailed(f"no VM from the stemcell {request.stemcell_cid}: {'; '.join(said)}", ok_to_retry=True)

    def _persistent(self, disk_cids: Sequence[DiskCid]) -> dict[str, int]:
        """Bytes by the datastores that they are on. Raises DiskNotFound."""
        found = [self._disks.require(cid) for cid in disk_cids]
        return {store.id: sum(size for other, size in found if other.id == store.id) for store, _ in found}

    def _attempt(self, wanted_vm: WantedVm, place: Place) -> Vm:
        """Raises _NoPlace if another place may do and all was removed; VMCreationFailed; CpiError."""
        undo = Undo()
        try:
            with undo:
                self._make(wanted_vm, place, undo)
        except Refused as error:
            if error.fault in _NO_PLACE and undo.clean:
                raise _NoPlace(error.message) from error
            raise errors.VMCreationFailed(f"no VM {wanted_vm.name}: {error.message}") from error
        except Unreached as error:
            raise errors.VMCreationFailed(f"no VM {wanted_vm.name}: {error.message}", ok_to_retry=undo.clean) from error
        except AnswerLost as error:  # what was begun then may still appear
            raise errors.VMCreationFailed(f"no VM {wanted_vm.name}: {error.message}") from error
        return Vm(VmCid(wanted_vm.name), wanted_vm.request.networks)

    def _make(self, wanted_vm: WantedVm, place: Place, undo: Undo) -> None:
        site = wanted_vm.site
        template, seen = self._stemcells.on(wanted_vm.request.stemcell_cid, site, place)
        options = {f"multicpi.{key}": value for key, value in birth_tags(self._context, wanted_vm.request.token).items()}
        rules = _rules(wanted_vm, place)
        options.update(drs.memory(rules, place.cluster.reference))
        options.update(memory.memory(wanted_vm.joined))
        spec = launch.clone(wanted_vm.properties, site.vcenter, place, seen, wanted_vm.nets, options, wanted_vm.policy)
        if not device_groups.add(spec.config, site, place, wanted_vm.properties.device_groups):
            raise _NoPlace(f"it has not all of the device groups {', '.join(wanted_vm.properties.device_groups)}")
        folder = site.folder(site.vm_folder)
        cloning: list[Reference | None] = []
        undo.push(f"VM {wanted_vm.name}", lambda: self._withdraw(wanted_vm, cloning))
        vm = self._clone(wanted_vm, template, folder, spec, cloning)
        drs.join(site, place.cluster.reference, vm, rules)
        memberships.join(site, vm, wanted_vm.name, wanted_vm.joined, undo)
        present = self._tell(wanted_vm, vm)
        if wanted_vm.request.token:
            Attributes(site.client).set(vm, {TOKEN: wanted_vm.request.token})
        Tags(site.client, site.vcenter).put(vm, wanted_vm.properties.tags)
        newest = wanted_vm.properties.has_devices or _requested(
            wanted_vm.properties.upgrade_hw_version, default=site.vcenter.upgrade_hw_version
        )
        wanted = site.vcenter.default_hw_version or 0
        if newest or present < wanted:
            self._upgrade(site, vm, None if newest else f"vmx-{wanted}")
        trust.secure(site.client, vm, wanted_vm.name, wanted_vm.properties)
        self._vms.switch_on(site, vm)
        memberships.settle(site, vm, wanted_vm.joined)

    def _clone(
        self, wanted_vm: WantedVm, template: Reference, folder: Reference, spec: Any, cloning: list[Reference | None]
    ) -> Reference:
        """The VM. A start whose answer was lost is repeated: the vCenter takes a name once, so the first clone is found."""
        what, client, lost = f"cloning the VM {wanted_vm.name}", wanted_vm.site.client, False
        arguments = {"folder": folder, "name": naming.escaped(wanted_vm.name), "spec": spec}
        try:
            cloning.append(client.call(template, "CloneVM_Task", **arguments))
        except AnswerLost:
            _log.info("%s: the answer was lost, asked again", what)
            lost = True
            cloning.append(None)
            cloning.append(client.call(template, "CloneVM_Task", **arguments))
        try:
            return client.finished(cloning[-1], what)
        except Refused as error:
            if not lost or error.fault != "DuplicateName":
                raise
        return wait_until(lambda: wanted_vm.site.vm(wanted_vm.name), what, deadline_seconds=wanted_vm.site.vcenter.task_timeout)

    def _withdraw(self, wanted_vm: WantedVm, cloning: Sequence[Reference | None]) -> None:
        """A clone under way is no VM yet: it is waited for and removed. None stands for a start without an answer."""
        for task in filter(None, cloning):
            try:
                wanted_vm.site.client.finished(task, f"cloning the VM {wanted_vm.name}")
            except Refused as error:
                if error.fault == "DuplicateName" and None not in cloning:
                    return  # another process has made a VM of this name: it is not ours to remove
        self._vms.delete(VmCid(wanted_vm.name), has_joined=False)

    def _tell(self, wanted_vm: WantedVm, vm: Reference) -> int:
        """The agent's settings: MACs are known only now. Answers the hardware version, which is seen on the way."""
        client, files = wanted_vm.site.client, Files(wanted_vm.site.client, wanted_vm.site)
        seen = devices.look(client, vm, "config.version")
        found = seen["config.hardware.device"]
        networks = requested.with_macs(wanted_vm.request.networks, wanted_vm.nets, found)
        settings = agent_settings.document(
            wanted_vm.request.agent_id,
            wanted_vm.name,
            vm._moId,  # noqa: SLF001 - the id of an object has no public name in the SDK
            networks,
            wanted_vm.request.env,
            self._defaults,
            launch.units(found),
        )
        folder = folder_of(seen)
        if folder is None:
            raise errors.VMCreationFailed(
                f"the VM {wanted_vm.name} has no folder of its own: {seen.get('config.files.vmPathName')}"
            )
        store, _, path = folder.removeprefix("[").partition("] ")
        files.write(store, f"{path}/{agent_settings.PLAIN}", agent_settings.plain(settings))
        files.write(store, f"{path}/{agent_settings.ISO}", agent_settings.iso(settings))
        change = agent_settings.drive(found, f"{folder}/{agent_settings.ISO}")
        spec = vim.vm.ConfigSpec(deviceChange=[change], extraConfig=agent_settings.guestinfo(settings))
        client.done(
            vm, "ReconfigVM_Task", f"telling the VM {wanted_vm.name} its settings", if_lost=("InvalidDeviceSpec",), spec=spec
        )
        return int(str(seen.get("config.version") or "0").removeprefix("vmx-"))

    def _upgrade(self, site: Site, vm: Reference, version: str | None) -> None:
        try:
            site.client.done(
                vm, "UpgradeVM_Task", "upgrading the hardware version", if_lost=("AlreadyUpgraded",), version=version
            )
        except Refused as error:
            if error.fault != "AlreadyUpgraded":
                raise


class _NoPlace(errors.CloudError):
    """Not here, but perhaps elsewhere; nothing is left."""


def _clusters(site: Site, properties: VmProperties) -> dict[str, ClusterOptions]:
    asked = properties.datacenters[0].clusters if properties.datacenters else ()
    return clusters_by_name(asked) if asked else clusters_by_name(site.datacenter.clusters)


def _rules(wanted_vm: WantedVm, place: Place) -> drs.WantedVm:
    own = ((wanted_vm.request.env or {}).get("bosh") or {}).get("group")
    automatic = wanted_vm.site.vcenter.enable_auto_anti_affinity_drs_rules and own
    apart = [*(rule.name for rule in place.options.drs_rules), *([str(own)] if automatic else [])]
    properties = wanted_vm.properties
    return drs.WantedVm(properties.vm_group, tuple(apart), place.options.hosts, properties.disable_drs)


def _requested(own: bool | None, *, default: bool) -> bool:  # noqa: FBT001 - what a manifest says
    return default if own is None else own
