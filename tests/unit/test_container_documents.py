"""Container jobs of a spec: what is read, and every fault in one error."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from cpi_drivers.local.agent.containers.document import HealthCheck, read_container, read_containers
from cpi_drivers.local.agent.containers.engine import ContainerEngine, Run, filled
from cpi_drivers.local.agent.containers.log import ContainerLog, last_lines
from cpi_drivers.local.agent.containers.mappings import Port, Volume, read_port, read_volume
from cpi_drivers.local.agent.containers.volumes import made_volumes
from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.jobs import Restart, read_jobs

_ENGINE = ContainerEngine("/usr/bin/podman", "/usr/sbin/runc")


def _container(**keys: Any) -> dict[str, Any]:
    return {"name": "redis", "image": "redis:7", **keys}


def test_a_container_is_read() -> None:
    """All its keys."""
    container = read_container(
        _container(
            command=["redis-server"],
            env={"A": "b"},
            bind_ports=["6379", "6380:6379"],
            bind_volumes=["/data", "logs:/var/log:ro"],
            memory="256m",
            cpu_shares=512,
            restart="on-failure",
            registry={"server": "registry.example.com", "username": "u", "password": "p", "mirrors": ["mirror.example.com"]},
            health={"port": 6379},
        )
    )
    assert container.ports() == (Port(6379, 6379), Port(6380, 6379))
    assert container.volumes() == (Volume("data", "/data"), Volume("logs", "/var/log", is_read_only=True))
    assert container.restart is Restart.ON_FAILURE
    assert container.health == HealthCheck(port=6379)
    assert "p" not in repr(container.registry).replace("password", "").replace("example", "").split("'")


def test_processes_and_containers_stand_side_by_side() -> None:
    """Each is read as what it is, and may depend on the other."""
    jobs = [
        {"name": "web", "command": ["x"], "depends_on": ["redis"]},
        _container(depends_on=["other"]),
        {"name": "other", "command": ["y"]},
    ]
    own = read_jobs({"jobs": jobs})
    assert [job.name for job in own] == ["web", "other"]
    assert [one.name for one in read_containers(jobs, {job.name: job.depends_on for job in own})] == ["redis"]


def test_every_fault_of_every_container_is_told_at_once() -> None:
    """Ports that clash, names taken twice, circles, volumes outside, keys that do not exist."""
    jobs = [
        _container(bind_ports=["80"], depends_on=["b"]),
        _container(name="b", bind_ports=["80:8080"], depends_on=["redis", "absent"]),
        _container(name="b"),
        _container(name="c", bind_volumes=["/etc:/data", "../x:/data"], memory="much", stop_signal="SIGNAL"),
        _container(name="d", comand=["x"]),
        {"name": "e", "image": "x", "dockerfile": "FROM scratch"},
        _container(name="f", health={"port": 1, "command": ["true"]}),
    ]
    with pytest.raises(Fault) as raised:
        read_containers(jobs, {"web": ()})
    told = str(raised.value)
    for words in (
        "port 80 is bound by redis and by b",
        "the spec has two jobs named b",
        "container b depends on absent, which the spec does not have; it has b, c, d, e, f, redis, web",
        "jobs depend on each other in a circle: ",
        "jobs[3]: memory 'much' is no size, as 256m; stop_signal 'SIGNAL' is unknown; bind_volumes: ",
        "bind_volumes: /etc of '/etc:/data' lies outside the container's folder",
        "bind_volumes: ../x of '../x:/data' leads out of the container's folder in the store",
        "jobs[4].comand: unknown key; did you mean 'command'?",
        "jobs[5]: either image or dockerfile is needed",
        "jobs[6].health: health needs either a command or a port",
    ):
        assert words in told


@pytest.mark.parametrize("text", ["", "x", "0", "65536", "1:2:3", "80/tcp", "-1", "²"])
def test_what_is_no_port_is_refused(text: str) -> None:
    """By name."""
    with pytest.raises(ValueError, match="bind_ports"):
        read_port(text)


@pytest.mark.parametrize(
    "text", ["", "data", "/", "a:b", "/a:/b", "../a:/b", ".:/b", "a/../..:/b", "a:/b:rx", "/var/vcap/store/x:/data"]
)
def test_what_is_no_volume_of_the_store_is_refused(text: str) -> None:
    """By name."""
    with pytest.raises(ValueError, match="bind_volumes"):
        read_volume(text)


def test_a_link_does_not_lead_a_volume_out_of_the_store(tmp_path: Path) -> None:
    """A container may have made one in a volume of its own."""
    folder = tmp_path / "store" / "redis"
    ((made, _, is_new),) = made_volumes(folder, [Volume("data", "/data")])
    assert (made, is_new) == (folder / "data", True)
    (folder / "data" / "link").symlink_to(tmp_path)
    assert made_volumes(folder, [Volume("data", "/data")])[0][2] is False
    with pytest.raises(ValueError, match="leads out of the container's folder"):
        made_volumes(folder, [Volume("data/link", "/data")])
    (tmp_path / "store" / "other").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="is a link that leads to"):
        made_volumes(tmp_path / "store" / "other", [Volume("data", "/data")])


def test_the_engine_gets_a_list_of_arguments() -> None:
    """Variables in words are filled in; values with several lines come from the environment; nothing of the user's is used."""
    container = read_container(
        _container(
            image="/images/redis",
            command=["redis-server", "--bind", "$(BOSH_ADDRESS)", "$(ABSENT)"],
            entrypoint=["/init", "$(A)"],
            user="redis",
            memory="1g",
            stop_signal="SIGINT",
        )
    )
    volumes = [
        (Path("/store/redis/data"), Volume("data", "/data"), True),
        (Path("/store/l"), Volume("l", "/l", is_read_only=True), False),
    ]
    env = {"A": "b; rm -rf /", "CERT": "one\ntwo", "BOSH_ADDRESS": "127.64.0.1"}
    run = Run(container, "/images/redis", True, volumes, Path("/hosts"), env, Path("/env"), "/group")  # noqa: FBT003 - a struct in order
    words = run.arguments()
    assert words[words.index("--rootfs") :] == [
        "--rootfs",
        "/images/redis:O",
        "redis-server",
        "--bind",
        "127.64.0.1",
        "$(ABSENT)",
    ]
    assert words[words.index("--entrypoint") + 1] == '["/init","b; rm -rf /"]'
    pairs = {*itertools.pairwise(words)}
    assert pairs > {
        ("--volume", "/store/redis/data:/data:U"),
        ("--volume", "/store/l:/l:ro"),
        ("--env", "CERT"),
        ("--user", "redis"),
    }
    assert pairs > {("--memory", "1g"), ("--stop-signal", "SIGINT"), ("--network", "host"), ("--cgroup-parent", "/group")}
    assert ("--env", "A") not in pairs
    command = _ENGINE.command(Path("/store"), "run", images=Path("/images"))
    assert command[:3] == ["/usr/bin/podman", "--root", "/store"]
    assert "additionalimagestore=/images" in command
    assert filled("$(A)$(A)", {"A": "x"}) == "xx"


def test_a_log_is_moved_aside_when_it_has_grown(tmp_path: Path) -> None:
    """A whole piece at a time; the one before the last is dropped; who asks for the end gets the end."""
    path = tmp_path / "redis.log"
    log = ContainerLog(path, limit=20, streams=())
    for number in range(5):
        log.write(f"line {number:04}\n".encode())
    log.note("gone")
    log.close()
    assert path.read_text() == "[agent] gone\n"
    assert path.with_name("redis.log.1").read_text() == "line 0004\n"
    assert last_lines(path) == ["[agent] gone"]
    assert last_lines(tmp_path / "absent") == []


def test_without_an_engine_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each package by its name."""
    monkeypatch.setattr("cpi_drivers.local.agent.containers.engine._program", lambda _name: None)
    with pytest.raises(ValueError, match=r"install the package podman.*install the package runc"):
        ContainerEngine.found()
