"""The body of the call that makes a VM."""

import re
from typing import Any, Final

from cpi.kit import agent_settings as kit_settings
from cpi_drivers.google import naming, tags
from cpi_drivers.google.api.account import Account
from cpi_drivers.google.networks import requested as interfaces
from cpi_drivers.google.vms import agent_settings, balancing, machine_types, placement
from cpi_drivers.google.vms.request import Candidate, Wish

Item = dict[str, Any]

_CLOUD_PLATFORM: Final = "cloud-platform"
_SCOPE: Final = "https://www.googleapis.com/auth/"
_DEFAULT_TYPE: Final = "pd-standard"
_USUAL_ROOT_GB: Final = 10
_TAGS: Final = 64
_TAG_LENGTH: Final = 63


def body(account: Account, wish: Wish, candidate: Candidate) -> Item:
    """Raises CpiError if Google would not take it."""
    properties, place = wish.properties, f"projects/{account.project}/zones/{candidate.zone}"
    born = _labels(account, wish)
    forwards = wish.plan.ip_forwarding if properties.ip_forwarding is None else properties.ip_forwarding
    wanted: Item = {
        "name": wish.name,
        "machineType": f"{place}/machineTypes/{candidate.machine_type}",
        "disks": [_root_disk(account, wish, place, born), *_local_ssds(wish, candidate, place)],
        "networkInterfaces": wish.plan.requests(account.project, candidate.zone, public=properties.ephemeral_external_ip),
        "metadata": {"items": [*_settings(account, wish, candidate), *balancing.record(properties)]},
        "labels": born,
        "tags": {"items": _tags(wish)},
        "scheduling": _scheduling(wish),
        "serviceAccounts": _service_accounts(wish),
        "canIpForward": forwards,
        "guestAccelerators": [
            {"acceleratorType": f"{place}/acceleratorTypes/{one.type}", "acceleratorCount": one.count}
            for one in properties.accelerators
        ],
        "resourcePolicies": _policies(account, wish, candidate),
        "shieldedInstanceConfig": _shielded(wish),
        "confidentialInstanceConfig": _confidential(wish),
        "reservationAffinity": _reservation(wish),
    }
    return {key: value for key, value in wanted.items() if value}


def _settings(account: Account, wish: Wish, candidate: Candidate) -> list[Item]:
    told = interfaces.for_agent(wish.networks, wish.plan.macs())
    ephemeral = machine_types.local_ssd_device(candidate.machine_type) if wish.properties.ephemeral_disk_type else None
    settings = kit_settings.agent_settings(
        wish.agent_id, wish.name, told, wish.env, account.config.agent, system_disk="/dev/sda", ephemeral_disk=ephemeral
    )
    return agent_settings.initial_metadata(settings, wish.name, interfaces.nameservers(wish.networks))


def _labels(account: Account, wish: Wish) -> dict[str, str]:
    asked = wish.bosh.get("tags")
    given = {**tags.dashed(asked if isinstance(asked, dict) else {}), **wish.properties.labels}
    return tags.initial_tags(account, given, wish.seed)


def _root_disk(account: Account, wish: Wish, place: str, born: dict[str, str]) -> Item:
    properties, settings = wish.properties, account.settings
    image = wish.stemcell_cid
    wanted = {
        "sourceImage": naming.partial(image) if "/" in image else f"projects/{account.project}/global/images/{image}",
        "diskType": f"{place}/diskTypes/{properties.root_disk_type or settings.default_root_disk_type or _DEFAULT_TYPE}",
        "diskSizeGb": str(properties.root_disk_size_gb or settings.default_root_disk_size_gb or _USUAL_ROOT_GB),
        "provisionedIops": _number(properties.root_disk_iops),
        "provisionedThroughput": _number(properties.root_disk_throughput),
        "labels": born,
    }
    params = {key: value for key, value in wanted.items() if value}
    return {"boot": True, "autoDelete": True, "type": "PERSISTENT", "mode": "READ_WRITE", "initializeParams": params}


def has_usual_root_disk(account: Account, wish: Wish) -> bool:
    """Whether nothing is said of its size."""
    return not (wish.properties.root_disk_size_gb or account.settings.default_root_disk_size_gb)


def as_large_as_its_image(body: Item) -> Item:
    """The body of a VM whose root disk has the image's size, which Google knows."""
    root, *others = body["disks"]
    params = {key: value for key, value in root["initializeParams"].items() if key != "diskSizeGb"}
    return {**body, "disks": [{**root, "initializeParams": params}, *others]}


def _number(value: int | None) -> str | None:
    return str(value) if value else None


def _local_ssds(wish: Wish, candidate: Candidate, place: str) -> list[Item]:
    if not wish.properties.ephemeral_disk_type:
        return []
    params = {"diskType": f"{place}/diskTypes/local-ssd"}
    one = {"type": "SCRATCH", "autoDelete": True, "interface": "NVME", "initializeParams": params}
    return [dict(one) for _ in range(machine_types.local_ssds(candidate.machine_type))]


def _scheduling(wish: Wish) -> Item:
    properties = wish.properties
    spot = properties.preemptible or properties.provisioning_model == "SPOT"
    stays = spot or properties.accelerators or properties.confidential_vm
    moves = properties.on_host_maintenance == "MIGRATE" and not stays
    wanted: Item = {
        "automaticRestart": properties.automatic_restart and not spot,
        "onHostMaintenance": "MIGRATE" if moves else "TERMINATE",
    }
    if properties.preemptible:
        wanted["preemptible"] = True
    if properties.provisioning_model:
        wanted["provisioningModel"] = properties.provisioning_model
    if properties.node_group and properties.provisioning_model != "SPOT":
        group = {"key": "compute.googleapis.com/node-group-name", "operator": "IN", "values": [properties.node_group]}
        wanted["nodeAffinities"] = [group]
    return wanted


def _shielded(wish: Wish) -> Item:
    asked = wish.properties.shielded_vm
    if asked is None:
        return {}
    wanted = {
        "enableSecureBoot": asked.secure_boot,
        "enableVtpm": asked.vtpm,
        "enableIntegrityMonitoring": asked.integrity_monitoring,
    }
    return {key: value for key, value in wanted.items() if value is not None}


def _confidential(wish: Wish) -> Item:
    kind = wish.properties.confidential_vm
    return {"enableConfidentialCompute": True, "confidentialInstanceType": kind} if kind else {}


def _reservation(wish: Wish) -> Item:
    name = wish.properties.reservation
    named = {"key": "compute.googleapis.com/reservation-name", "values": [name]}
    return {"consumeReservationType": "SPECIFIC_RESERVATION", **named} if name else {}


def _service_accounts(wish: Wish) -> list[Item]:
    properties = wish.properties
    if not properties.service_account and not properties.service_scopes:
        return []
    scopes = properties.service_scopes or (_CLOUD_PLATFORM,)
    whole = [scope if scope.startswith("https://") else f"{_SCOPE}{scope}" for scope in scopes]
    return [{"email": properties.service_account or "default", "scopes": whole}]


def _policies(account: Account, wish: Wish, candidate: Candidate) -> list[str]:
    policy, region = placement.policy(account, wish.properties, wish.group), naming.region_of(candidate.zone)
    return [f"projects/{account.project}/regions/{region}/resourcePolicies/{policy}"] if policy else []


def _tags(wish: Wish) -> list[str]:
    """Those of the VM type and its networks as they are, and bosh.groups as far as there is room."""
    groups = wish.bosh.get("groups") or []
    spelled = [tag for group in groups if (tag := _tag(str(group)))]
    return list(dict.fromkeys([*wish.properties.tags, *wish.plan.tags, *spelled]))[:_TAGS]


def _tag(group: str) -> str:
    spelled = re.sub(r"[^a-z0-9-]", "-", group.lower())
    begun = spelled if spelled[:1].isalpha() else f"n{spelled}"
    return begun[:_TAG_LENGTH].rstrip("-")
