"""`cpi containers import`: a manifest of the Docker BOSH release becomes a watch file."""

from pathlib import Path

from cpi.resurrection.watchfile import read_watchfile
from tests.cli.conftest import Command

_MANIFEST = """
name: shop
instance_groups:
- name: redis
  instances: 1
  persistent_disk: 1024
  networks: [{name: private, static_ips: [127.64.0.9]}]
  jobs:
  - name: containers
    release: docker
    properties:
      containers:
      - {name: redis, image: "redis:7", command: "--appendonly yes", bind_ports: ["6379:6379"], bind_volumes: [/data], net: host}
"""


def test_a_manifest_becomes_a_watch_file_that_can_be_read(tmp_path: Path, cold_cpi: Command) -> None:
    """What has no counterpart is on stderr; a file that is there is left alone."""
    manifest, target = tmp_path / "manifest.yml", tmp_path / "instances.yml"
    manifest.write_text(_MANIFEST)
    (tmp_path / "cpi.json").write_text("{}")
    done = cold_cpi("containers", "import", manifest, "--output", target)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "left out: redis: container redis: net has no counterpart" in done.stderr
    (instance,) = read_watchfile(target).instances
    assert instance.name == "redis/0"
    assert instance.spec is not None
    assert instance.spec["jobs"][0]["command"] == ["--appendonly", "yes"]
    again = cold_cpi("containers", "import", manifest, "--output", target)
    assert again.returncode == 1
    assert "exists already" in again.stderr


def test_without_an_output_it_is_shown(tmp_path: Path, cpi: Command) -> None:
    """On stdout alone; a manifest without containers is refused."""
    manifest = tmp_path / "manifest.yml"
    manifest.write_text(_MANIFEST)
    assert "image: redis:7" in cpi("containers", "import", manifest).stdout
    manifest.write_text("name: shop\n")
    done = cpi("containers", "import", manifest)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no properties.containers" in done.stderr
