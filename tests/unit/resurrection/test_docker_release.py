"""Manifests of the Docker BOSH release as watch files."""

from typing import Any

import pytest

from cpi.contract import errors
from cpi.resurrection.docker_release import imported
from cpi_drivers.local.agent.containers.document import read_containers

_CONTAINERS: list[dict[str, Any]] = [
    {
        "name": "redis",
        "image": "redis:7",
        "command": "--dir /data/ --appendonly yes --requirepass 'two words'",
        "entrypoint": "redis-server",
        "bind_ports": ["6379:6379"],
        "bind_volumes": ["/data"],
        "env_vars": ["A=b=c"],
        "memory": "256m",
        "cpu_shares": 512,
        "restart": "on-failure:5",
        "net": "host",
    },
    {
        "name": "web",
        "dockerfile": "FROM nginx\n",
        "links": ["redis:db"],
        "depends_on": ["redis"],
        "restart": False,
        "volumes": ["/a:/b"],
    },
]


def _group(**keys: Any) -> dict[str, Any]:
    return {
        "name": "store",
        "instances": 2,
        "persistent_disk": 4096,
        "networks": [{"name": "private", "static_ips": ["10.0.0.5", "10.0.0.6"]}],
        "jobs": [{"name": "docker", "release": "docker"}, {"name": "containers", "release": "docker"}],
        **keys,
    }


def test_each_instance_gets_the_containers_of_its_group() -> None:
    """As container jobs that the agent of the local cloud takes."""
    found = imported({"name": "shop", "instance_groups": [_group(properties={"containers": _CONTAINERS}), {"name": "other"}]})
    first, second = found.document["instances"]
    assert [first["name"], second["name"]] == ["store/0", "store/1"]
    assert second["networks"] == {"private": {"type": "manual", "ip": "10.0.0.6"}}
    redis, web = first["spec"]["jobs"]
    assert redis == {
        "name": "redis",
        "image": "redis:7",
        "bind_ports": ["6379:6379"],
        "bind_volumes": ["/data"],
        "memory": "256m",
        "cpu_shares": 512,
        "command": ["--dir", "/data/", "--appendonly", "yes", "--requirepass", "two words"],
        "entrypoint": ["redis-server"],
        "env": {"A": "b=c"},
        "restart": "on-failure",
    }
    assert web == {"name": "web", "dockerfile": "FROM nginx\n", "depends_on": ["redis"], "restart": "no"}
    assert len(read_containers(first["spec"]["jobs"], {})) == 2


def test_what_has_no_counterpart_is_listed() -> None:
    """Each with where it stood."""
    told = imported({"instance_groups": [_group(properties={"containers": _CONTAINERS})]}).left_out
    assert "store: container redis: net has no counterpart" in told
    assert "store: container web: volumes has no counterpart" in told
    assert any(line.startswith("store: container web: links redis:db became depends_on") for line in told)
    assert any(line.startswith("store: container redis: the limit 5 of restart") for line in told)
    assert any(line.startswith("store/1: make its persistent disk (4096)") for line in told)
    assert any(line.startswith("network private: give its netmask") for line in told)


@pytest.mark.parametrize(
    "manifest",
    [
        {"properties": {"containers": _CONTAINERS}, "instance_groups": [_group()]},
        {
            "properties": {"containers": _CONTAINERS},
            "jobs": [_group(jobs=None, templates=[{"name": "containers", "release": "docker"}])],
        },
        {
            "instance_groups": [
                _group(jobs=[{"name": "containers", "release": "docker", "properties": {"containers": _CONTAINERS}}])
            ]
        },
    ],
)
def test_the_containers_are_found_wherever_a_manifest_may_have_them(manifest: dict[str, Any]) -> None:
    """Of the whole deployment, of a group, of a job; in both forms of manifests."""
    assert [len(instance["spec"]["jobs"]) for instance in imported(manifest).document["instances"]] == [2, 2]


@pytest.mark.parametrize("manifest", [None, [], {}, {"jobs": ["x"]}, {"instance_groups": [_group()]}])
def test_a_manifest_without_containers_is_refused(manifest: Any) -> None:
    """It says where they are looked for."""
    with pytest.raises(errors.CpiError, match=r"no properties\.containers|no object"):
        imported(manifest)
