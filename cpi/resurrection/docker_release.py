"""Manifests of the Docker BOSH release as watch files: its properties.containers become container jobs. Pure.

What has no counterpart is listed, each with where it stood.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from cpi.contract import errors

_SAME: Final = ("image", "dockerfile", "bind_ports", "bind_volumes", "depends_on", "user", "memory", "cpu_shares")
_LISTS: Final = frozenset({"bind_ports", "bind_volumes", "depends_on"})
_WORDS: Final = ("command", "entrypoint")
_OTHERS: Final = frozenset({"name", "env_vars", "links", "restart", *_SAME, *_WORDS})
_RESTARTS: Final = frozenset({"always", "no", "on-failure"})
_NETWORK_KEYS: Final = ("netmask", "gateway", "dns", "cloud_properties")


class Imported(msgspec.Struct, frozen=True):
    """The watch file as a document, and what is not in it."""

    document: Mapping[str, Any]
    left_out: tuple[str, ...]


def imported(manifest: Any, config: str = "cpi.json") -> Imported:
    """The instances of a manifest that have containers. Raises CpiError if there are none."""
    if not isinstance(manifest, Mapping):
        raise errors.CpiError("the manifest is no object")
    left_out: list[str] = []
    instances = [instance for group in _groups(manifest) for instance in _instances(group, manifest, left_out)]
    if not instances:
        raise errors.CpiError("the manifest has no properties.containers: neither of its own, nor in a job or an instance group")
    defaults = {"config": config, "stemcell": "CID of an uploaded stemcell"}
    return Imported({"defaults": defaults, "instances": instances}, tuple(dict.fromkeys(left_out)))


def _groups(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """instance_groups, or jobs as manifests of the first form call them."""
    found = manifest.get("instance_groups") or manifest.get("jobs") or []
    return [group for group in found if isinstance(group, Mapping)]


def _containers(group: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    jobs = [job for job in group.get("jobs") or [] if isinstance(job, Mapping)]
    places = [*(job.get("properties") for job in jobs), group.get("properties")]
    found = [place["containers"] for place in places if isinstance(place, Mapping) and place.get("containers")]
    if not found and any(
        job.get("release") == "docker" and job.get("name") == "containers" for job in [*jobs, *_templates(group)]
    ):
        found = [(manifest.get("properties") or {}).get("containers") or []]
    return [container for containers in found for container in containers if isinstance(container, Mapping)]


def _templates(group: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [template for template in group.get("templates") or [] if isinstance(template, Mapping)]


def _instances(group: Mapping[str, Any], manifest: Mapping[str, Any], left_out: list[str]) -> Iterator[dict[str, Any]]:
    containers = _containers(group, manifest)
    if not containers:
        return
    name = str(group.get("name"))
    jobs = [_job(container, f"{name}: container {container.get('name')}", left_out) for container in containers]
    size = group.get("persistent_disk") or group.get("persistent_disk_type") or group.get("persistent_disk_pool")
    for index in range(int(group.get("instances", 1))):
        if size:
            left_out.append(f"{name}/{index}: make its persistent disk ({size}) with create_disk, and name it in `disks`")
        yield {
            "name": f"{name}/{index}",
            "vm": "none",
            "networks": dict(_networks(group, index, left_out)),
            "disks": [],
            "spec": {"deployment": str(manifest.get("name") or ""), "jobs": jobs},
        }


def _networks(group: Mapping[str, Any], index: int, left_out: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for network in group.get("networks") or [{"name": "default"}]:
        addresses = _addresses(network.get("static_ips") or [])
        name = str(network.get("name"))
        if index < len(addresses):
            left_out.append(f"network {name}: give its {', '.join(_NETWORK_KEYS)}, which are in the cloud config")
            yield name, {"type": "manual", "ip": addresses[index]}
        else:
            yield name, {"type": "dynamic"}


def _addresses(ranges: Sequence[Any]) -> list[str]:
    """A range of addresses is left as its first one, as no answer lists others by it."""
    return [str(one).partition("-")[0].strip() for one in ranges]


def _job(container: Mapping[str, Any], where: str, left_out: list[str]) -> dict[str, Any]:
    job: dict[str, Any] = {"name": str(container.get("name"))}
    for key in _SAME:
        if container.get(key):
            job[key] = [str(one) for one in _listed(container[key])] if key in _LISTS else container[key]
    for key in _WORDS:
        if container.get(key):
            job[key] = shlex.split(container[key]) if isinstance(container[key], str) else list(map(str, container[key]))
    pairs = [str(pair).partition("=") for pair in container.get("env_vars") or []]
    if pairs:
        job["env"] = {name: value for name, _, value in pairs}
    _link(container, job, where, left_out)
    _restart(container, job, where, left_out)
    left_out += [f"{where}: {key} has no counterpart" for key in container if key not in _OTHERS]
    return job


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _link(container: Mapping[str, Any], job: dict[str, Any], where: str, left_out: list[str]) -> None:
    links = [str(link) for link in container.get("links") or []]
    if links:
        needed = [link.partition(":")[0] for link in links]
        job["depends_on"] = list(dict.fromkeys([*job.get("depends_on", []), *needed]))
        left_out.append(
            f"{where}: links {', '.join(links)} became depends_on; on one VM, use $(BOSH_ADDRESS) in the place of the alias"
        )


def _restart(container: Mapping[str, Any], job: dict[str, Any], where: str, left_out: list[str]) -> None:
    wanted = container.get("restart")
    if wanted is None:
        return
    # YAML reads a bare `no` as false
    policy, _, limit = ("no" if wanted is False else str(wanted)).partition(":")
    if policy not in _RESTARTS:
        left_out.append(f"{where}: restart {wanted!r} has no counterpart; it is started again always")
        return
    job["restart"] = policy
    if limit:
        left_out.append(f"{where}: the limit {limit} of restart has no counterpart; it is started again with growing pauses")
