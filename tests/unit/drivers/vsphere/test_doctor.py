"""What `cpi doctor` tells of a vCenter."""

from typing import Any

import cpi
from cpi.contract.operator import Examines
from fixtures.clouds.vcsim.lab import Lab


def _told(config: dict[str, Any]) -> dict[str, tuple[str, str]]:
    with cpi.connect(config) as cloud:
        assert isinstance(cloud, Examines)
        return {finding.subject: (finding.verdict, finding.detail) for finding in cloud.examine()}


def test_a_good_configuration_is_good(vcenter: Lab) -> None:
    """All of it, with what there is."""
    told = _told(vcenter.config())
    assert {verdict for verdict, _ in told.values()} == {"good"}
    assert "LocalDS_0" in told["datastores of VMs"][1]
    assert "DVS0/DC0_DVPG0" in told["networks"][1]
    assert "all 32" in told["privileges"][1]


def test_each_fault_is_told_with_what_there_is(vcenter: Lab) -> None:
    """A cluster, a pattern, a resource pool."""
    told = _told(vcenter.config(datacenter={"clusters": ["nowhere"], "persistent_datastore_pattern": "^none$"}))
    assert told["clusters"] == ("fault", "there is no nowhere; there are: DC0_C0, DC0_C1")
    assert told["datastores of persistent disks"][0] == "fault"
    told = _told(vcenter.config(datacenter={"clusters": [{"DC0_C0": {"resource_pool": "nobody's"}}]}))
    assert "DC0_C0_RP1" in told["clusters"][1]


def test_a_vcenter_that_is_not_there_is_one_fault(vcenter: Lab) -> None:
    """Not a traceback."""
    told = _told(vcenter.config("http://127.0.0.1:9"))
    assert [verdict for verdict, _ in told.values()] == ["fault"]
