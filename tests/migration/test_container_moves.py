"""The disk under a container moves, and its VM is lost, while a client writes rows: none that was acknowledged is lost."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cpi.demo.stage import Stage
from cpi.kit.waiting import wait_until
from cpi.migration import Strategy
from fixtures.containers import small_root_folder
from tests.migration.container_site import Site, mounted_below

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root folder of a small container."""
    return small_root_folder(tmp_path_factory.mktemp("image"))


@pytest.fixture
def site(tmp_path: Path, image: Path) -> Iterator[Site]:
    """All of it is removed afterwards: nothing of a container may be in the way."""
    stage = Stage(tmp_path / "stage")
    try:
        site = Site(stage, image)
        yield site
        site.guest.agent.close()
    finally:
        left = stage.clear()
    assert left == []
    assert mounted_below(tmp_path) == []


@pytest.mark.parametrize("sizes", [(80,), pytest.param((160, 80, 128), marks=pytest.mark.nightly)])
def test_the_disk_under_a_container_grows_and_shrinks_while_it_runs(site: Site, sizes: Sequence[int]) -> None:
    """The container is stopped for the last pass only."""
    with site.client() as client:
        client.wait_for_more()
        for size in sizes:
            report = site.move(size)
            assert report.strategy is Strategy.LIVE_COPY
            assert report.jobs_down_seconds < report.seconds
            client.wait_for_more()
    site.assert_nothing_is_lost(client)


def test_a_lost_vm_comes_back_with_its_container_and_its_disk(site: Site) -> None:
    """As cpi watch does it."""
    stage, lost = site.stage, site.guest
    with site.client() as client:
        client.wait_for_more()
        stage.kill(lost)
        wait_until(lambda: not stage.cloud.has_vm(lost.vm_cid), "the VM is gone", deadline_seconds=60)
        site.recreate()
        client.wait_for_more()
    site.assert_nothing_is_lost(client)
