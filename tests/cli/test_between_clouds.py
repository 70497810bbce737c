"""`cpi migrate --to`: the commands of the page, run as they are written."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Command
from tests.house.source import ROOT
from tests.migration.between.two_clouds import TwoClouds, two_clouds


@pytest.fixture
def both(tmp_path: Path) -> Iterator[TwoClouds]:
    """A VM whose job writes on the one cloud, and nothing but a stemcell on the other."""
    with two_clouds(tmp_path) as made:
        yield made


def _chapter() -> str:
    page = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")
    return page.partition("\n## Between clouds\n")[2].partition("\n## ")[0]


def _instances(both: TwoClouds) -> Path:
    """The page's file, with what is there in the place of what it names."""
    (document,) = re.findall(r"```yaml\n(.*?)```", _chapter(), re.DOTALL)
    told = yaml.safe_load(document)
    (instance,) = told["instances"]
    assert instance["config"] == "new.json"
    to = both.destination()
    instance |= {"config": str(both.new_config), "stemcell": str(to.stemcell), "networks": to.networks, "properties": {}}
    instance["spec"] = to.spec
    path = both.folder / "new.yml"
    path.write_text(yaml.safe_dump(told), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.timeout(240)
def test_the_commands_of_the_page_move_a_job_to_another_cloud(both: TwoClouds, cpi: Command) -> None:
    """The dry run changes nothing and names what changes; the move arrives; the list shows it."""
    names = {
        "vm-42": both.vm.vm_cid, "disk-7": both.vm.disk_cid, "20G": "192M", "old.json": both.old_config,
        "new.json": both.new_config, "new.yml": _instances(both),
    }  # fmt: skip
    commands = [shlex.split(line) for line in re.findall(r"^    (cpi .*)$", _chapter(), re.MULTILINE)]
    dry_run, move, listed = ([str(names.get(word, word)) for word in words[1:]] for words in commands)
    told = cpi(*dry_run)
    assert told.returncode == 0, told.stderr
    for word in ("between_clouds", "addresses: ", "DNS: ", "filesystem: ext4 -> ext4", "to do: ", "expected downtime: about"):
        assert word in told.stdout
    both.assert_undone()
    moved = cpi(*move, "--json")
    assert moved.returncode == 0, moved.stderr
    report = json.loads(moved.stdout)
    both.assert_arrived(report["new_vm_cid"], report["disk_cid"])
    assert report["kept_until"]
    assert report["move_id"] in cpi(*listed).stdout


def test_what_cannot_be_moved_there_is_refused_with_a_reason(tmp_path: Path, config: Path, cpi: Command) -> None:
    """Options that lack another, another cloud's instance, and secrets that would be stored."""
    new, file = tmp_path / "new.json", tmp_path / "new.yml"
    new.write_text(config.read_text(encoding="utf-8"), encoding="utf-8")
    instance: dict[str, object] = {"name": "db/0", "config": str(new), "vm": "vm-42", "stemcell": "s", "networks": {}}
    file.write_text(yaml.safe_dump({"instances": [instance]}), encoding="utf-8")
    wish = ["migrate", "--config", config, "--vm", "vm-42", "--disk", "disk-7", "--size", "192M"]
    assert "--to needs --instances, --instance" in cpi(*wish, "--to", new).stderr
    assert "--instance: only used with --to" in cpi(*wish, "--instance", "db/0").stderr
    there = ["--instances", file, "--instance", "db/0"]
    assert f"not {config} (--to)" in cpi(*wish, *there, "--to", config).stderr
    assert "unknown --way 'road'" in cpi(*wish, *there, "--to", new, "--way", "road").stderr
    assert "--keep: invalid time 'for ever'" in cpi(*wish, *there, "--to", new, "--keep", "for ever").stderr
    instance["env"] = {"bosh": {"mbus": {"urls": ["nats://user:word-of-a-secret@10.0.0.1"]}, "password": "hush-hush"}}
    file.write_text(yaml.safe_dump({"instances": [instance]}), encoding="utf-8")
    file.chmod(0o600)
    refused = cpi(*wish, *there, "--to", new).stderr
    assert "secrets in env would be stored in the database" in refused
    assert "hush" not in refused
