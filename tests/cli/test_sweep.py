"""`cpi sweep` on a local cloud: what is not known is listed and deleted, and nothing else is touched."""

import json
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import cpi as library
from cpi.contract.cloud import Cloud
from cpi.contract.ids import AgentId, DiskCid, VmCid
from cpi.contract.model import CallContext, Network
from cpi.contract.units import MiB
from tests.cli.conftest import Command

pytestmark = pytest.mark.slow


class Place(NamedTuple):
    """A cloud that two directors use: one VM and its disk are known, and there are leftovers."""

    cloud: Cloud
    vm: VmCid
    disk: DiskCid
    left: DiskCid
    others: DiskCid
    known: Path


@pytest.fixture
def place(config: Path) -> Iterator[Place]:
    """Emptied at the end."""
    image = config.with_name("stemcell.tgz")
    with tarfile.open(image, "w:gz") as archive:
        archive.add(config, "etc/some-file")
    with (
        library.connect(str(config), CallContext(director_uuid="d-1", token="t-1")) as cloud,  # noqa: S106 - a token is no secret
        library.connect(str(config), CallContext(director_uuid="d-2")) as another,
    ):
        stemcell = cloud.create_stemcell(str(image), {}, {})
        vm = cloud.create_vm(AgentId("agent-1"), stemcell, {}, {"default": Network(type="dynamic")}).cid
        disk, left = cloud.create_disk(MiB(8), {}), cloud.create_disk(MiB(8), {}, token="t-2")  # noqa: S106 - as above
        cloud.attach_disk(vm, disk)
        others = another.create_disk(MiB(8), {})
        known = config.with_name("known")
        known.write_text(f"{vm}\n{disk}\n{stemcell} # the only one\n")
        yield Place(cloud, vm, disk, left, others, known)
        cloud.delete_vm(vm)


def test_what_is_not_known_is_listed_with_what_is_told_of_it(cpi: Command, config: Path, place: Place) -> None:
    """As JSON; of another director only the number."""
    done = cpi("sweep", "--config", config, "--known", place.known, "--older-than", "0h", "--json")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert (told["kind"], told["id"], told["left_over"], told["tags"]["multicpi-director"]) == ("disk", place.left, True, "d-1")
    assert "not shown: 1 of director d-2" in done.stderr
    assert "not shown: 3 known" in done.stderr


def test_what_is_left_over_is_deleted_and_nothing_else(cpi: Command, config: Path, place: Place) -> None:
    """Once it is confirmed; a second sweep finds nothing."""
    words = ("sweep", "--config", config, "--known", place.known, "--older-than", "0h", "--delete")
    refused = cpi(*words)
    assert (refused.returncode, "confirm with --yes" in refused.stderr) == (1, True)
    assert place.cloud.has_disk(place.left)
    done = cpi(*words, "--yes")
    assert done.returncode == 0, done.stderr
    assert f"deleted disk {place.left}" in done.stderr
    assert [place.cloud.has_disk(disk) for disk in (place.left, place.disk, place.others)] == [False, True, True]
    assert place.cloud.has_vm(place.vm)
    assert cpi(*words, "--yes").stdout == "no leftovers\n"


def test_a_list_that_is_older_than_a_resource_does_not_make_it_a_leftover(cpi: Command, config: Path, place: Place) -> None:
    """It could not be in it."""
    yesterday = time.time() - 86400
    os.utime(place.known, (yesterday, yesterday))
    done = cpi("sweep", "--config", config, "--known", place.known, "--older-than", "0h", "--delete", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert (told["left_over"], "made after the oldest list" in told["kept"]) == (False, True)
    assert place.cloud.has_disk(place.left)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "younger than --older-than"),
        (("--older-than", "0h", "--tokens"), ""),
    ],
)
def test_what_is_young_is_shown_and_kept(cpi: Command, config: Path, place: Place, words: tuple[str, ...], told: str) -> None:
    """A call may be making it; --tokens finds it as what a call left."""
    done = cpi("sweep", "--config", config, "--known", place.known, "--json", *words)
    assert [one["kept"] for one in json.loads(done.stdout)] == [told]


def test_nothing_is_deleted_of_which_nothing_is_known(cpi: Command, config: Path, place: Place) -> None:
    """Not without a list, and not for nobody's director; in writing it is."""
    words = ("sweep", "--config", config, "--older-than", "0h", "--delete", "--yes")
    done = cpi(*words)
    assert (done.returncode, "--director" in done.stderr) == (1, True)
    listed = cpi(*words, "--director", "d-1")
    assert (listed.returncode, "no list of VMs was given" in listed.stdout) == (0, True)
    assert place.cloud.has_vm(place.vm)
    gone = cpi(*words, "--director", "d-2", "--none", "disk")
    assert gone.returncode == 0, gone.stderr
    assert [place.cloud.has_disk(disk) for disk in (place.left, place.disk, place.others)] == [True, True, False]


def test_a_directors_answers_are_taken_as_they_are_printed(cpi: Command, config: Path, place: Place) -> None:
    """Instances with their disks, and the orphaned disks, make the leftover one known."""
    instances = config.with_name("instances.json")
    row = {"instance": "db/1", "vm_cid": place.vm, "disk_cids": place.disk}
    _write(instances, "instances", row)
    orphaned = config.with_name("orphaned.json")
    _write(orphaned, "disks", {"disk_cid": place.left, "orphaned_at": "Mon Nov 30 11:42:07 UTC 2026"})
    done = cpi("sweep", "--config", config, "--older-than", "0h", "--known", instances, "--known", orphaned, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
    assert "not shown: 1 in use by what is known" in done.stderr, "the stemcell, of which no list was given"


def _write(path: Path, content: str, row: dict[str, str]) -> None:
    table = {"Content": content, "Header": {name: name for name in row}, "Rows": [row], "Notes": None}
    path.write_text(json.dumps({"Tables": [table], "Blocks": None, "Lines": ["Succeeded"]}))
