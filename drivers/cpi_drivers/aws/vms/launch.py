"""One attempt to launch a VM: its interfaces, RunInstances, and waiting until it runs."""

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from cpi.contract import errors as contract_errors
from cpi.contract.ids import VmCid
from cpi.kit.tagging import TOKEN
from cpi.kit.undo import Undo
from cpi_drivers.aws import tags
from cpi_drivers.aws.api import errors, inventory
from cpi_drivers.aws.api.account import Account
from cpi_drivers.aws.api.facts import RootDisk
from cpi_drivers.aws.networks.security_groups import group_ids
from cpi_drivers.aws.vms import lifecycle as vms
from cpi_drivers.aws.vms.interfaces import Made, make_interfaces, raise_unless_leaving
from cpi_drivers.aws.vms.launch_disks import launch_disks_of
from cpi_drivers.aws.vms.request import Candidate, WantedVm

_log = logging.getLogger(__name__)

Item = dict[str, Any]

_GENERATIONS: Final = 10


class KilledBefore(errors.Refused):
    """The client token led to a VM that was deleted before."""


def find_by_token(account: Account, token: str) -> tuple[Item | None, int]:
    """The living VM that was made with this token, and how many that were are dead."""
    found = inventory.items(account.client.call("DescribeInstances", Filters=[tags.with_tag(TOKEN, token)]))
    living = [item for item in found if item["State"]["Name"] not in inventory.GONE]
    return (living[0] if living else None), len(found) - len(living)


def launch(account: Account, wanted_vm: WantedVm, candidate: Candidate, root: RootDisk, undo: Undo, *, dead: int = 0) -> Item:
    """A running VM. What was made is remembered in undo. dead: how many VMs of the token are gone."""
    for generation in range(dead, dead + _GENERATIONS):
        try:
            return _launch(account, wanted_vm, candidate, root, undo, generation)
        except KilledBefore as error:
            _log.info("%s; making another", error.message)
    raise contract_errors.CloudError(f"the token {wanted_vm.token} was used for {_GENERATIONS} VMs that are gone: use another")


def wait_until_running(account: Account, vm_cid: VmCid) -> Item:
    """Raises what AWS gave as the reason if it ended instead."""

    def running() -> Item | None:
        item = inventory.describe(account, vm_cid)
        state = item["State"]["Name"]
        if state == "pending":
            return None
        if state == "running":
            account.client.saw_changed(str(vm_cid))
            return item
        reason = item.get("StateReason", {})
        if "UserInitiated" in reason.get("Code", ""):
            raise KilledBefore(f"{vm_cid} was deleted before")
        raise errors.died(vm_cid, reason.get("Code", ""), reason.get("Message", ""))

    return account.wait(running, f"the VM {vm_cid} does not run", account.patience.vm_running)


def _launch(account: Account, wanted_vm: WantedVm, candidate: Candidate, root: RootDisk, undo: Undo, generation: int) -> Item:
    made: list[Made] = []
    if not wanted_vm.plan.made_at_launch:
        made = make_interfaces(account, wanted_vm, undo)
    macs = {name: interface.mac for interface in made for name in interface.plan.names}
    request = _request(account, wanted_vm, candidate, root, made, macs)
    client_token = wanted_vm.client_token("vm", candidate, generation)
    try:
        answer = _run_when_address_is_free(account, {**request, "ClientToken": client_token})
    except contract_errors.Error as error:
        if isinstance(error, errors.Refused) and error.code == "IdempotentParameterMismatch":
            return _made_otherwise(account, wanted_vm, undo)
        if isinstance(error, errors.AnswerLost):
            undo.push("a VM whose launch was not answered", lambda: _remove_unanswered(account, wanted_vm))
        raise
    except BaseException:  # the process is being ended between the call and its answer
        undo.push("a VM whose launch was not answered", lambda: _remove_unanswered(account, wanted_vm))
        raise
    vm_cid = VmCid(answer["Instances"][0]["InstanceId"])
    return _running(account, vm_cid, undo)


def _running(account: Account, vm_cid: VmCid, undo: Undo) -> Item:
    killed_before: list[VmCid] = []
    undo.push(f"VM {vm_cid}", lambda: None if killed_before else vms.terminate(account, vm_cid))
    try:
        return wait_until_running(account, vm_cid)
    except KilledBefore:
        killed_before.append(vm_cid)
        raise


def _made_otherwise(account: Account, wanted_vm: WantedVm, undo: Undo) -> Item:
    """The client token was used with other parameters: a VM that lives is the one; else it died and another is made."""
    found, _ = find_by_token(account, wanted_vm.seed)
    if found is None:
        raise KilledBefore("this token's VM is gone")
    return _running(account, VmCid(found["InstanceId"]), undo)


def _remove_unanswered(account: Account, wanted_vm: WantedVm) -> None:
    found, _ = find_by_token(account, wanted_vm.seed)
    if found is not None:
        vms.terminate(account, VmCid(found["InstanceId"]))


def _run_when_address_is_free(account: Account, request: Mapping[str, Any]) -> Item:
    """A VM that was deleted a moment ago may hold the address a little longer."""

    def launched() -> Item | None:
        try:
            return account.client.call("RunInstances", **request)
        except errors.Refused as error:
            if error.code != "InvalidIPAddress.InUse":
                raise
            interface: Item = next(iter(request.get("NetworkInterfaces", [])), {})
            raise_unless_leaving(account, interface, error)
            return None

    return account.wait(launched, "an address of the VM stays in use", account.patience.address_busy)


def _request(
    account: Account, wanted_vm: WantedVm, candidate: Candidate, root: RootDisk, made: list[Made], macs: Mapping[str, str]
) -> Item:
    properties, settings = wanted_vm.properties, account.settings
    disks = launch_disks_of(properties, root, account.facts.vm_type(candidate.vm_type), settings)
    request: Item = {
        "ImageId": wanted_vm.ami,
        "InstanceType": candidate.vm_type,
        "MinCount": 1,
        "MaxCount": 1,
        "UserData": wanted_vm.user_data(account, candidate, root, macs),
        "BlockDeviceMappings": disks.mappings,
        "TagSpecifications": _tag_specifications(account, wanted_vm),
        "Placement": _placement(wanted_vm, candidate),
        "CapacityReservationSpecification": _reservation(wanted_vm),
        "KeyName": properties.key_name or settings.default_key_name,
        "IamInstanceProfile": _profile(properties.iam_instance_profile or settings.default_iam_instance_profile),
        "MetadataOptions": _camelised(wanted_vm.metadata_options(settings)),
        **_interfaces(account, wanted_vm, made),
    }
    if candidate.spot:
        options = {"SpotInstanceType": "one-time", "MaxPrice": f"{properties.spot_bid_price:g}"}
        request["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": options}
    return {key: value for key, value in request.items() if value}


def _tag_specifications(account: Account, wanted_vm: WantedVm) -> list[Item]:
    born = tags.initial_tags(account, wanted_vm.given_tags(), wanted_vm.seed)
    balanced = {
        tags.BALANCERS: " ".join(wanted_vm.properties.elbs),
        tags.TARGET_GROUPS: " ".join(wanted_vm.properties.lb_target_groups),
    }
    of_vm = {**born, **{name: value[: tags.LIMITS.value] for name, value in balanced.items() if value}}
    kinds = ["volume", *(["network-interface"] if wanted_vm.plan.made_at_launch else [])]
    return [*tags.specification(["instance"], of_vm), *tags.specification(kinds, born)]


def _placement(wanted_vm: WantedVm, candidate: Candidate) -> Item:
    wanted = {
        "AvailabilityZone": candidate.zone,
        "GroupName": wanted_vm.properties.placement_group,
        "HostId": wanted_vm.properties.host_id,
        "HostResourceGroupArn": wanted_vm.properties.host_resource_group_arn,
    }
    tenancy = wanted_vm.properties.tenancy
    return {key: value for key, value in wanted.items() if value} | ({"Tenancy": tenancy} if tenancy != "default" else {})


def _reservation(wanted_vm: WantedVm) -> Item:
    target = {
        "CapacityReservationId": wanted_vm.properties.capacity_reservation_id,
        "CapacityReservationResourceGroupArn": wanted_vm.properties.capacity_reservation_resource_group_arn,
    }
    named = {key: value for key, value in target.items() if value}
    return {"CapacityReservationTarget": named} if named else {}


def _interfaces(account: Account, wanted_vm: WantedVm, made: list[Made]) -> Item:
    if made:
        return {"NetworkInterfaces": [{"DeviceIndex": index, "NetworkInterfaceId": one.cid} for index, one in enumerate(made)]}
    planned = wanted_vm.plan.interfaces[0]
    groups = group_ids(account, wanted_vm.properties.security_groups or wanted_vm.plan.security_groups, planned.subnet)
    if not planned.subnet and not wanted_vm.properties.auto_assign_public_ip:
        return {"SecurityGroupIds": groups} if groups else {}
    wanted: Item = {"DeviceIndex": 0, "DeleteOnTermination": True, **planned.api_addresses()}
    if planned.subnet:
        wanted["SubnetId"] = planned.subnet
    if groups:
        wanted["Groups"] = groups
    if wanted_vm.properties.auto_assign_public_ip:
        wanted["AssociatePublicIpAddress"] = True
    return {"NetworkInterfaces": [wanted]}


def _profile(profile: str | None) -> Item | None:
    if not profile:
        return None
    return {"Arn": profile} if profile.startswith("arn:") else {"Name": profile}


def _camelised(options: Mapping[str, Any]) -> Item:
    return {re.sub(r"(?:^|_)([a-z0-9])", lambda match: match[1].upper(), key): value for key, value in options.items()}
