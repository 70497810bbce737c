"""The applied spec as the BOSH agent keeps and shows it."""

from collections.abc import Mapping
from typing import Any

from cpi_drivers.local.agent.faults import Fault

_DYNAMIC_ADDRESS = ("ip", "netmask", "gateway")


def checked(spec: Any) -> dict[str, Any]:
    """Raises Fault if it is no spec at all."""
    if not isinstance(spec, Mapping):
        raise Fault(f"Extracting method arguments from payload: a spec is an object, got {type(spec).__name__}")
    return dict(spec)


def with_addresses(spec: dict[str, Any], networks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The spec with the addresses that its dynamic networks turned out to have."""
    known = {
        name: {**network, **{key: networks[name][key] for key in _DYNAMIC_ADDRESS if networks[name].get(key)}}
        if network.get("type") == "dynamic" and name in networks
        else network
        for name, network in (spec.get("networks") or {}).items()
    }
    return {**spec, "networks": known}


def shown(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the spec that get_state answers, every key there."""
    logging = (spec.get("properties") or {}).get("logging") or {}
    job = spec.get("job") or {}
    return {
        "properties": {"logging": {"max_log_file_size": logging.get("max_log_file_size") or ""}},
        "job": {
            "name": job.get("name"),
            "release": job.get("release") or "",
            "template": job.get("template") or "",
            "version": job.get("version") or "",
            "templates": job.get("templates"),
        },
        "packages": spec.get("packages") or {},
        "configuration_hash": spec.get("configuration_hash") or "",
        "networks": spec.get("networks") or {},
        "resource_pool": spec.get("resource_pool") or {},
        "deployment": spec.get("deployment") or "",
        "name": spec.get("name") or "",
        "index": spec.get("index"),
        "id": spec.get("id") or "",
        "az": spec.get("az") or "",
        "persistent_disk": spec.get("persistent_disk") or 0,
        "rendered_templates_archive": spec.get("rendered_templates_archive"),
    }
