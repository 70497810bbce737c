"""What every call of every driver passes through, and Cloud.for_request."""

import logging
from typing import Any, ClassVar

import pytest

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid
from cpi.contract.model import CallContext, CloudProperties
from cpi.contract.request import RequestIdFilter, request_id
from cpi.contract.units import MiB
from cpi.kit.tagging import REQUEST, birth_tags
from tests.unit.migration.world import MemoryCloud, World

_CONTEXT = CallContext(request_id="cpi-connected")


class _Tagging(MemoryCloud):
    """Answers create_disk with the id of the request and the token."""

    def create_disk(self, size: MiB, cloud_properties: CloudProperties, vm_cid: Any = None, token: str | None = None) -> DiskCid:
        logging.getLogger("its.own").warning("make")
        return DiskCid(f"{birth_tags(_CONTEXT)[REQUEST]} {token}")


def test_a_call_knows_its_request_and_no_other() -> None:
    """Each Cloud of for_request has its own, and the first one that of its context."""
    cloud = _Tagging(World())
    first, second = cloud.for_request("cpi-1", "a"), cloud.for_request("cpi-2", "b")
    assert first.create_disk(MiB(1), {}) == "cpi-1 a"
    assert second.create_disk(MiB(1), {}) == "cpi-2 b"
    assert first.create_disk(MiB(1), {}, None, "b") == "cpi-1 b"
    assert cloud.create_disk(MiB(1), {}) == "cpi-connected None"
    assert request_id(_CONTEXT) == "cpi-connected"


def test_a_call_that_fails_leaves_no_request_behind() -> None:
    """The next call of the thread is nobody else's."""
    cloud = _Tagging(World())
    with pytest.raises(errors.CpiError):
        cloud.for_request("cpi-1").create_disk(MiB(0), {})
    assert cloud.create_disk(MiB(1), {}) == "cpi-connected None"


def test_log_records_carry_the_id(caplog: pytest.LogCaptureFixture) -> None:
    """Where a handler has the filter."""
    caplog.handler.addFilter(RequestIdFilter())
    cloud = _Tagging(World())
    cloud.for_request("cpi-1").create_disk(MiB(1), {})
    cloud.create_disk(MiB(1), {})
    assert [vars(record)["request_id"] for record in caplog.records] == ["cpi-1", "-"]


@pytest.mark.parametrize("size", [0, -1, 1.5, "1024", None, True])
def test_a_size_is_a_whole_number_of_mib(size: Any) -> None:
    """On every driver, for every method that takes one, before the cloud is asked."""
    cloud = MemoryCloud(World())
    for call in (
        lambda: cloud.create_disk(size, {}),
        lambda: cloud.resize_disk(DiskCid("disk"), size),
        lambda: cloud.update_disk(DiskCid("disk"), size=size, cloud_properties={}),
    ):
        with pytest.raises(errors.CpiError, match="whole number of MiB"):
            call()


def test_a_power_that_is_declared_must_be_there() -> None:
    """A driver learns it when it is imported."""
    with pytest.raises(TypeError, match=r"Boasts declares Capability\.NETWORKS but has no create_network"):

        class Boasts(Cloud):
            capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.NETWORKS})


def test_a_power_that_is_there_must_be_declared() -> None:
    """A caller would never use it."""
    with pytest.raises(TypeError, match=r"Hides has resize_disk but does not declare Capability\.RESIZE_DISK"):

        class Hides(Cloud):
            def resize_disk(self, disk_cid: DiskCid, size: MiB) -> None:
                """Hidden."""
