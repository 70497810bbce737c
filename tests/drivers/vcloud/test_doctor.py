"""What `cpi doctor` says of a vCloud."""

import pytest

from cpi.contract.units import MiB
from fixtures.clouds.vcloud.lab import Lab
from tests.drivers.doctor_findings import findings
from tests.drivers.vcloud.conftest import Connect

pytestmark = pytest.mark.slow


def test_a_cloud_in_order_is_told_as_such(vcloud: Lab, connect: Connect) -> None:
    """With what a manifest needs, and by questions alone; only that the fake speaks http is told."""
    found = findings(connect())
    assert [subject for subject, told in found.items() if any(one.verdict != "good" for one in told)] == ["TLS"]
    assert "bosh-net" in found["networks"][0].detail
    assert "medium" in found["compute policies"][0].detail
    assert all(name.startswith("GET") or "sessions" in name for name in vcloud.calls())


def test_every_fault_of_the_configuration_is_found(connect: Connect) -> None:
    """Names that nothing in the cloud has."""
    wrong = {"vapp_catalog": "nosuch", "vapp_storage_profile": "nosuch"}
    found = findings(connect(entities=wrong))
    faulty = {subject for subject, told in found.items() if any(one.verdict == "fault" for one in told)}
    assert faulty == {"catalogs", "storage profiles"}
    lost = findings(connect(entities={"virtual_datacenter": "nosuch"}))
    assert lost["vDC"][0].verdict == "fault"
    assert "nosuch" in lost["vDC"][0].detail


def test_limits_that_are_nearly_reached_are_told(vcloud: Lab, connect: Connect) -> None:
    """Before a deployment meets them."""
    cloud = connect()
    disk = cloud.create_disk(MiB(19_000), {"storage_profile": "little"})
    assert findings(cloud)["storage profile little"][0].verdict == "warning"
    cloud.delete_disk(disk)


def test_a_login_that_fails_ends_the_examination(connect: Connect) -> None:
    """There is nothing behind it to look at, and the password is not shown."""
    found = findings(connect(password="a-wrong-password"))  # noqa: S106 - a test's
    assert {subject: [one.verdict for one in told] for subject, told in found.items()} == {"login": ["fault"]}
    assert "a-wrong-password" not in found["login"][0].detail
