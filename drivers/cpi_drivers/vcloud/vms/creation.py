"""create_vm as one transaction: a VM with its disks, its CD and its settings, or nothing."""

import logging
from collections.abc import Mapping
from typing import Final

import msgspec

from cpi.contract import errors
from cpi.contract.ids import VmCid
from cpi.contract.model import CloudConfig, Env, Vm
from cpi.kit import private_files
from cpi.kit.failures import AnswerLost
from cpi.kit.settings import read_cloud_properties
from cpi.kit.tagging import TOKEN
from cpi.kit.undo import Undo
from cpi.kit.vm_request import VmRequest
from cpi.kit.waiting import Overdue, late
from cpi_drivers.vcloud import naming, tags
from cpi_drivers.vcloud.api import documents, hardware
from cpi_drivers.vcloud.api.client import Client
from cpi_drivers.vcloud.api.documents import Element, make, ovf
from cpi_drivers.vcloud.api.errors import AddressTaken, Failed, NameTaken, NoCapacity, QuotaReached
from cpi_drivers.vcloud.api.inventory import Inventory
from cpi_drivers.vcloud.networks.requested import Nic, resolved_networks, wiring
from cpi_drivers.vcloud.properties import VmProperties
from cpi_drivers.vcloud.settings import ANY, VcloudSettings
from cpi_drivers.vcloud.stemcells.lifecycle import Stemcells
from cpi_drivers.vcloud.vms import agent_settings, launch
from cpi_drivers.vcloud.vms.agent_settings import Discs
from cpi_drivers.vcloud.vms.launch import Place
from cpi_drivers.vcloud.vms.lifecycle import Vms

_VM: Final = "vcloud.vm"
_PRODUCTS: Final = "vcloud.productSections"

_log = logging.getLogger(__name__)


class WantedVm(msgspec.Struct, frozen=True):
    """A request, read."""

    request: VmRequest
    name: str
    vapp: str
    """The name of the VM's vApp: its own, unless it is shared."""

    properties: VmProperties
    nics: tuple[Nic, ...]


class VmCreation:
    """From a request to a VM."""

    def __init__(
        self,
        client: Client,
        settings: VcloudSettings,
        inventory: Inventory,
        vms: Vms,
        discs: Discs,
        stemcells: Stemcells,
        config: CloudConfig,
    ) -> None:
        self._client = client
        self._entities = settings.entities
        self._inventory = inventory
        self._vms = vms
        self._discs = discs
        self._stemcells = stemcells
        self._defaults = config.agent
        self._context = config.context
        self._strict = config.strict_properties

    def create(self, request: VmRequest) -> Vm:
        """The VM, running, with its addresses."""
        name = naming.name_of("vm", request.token) if request.token else str(request.agent_id)
        properties = read_cloud_properties(VmProperties, request.cloud_properties, strict=self._strict)
        shared = (request.env or {}).get("vapp") or properties.vapp
        wanted = WantedVm(request, name, str(shared or name), properties, wiring(request.networks, strict=self._strict))
        with private_files.one_at_a_time(self._client.folder, "vcloud-call", request.token):
            return self._found(wanted) or self._made(wanted)

    def _found(self, wanted: WantedVm) -> Vm | None:
        """What a call with the same token has made. What it could not finish is removed; what it finished never is."""
        vapp = self._inventory.vapp(wanted.vapp) if wanted.request.token else None
        if vapp is None:
            return None
        vm = launch.child(vapp, wanted.name)
        if vm is not None:
            is_on = vm.get("status") == hardware.POWERED_ON
            if is_on or tags.of(self._client, str(vm.get("href"))).get(TOKEN) == wanted.request.token:
                return self._started(wanted, vm, is_on=is_on)
        if vm is not None or wanted.vapp == wanted.name:
            _log.warning("the VM %s of an earlier call with this token is removed", wanted.name)
            self._vms.delete_made(wanted.vapp, wanted.name)
        return None

    def _made(self, wanted: WantedVm) -> Vm:
        undo, stemcell = Undo(), wanted.request.stemcell_cid
        try:
            with undo:
                return self._make(wanted, undo)
        except (NoCapacity, Failed) as error:
            raise errors.VMCreationFailed(
                f"no VM from the stemcell {stemcell}: {error.message}", ok_to_retry=undo.clean
            ) from error
        except (AddressTaken, QuotaReached, AnswerLost, Overdue) as error:
            raise errors.VMCreationFailed(f"no VM from the stemcell {stemcell}: {error.message}") from error

    def _make(self, wanted: WantedVm, undo: Undo) -> Vm:
        place = self._place(wanted)
        source = self._stemcells.source(wanted.request.stemcell_cid)
        vapp = self._composed(wanted, source, place, undo)
        vm = launch.child(vapp, wanted.name)
        if vm is None:
            raise errors.CloudError(f"create_vm: the vApp {wanted.vapp} was made and has no VM {wanted.name}")
        units = self._size(wanted, vm)
        networks = resolved_networks(wanted.request.networks, wanted.nics, vm)
        request = wanted.request
        settings = agent_settings.document(request.agent_id, vm, networks, request.env, self._defaults, units)
        href, what = str(vm.get("href")), f"create_vm: VM {wanted.name}"
        self._client.put(
            f"{href}/productSections", f"{what}: guest properties", agent_settings.with_property(vm, settings), _PRODUCTS
        )
        self._discs.insert(vm, settings)
        tags.add(
            self._client, href, naming.initial_tags(self._context, request.token, self._tags(request.env)), f"{what}: metadata"
        )
        return self._started(wanted, vm, is_on=False)

    def _started(self, wanted: WantedVm, vm: Element, *, is_on: bool) -> Vm:
        cid = VmCid(vm.get("id"))
        if not is_on:
            self._vms.switch_on(str(vm.get("href")), cid, f"create_vm: VM {wanted.name}")
        if any(nic.mode == "DHCP" for nic in wanted.nics):
            vm = self._client.get(str(vm.get("href")))
        return Vm(cid, resolved_networks(wanted.request.networks, wanted.nics, vm))

    # ------------------------------------------------------------------

    def _composed(self, wanted: WantedVm, source: Element, place: Place, undo: Undo) -> Element:
        """The vApp once the VM is in it."""
        request = wanted.request
        item = launch.item(source, wanted.name, wanted.nics, wanted.properties, place, self._entities.description)
        shared = self._inventory.vapp(wanted.vapp) if wanted.vapp != wanted.name else None
        if wanted.vapp != wanted.name and shared is None:
            raise errors.CloudError(f"the vApp {wanted.vapp!r} is not in the vDC: it has to be there before VMs share it")
        body = launch.params(wanted.vapp, item, place, shared, self._entities.description)
        ours = {wanted.name}
        undo.push(f"VM {wanted.name}", lambda: self._withdraw(wanted, ours))
        where = (
            f"{shared.get('href')}/action/recomposeVApp"
            if shared is not None
            else f"{self._inventory.vdc_href}/action/composeVApp"
        )
        what = f"create_vm: VM {wanted.name} from the stemcell {request.stemcell_cid}"
        try:
            made = self._client.made(where, body, launch.kind(shared))
            self._client.finished(made, what)
        except AnswerLost:
            return self._settled(wanted, what)
        except NameTaken:
            ours.clear()  # what has the name is somebody else's
            raise
        return self._client.get(str((made if shared is None else shared).get("href")))

    def _withdraw(self, wanted: WantedVm, ours: set[str]) -> None:
        if wanted.name in ours:
            self._vms.delete_made(wanted.vapp, wanted.name)

    def _settled(self, wanted: WantedVm, what: str) -> Element:
        """The vApp in which a call without an answer made the VM; AnswerLost once more if it made none."""
        vapp = late(lambda: self._begun(wanted))
        if vapp is None:
            raise AnswerLost(f"{what}: no answer came, and the vApp {wanted.vapp} has no VM of that name")
        self._client.finished(vapp, what)
        return self._client.get(str(vapp.get("href")))

    def _begun(self, wanted: WantedVm) -> Element | None:
        """The VM's own vApp; a shared one once something is done to it."""
        vapp = self._inventory.vapp(wanted.vapp)
        if vapp is None or wanted.vapp == wanted.name:
            return vapp
        is_begun = launch.child(vapp, wanted.name) is not None or documents.one(vapp, "Tasks/Task") is not None
        return vapp if is_begun else None

    def _place(self, wanted: WantedVm) -> Place:
        """What the cloud has of what is requested. Raises CloudError for what it has not."""
        properties, vdc = wanted.properties, self._inventory.vdc()
        parents = [self._inventory.network(vdc, nic.network) for nic in wanted.nics]
        disks = [self._inventory.existing_disk(cid) for cid in wanted.request.disk_cids]
        profile = properties.storage_profile or self._entities.vapp_storage_profile
        return Place(
            parents=parents,
            profile=self._inventory.storage_profile(vdc, profile) if profile != ANY else None,
            disk=disks[0] if disks else None,
            sizing=self._policy(properties.sizing_policy, "sizing_policy"),
            placement=self._policy(properties.placement_policy, "placement_policy"),
        )

    def _policy(self, name: str | None, key: str) -> Element | None:
        if name is None:
            return None
        present = self._inventory.compute_policies()
        found = next((one for one in present if one.get("name") == name), None)
        if found is None:
            known = ", ".join(sorted(str(one.get("name")) for one in present)) or "none"
            raise errors.CloudError(f"{key}: the vDC has no policy {name!r}; known: {known}")
        return found

    def _size(self, wanted: WantedVm, vm: Element) -> tuple[str, str]:
        """CPUs, memory and the ephemeral disk; and nobody but the agent configures the guest. Answers the units of its disks."""
        properties = wanted.properties
        section, unit = hardware.resized(vm, properties.cpu, properties.cores_per_socket, properties.ram, properties.disk)
        quiet = make("GuestCustomizationSection", ovf("Info", "the agent does it"), make("Enabled", "false"))
        body = make("Vm", section, quiet, name=wanted.name)
        what, href = f"create_vm: the hardware of the VM {wanted.name}", str(vm.get("href"))
        self._client.run_unless(
            f"{href}/action/reconfigureVm",
            what,
            lambda: bool(unit) and hardware.has_own_disk(self._client.get(href), unit),  # the same once more finds it taken
            body,
            _VM,
        )
        return hardware.unit_of(hardware.disks(vm)[0]), unit

    def _tags(self, env: Env | None) -> dict[str, str]:
        own = {self._entities.vm_metadata_key: self._entities.description} if self._entities.vm_metadata_key else {}
        bosh = ((env or {}).get("bosh") or {}).get("tags")
        return naming.cut({**own, **(bosh if isinstance(bosh, Mapping) else {})})
