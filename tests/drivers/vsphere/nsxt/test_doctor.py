"""What `cpi doctor` tells of NSX."""

from collections.abc import Callable
from typing import Any

import cpi
from cpi.contract.cloud import Cloud
from cpi.contract.operator import Examines, ExaminesVmTypes
from fixtures.clouds.nsxt.lab import Lab as NsxLab
from tests.drivers.vsphere.nsxt.conftest import ALL


def _told(cloud: Cloud) -> dict[str, tuple[str, str]]:
    assert isinstance(cloud, Examines)
    return {finding.subject: (finding.verdict, finding.detail) for finding in cloud.examine()}


def test_a_good_login_is_good(nsx: NsxLab, cloud: Cloud) -> None:
    """With what there is to join; the vCenter's findings stay."""
    told = _told(cloud)
    assert told["NSX-T"] == ("good", f"admin is let in to {nsx.proxy.url}, which has 3 groups and 2 server pools")
    assert told["privileges"][0] == "good"


def test_a_wrong_password_is_a_fault(nsx: NsxLab, config: Callable[..., dict[str, Any]]) -> None:
    """Not a traceback."""
    with cpi.connect(config(password="wrong-word")) as cloud:  # noqa: S106 - of a fake
        verdict, detail = _told(cloud)["NSX-T"]
    assert verdict == "fault"
    assert "does not let 'admin' in" in detail


def test_what_a_vm_type_names_is_looked_for(nsx: NsxLab, cloud: Cloud) -> None:
    """Groups, pools, and what cannot be read."""
    assert isinstance(cloud, ExaminesVmTypes)
    good = {one.subject: (one.verdict, one.detail) for one in cloud.examine_vm_type({"nsxt": ALL}, [])}
    assert good["nsxt groups"] == (
        "good",
        "web servers is /infra/domains/default/groups/web-1, dmz is /infra/domains/default/groups/dmz",
    )
    assert good["nsxt server pools"][0] == "good"
    (bad, _) = cloud.examine_vm_type({"nsxt": {"ns_groups": ["none"]}}, [])
    assert (bad.verdict, "'none' is not there" in bad.detail) == ("fault", True)
    (unread,) = cloud.examine_vm_type({"nsxt": {"ns_groups": 1}}, [])
    assert unread.verdict == "fault"
    assert list(cloud.examine_vm_type({}, [])) == []
