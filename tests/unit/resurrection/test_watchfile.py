"""The instances file: what it means, and every fault in it at once."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cpi.contract import errors
from cpi.kit.secret_references import resolved
from cpi.resurrection.rules import Group
from cpi.resurrection.watchfile import read_watchfile

_ENTRY: dict[str, Any] = {
    "name": "db/0",
    "config": "cpi.json",
    "vm": "vm-1",
    "stemcell": "stemcell-1",
    "networks": {"default": {"type": "manual", "ip": "10.0.0.5"}},
    "disks": ["disk-1"],
}


def _written(folder: Path, document: Any, mode: int = 0o600) -> Path:
    (folder / "cpi.json").write_text("{}")
    path = folder / "instances.yml"
    path.write_text(yaml.safe_dump(document))
    path.chmod(mode)
    return path


def _faults(path: Path) -> list[str]:
    with pytest.raises(errors.CpiError) as raised:
        read_watchfile(path)
    return [line.strip() for line in raised.value.message.splitlines()[1:]]


def test_an_instance_is_read_with_its_defaults_its_group_and_absolute_paths(tmp_path: Path) -> None:
    """What instances share is written once; the group is the name before the slash."""
    (tmp_path / "login").write_text("user:password\n")
    (tmp_path / "login").chmod(0o600)
    agent = {"url": "https://10.0.0.5:6868", "login": "login", "ca": "ca.pem"}
    document = {
        "watch": {"agent_timeout": 30, "meltdown": {"count": 7}},
        "groups": {"db": {"at_once": 2, "stateful": False}},
        "defaults": {"config": "cpi.json", "stemcell": "s", "properties": {"size": 1}},
        "instances": [{"name": "db/0", "vm": "vm-1", "networks": {}, "agent": agent}],
    }
    plan = read_watchfile(_written(tmp_path, document))
    (instance,) = plan.instances
    assert (instance.group, instance.config, instance.properties) == ("db", str(tmp_path / "cpi.json"), {"size": 1})
    assert (instance.agent.login, instance.agent.ca) == (str(tmp_path / "login"), str(tmp_path / "ca.pem"))
    assert plan.group(instance) == Group(at_once=2, stateful=False)
    assert (plan.rules.agent_timeout, plan.rules.meltdown.count, plan.rules.meltdown.percent) == (30, 7, 20)
    assert "password" not in repr(plan)


def test_an_agent_on_the_bus_is_reached_over_it(tmp_path: Path) -> None:
    """An instance that says nothing of its agent is on the bus of the file."""
    document = {"bus": {"url": "nats://10.0.0.1:4222"}, "instances": [{**_ENTRY, "agent_id": "a-1"}]}
    (instance,) = read_watchfile(_written(tmp_path, document)).instances
    assert (instance.agent.url, instance.agent.agent_id) == ("nats://10.0.0.1:4222", "a-1")
    assert instance.reach("a-2").agent_id == "a-2"
    document = {"bus": {"url": "nats://10.0.0.1:4222"}, "instances": [_ENTRY]}
    assert "instances[1].agent.agent_id: required for an agent at nats://" in _faults(_written(tmp_path, document))


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    """With where it is, and the nearest key that is known."""
    document = {
        "colour": "red",
        "watch": {"agent_timeot": 3, "meltdown": {"count": 0}},
        "groups": {"web": {}},
        "bus": {"url": "nats://h:1", "ca": "ca.pem"},
        "instances": [
            {"name": "db/0", "vm": "v", "config": "none.json", "networks": {"default": {"ip": 7}}, "disks": 3},
            {**_ENTRY, "agent": {"url": "https://user:word@h:6868"}},
            {**_ENTRY, "env": {"a": {"from_env": "NOT_SET_ANYWHERE"}}, "config": "none.json"},
            7,
        ],
    }
    faults = _faults(_written(tmp_path, document))
    for fault in (
        "colour: unknown key",
        "watch.agent_timeot: unknown key; did you mean 'agent_timeout'?",
        "watch.meltdown: count must be at least 1, got 0",
        "groups.web: no instance belongs to this group",
        "bus: ca, certificate and key belong together",
        "instances[1].stemcell: is missing",
        "instances[1].disks: Expected `array`, got `int`",
        "instances[3].env.a: $NOT_SET_ANYWHERE is not set",
        f"instances[3].config: {tmp_path}/none.json does not exist",
        "instances[4]: expected an object",
        "name db/0: used by two instances",
    ):
        assert fault in faults
    assert any("instances[2].agent.url: it contains a password" in fault for fault in faults)


def test_a_secret_that_others_may_read_is_a_fault(tmp_path: Path) -> None:
    """In the file itself, or in one that it names."""
    secret = {"env": {"bosh": {"password": "very-secret-word"}}}
    (fault,) = _faults(_written(tmp_path, {"instances": [{**_ENTRY, **secret}]}, mode=0o644))
    assert fault.startswith(f"{tmp_path}/instances.yml contains a secret, but other users can read it: chmod 600")
    (tmp_path / "word").write_text("very-secret-word\n")
    (tmp_path / "word").chmod(0o640)
    named = {"instances": [{**_ENTRY, "env": {"bosh": {"password": {"from_file": "word"}}}}]}
    (fault,) = _faults(_written(tmp_path, named, mode=0o644))
    word = tmp_path / "word"
    assert fault == f"instances[1].env.bosh.password: {word} contains a secret, but other users can read it: chmod 600 {word}"
    (tmp_path / "word").chmod(0o600)
    (instance,) = read_watchfile(_written(tmp_path, named, mode=0o644)).instances
    assert instance.env == {"bosh": {"password": {"from_file": str(tmp_path / "word")}}}
    assert resolved(instance.env) == {"bosh": {"password": "very-secret-word"}}


@pytest.mark.parametrize("text", ["", "instances: []", "instances: 3", "[1]"])
def test_a_file_without_instances_is_refused(tmp_path: Path, text: str) -> None:
    """Nothing to watch is a mistake."""
    path = tmp_path / "instances.yml"
    path.write_text(text)
    with pytest.raises(errors.CpiError, match="expected `instances:` with a list"):
        read_watchfile(path)


def test_a_disk_grows_as_its_instance_says_or_its_group(tmp_path: Path) -> None:
    """Nothing grows by itself that nobody has allowed to; an agent tells how full a single disk is."""
    other, stateless = {**_ENTRY, "name": "db/1", "vm": "vm-2", "disks": ["disk-2"]}, {"name": "db/2", "vm": "vm-3", "disks": []}
    document: dict[str, Any] = {
        "instances": [{**_ENTRY, "grow": {"up_to": "500G", "when": "70%"}}, other, {**_ENTRY, **stateless}],
        "groups": {"db": {"grow": {"up_to": "1T", "or_copy": True}}},
    }
    file = read_watchfile(_written(tmp_path, document))
    first, second, third = (file.growth(instance) for instance in file.instances)
    assert first is not None
    assert second is not None
    assert (first.limit, first.used_percent, first.or_copy, third) == (512000, 70, False, None)
    assert (second.limit, second.used_percent, second.or_copy) == (1024 * 1024, 85, True)
    document["instances"][1]["disks"] = ["disk-2", "disk-3"]
    document["instances"][0]["grow"] = {"up_to": "lots", "when": "120%"}
    assert _faults(_written(tmp_path, document)) == [
        "instances[1].grow: when must be between 0% and 100%, got '120%'",
        "grow: db/1 has several disks, and only a single one can grow by itself",
    ]
