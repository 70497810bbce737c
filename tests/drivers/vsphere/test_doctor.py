"""What `cpi doctor` tells of a vCenter."""

import re
from typing import Any

import pytest

import cpi
from cpi.contract.operator import Examines
from cpi_drivers.vsphere.doctor.permissions import NEEDED, WHERE_USED
from fixtures.clouds.vcsim.lab import Lab
from fixtures.proxy import Answer, Request, Rule, effects


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


def test_what_the_configuration_asks_of_the_vcenter_is_looked_for(vcenter: Lab) -> None:
    """The service of First Class Disks, and a storage policy by its name."""
    told = _told(vcenter.config(fcd=True, vm_storage_policy_name="vSAN Default Storage Policy"))
    assert [told[subject][0] for subject in ("First Class Disks", "storage policy")] == ["good", "good"]
    told = _told(vcenter.config(vm_storage_policy_name="none"))
    assert told["services"][0] == "fault"
    assert "VVol No Requirements Policy" in told["services"][1]


@pytest.mark.parametrize(
    ("name", "subject", "verdict"),
    [("Datastore.Browse", "privileges", "fault"), ("StorageProfile.View", "privileges where used", "warning")],
)
def test_a_privilege_that_is_missing_is_told_with_what_it_is_for(vcenter: Lab, name: str, subject: str, verdict: str) -> None:
    """A fault if nothing works without it."""

    def without(_: Request, answer: Answer) -> Answer:
        pattern = f"(<privId>{re.escape(name)}</privId><isGranted>)true"
        return Answer(answer.status, re.sub(pattern, r"\1false", answer.body.decode()).encode(), answer.headers)

    vcenter.proxy.inject(Rule("HasPrivilegeOnEntities", effects.rewritten(without)))
    found = _told(vcenter.config())[subject]
    assert found[0] == verdict
    assert f"{name} ({ {**NEEDED, **WHERE_USED}[name] })" in found[1]


def test_each_fault_is_told_with_what_there_is(vcenter: Lab) -> None:
    """A cluster, a pattern, a resource pool."""
    told = _told(vcenter.config(datacenter={"clusters": ["nowhere"], "persistent_datastore_pattern": "^none$"}))
    assert told["clusters"] == ("fault", "there is no nowhere; known: DC0_C0, DC0_C1")
    assert told["datastores of persistent disks"][0] == "fault"
    told = _told(vcenter.config(datacenter={"clusters": [{"DC0_C0": {"resource_pool": "nobody's"}}]}))
    assert "DC0_C0_RP1" in told["clusters"][1]


def test_a_vcenter_that_is_not_there_is_one_fault(vcenter: Lab) -> None:
    """Not a traceback."""
    told = _told(vcenter.config("http://127.0.0.1:9"))
    assert [verdict for verdict, _ in told.values()] == ["fault"]
