"""create_vm: from a stemcell, networks and env to a VM that runs, or to nothing."""

import json
import sqlite3
from collections.abc import Callable, Mapping

import msgspec

from cpi.contract import errors
from cpi.contract.encoding import to_plain
from cpi.contract.ids import VmCid
from cpi.contract.model import AgentDefaults, Network, Vm
from cpi.kit.settings import read_cloud_properties
from cpi.kit.vm_request import VmRequest
from cpi_drivers.local.host import agent_documents
from cpi_drivers.local.host import metadata as metadata_of
from cpi_drivers.local.host.copying import copy
from cpi_drivers.local.host.layout import make_folder
from cpi_drivers.local.host.register import Register, missing, refuse_taken_token
from cpi_drivers.local.host.vm_process import VmProcess
from cpi_drivers.local.networks.addresses import Endpoint, reserve
from cpi_drivers.local.settings import AgentProgram, VmProperties
from cpi_drivers.local.vms.agent_settings import AgentIdentity, launch_document, mapping


class VmMaker:
    """Makes VMs of one local cloud. isolated tells whether they can have mounts of their own."""

    def __init__(
        self, register: Register, program: AgentProgram, defaults: AgentDefaults, isolated: Callable[[], bool], *, strict: bool
    ) -> None:
        self._register = register
        self._program = program
        self._defaults = defaults
        self._isolated = isolated
        self._strict = strict

    def create(self, request: VmRequest) -> Vm:
        """As in the contract."""
        cid = self._register.once("vms", request.token, lambda: self._make(request))
        networks = json.loads(self._register.get("vms", cid)["networks"])
        return Vm(VmCid(cid), {name: Network.from_document(document) for name, document in networks.items()})

    def _make(self, request: VmRequest) -> str:
        columns = self._columns(request)
        with self._register.making("vms", columns, lambda database, cid: _recorded(database, cid, request)) as cid:
            self._prepare(cid, request)
            try:
                VmProcess(self._register.layout.vm(cid)).start()
            except errors.CloudError as error:
                by = f" (agent.command: {self._program.command[0]})" if self._program.command else ""
                raise errors.VMCreationFailed(f"{error.message}{by}", ok_to_retry=True) from error
        return cid

    def _columns(self, request: VmRequest) -> Mapping[str, object]:
        wanted = read_cloud_properties(VmProperties, request.cloud_properties, strict=self._strict)
        tags = mapping(mapping((request.env or {}).get("bosh"), "env.bosh").get("tags"), "env.bosh.tags")
        return {
            "agent_id": str(request.agent_id),
            "properties": json.dumps(msgspec.to_builtins(wanted)),
            "metadata": json.dumps(metadata_of.as_strings(tags)),
        }

    def _prepare(self, cid: str, request: VmRequest) -> None:
        row = self._register.state.rows("SELECT * FROM vms WHERE cid = :cid", {"cid": cid})[0]
        networks = {name: Network.from_document(document) for name, document in json.loads(row["networks"]).items()}
        identity = AgentIdentity(self._register.layout, self._defaults, own_agent=not self._program.command)
        settings = identity.settings(request.agent_id, cid, networks, request.env or {}, Endpoint(row["address"], row["port"]))
        folder, stemcell = self._register.layout.vm(cid), self._register.layout.stemcell(request.stemcell_cid)
        isolated = self._isolated()
        make_folder(folder)
        if isolated:
            make_folder(folder / "root")
        else:
            copy(stemcell, folder / "root")
        path = agent_documents.settings_path(folder)
        agent_documents.write(path, settings)
        command = self._program.filled(str(folder), str(path), str(request.agent_id))
        agent_documents.write(folder / "launch.json", launch_document(stemcell, command, isolated=isolated))


def _recorded(database: sqlite3.Connection, cid: str, request: VmRequest) -> Mapping[str, object]:
    token = refuse_taken_token(database, "vms", request.token)
    if not _exists(database, "stemcells", request.stemcell_cid):
        raise missing("stemcells", request.stemcell_cid)
    for disk_cid in request.disk_cids:
        if not _exists(database, "disks", disk_cid):
            raise missing("disks", disk_cid)
    endpoint, networks = reserve(database, cid, request.networks)
    documents = {name: to_plain(network.to_document()) for name, network in networks.items()}
    return {
        **token,
        "stemcell_cid": str(request.stemcell_cid),
        "address": endpoint.address,
        "port": endpoint.port,
        "networks": json.dumps(documents),
    }


def _exists(database: sqlite3.Connection, kind: str, cid: str) -> bool:
    return bool(database.execute(f"SELECT 1 FROM {kind} WHERE cid = ? AND state = 'ready'", (cid,)).fetchone())  # noqa: S608 - a Kind
