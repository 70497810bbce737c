"""From create_vm to delete_vm: what a VM joins, and that it leaves all of it."""

from collections.abc import Callable
from typing import Any

import pytest
from pyVmomi import vim

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.model import Network
from fixtures.clouds.nsxt.lab import Lab as NsxLab
from fixtures.clouds.nsxt.seed import SEGMENT
from fixtures.clouds.vcsim.lab import Lab
from fixtures.proxy import Request, Rule, effects
from tests.drivers.vsphere.conftest import Helper
from tests.drivers.vsphere.nsxt.conftest import ALL, identity, on_segment

pytestmark = pytest.mark.slow

_ID_TAG = "11f6ad8ec52a2984abaafd7c3b516503785c2072"
"""The SHA-1 of `x`."""


def test_a_vm_joins_groups_and_pools_and_leaves_them(nsx: NsxLab, helper: Helper) -> None:
    """Groups by name and by id, a static pool by its address, a dynamic one by its group."""
    before = nsx.census()
    networks = on_segment(helper)
    vm = helper.vm(networks=networks, nsxt=ALL).cid
    own = identity(helper, vm)
    assert [nsx.members(name) for name in ("web-1", "dmz", "behind")] == [[own]] * 3
    assert nsx.pool_members() == [(vm, networks["default"].ip, "8080")]
    helper.cloud.delete_vm(vm)
    assert nsx.census() == before


def test_without_the_policy_api_nothing_can_be_joined_and_all_else_works(
    nsx: NsxLab, helper: Helper, config: Callable[..., dict[str, Any]]
) -> None:
    """As the official job renders it by default: a VM that would be in no group is not made."""
    with cpi.connect(config(use_policy_api=False)) as cloud:
        cloud.delete_vm(helper.vm(cloud=cloud, networks=on_segment(helper)).cid)
        for wish in ({"ns_groups": ["dmz"]}, {"lb": ALL["lb"]}):
            with pytest.raises(errors.CpiError, match=r"nsxt\.use_policy_api is not true"):
                helper.vm(cloud=cloud, nsxt=wish)


def test_it_has_joined_before_it_runs(nsx: NsxLab, helper: Helper) -> None:
    """A firewall protects it from its first packet on."""
    states: list[Any] = []

    def look(request: Request) -> None:
        states.extend(vm.runtime.powerState for vm in helper.vcenter.all(vim.VirtualMachine) if vm.name.startswith("vm-"))

    nsx.proxy.inject(Rule("PUT groups/{id}", effects.decided(look)))
    helper.vm(nsxt=ALL)
    assert set(states) == {"poweredOff"}


def test_what_a_group_says_of_tags_stays(nsx: NsxLab, helper: Helper) -> None:
    """The VM is named beside it."""
    before = nsx.thing("/infra/domains/default/groups/web-1")["expression"]
    vm = helper.vm(nsxt=ALL).cid
    parts = nsx.thing("/infra/domains/default/groups/web-1")["expression"]
    assert [part["resource_type"] for part in parts] == ["Condition", "ConjunctionOperator", "ExternalIDExpression"]
    helper.cloud.delete_vm(vm)
    assert nsx.thing("/infra/domains/default/groups/web-1")["expression"] == before


def test_metadata_are_tags_of_segment_ports(nsx: NsxLab, helper: Helper) -> None:
    """Those of others stay, those of before are replaced, the id is its SHA-1; the vCenter's attributes are set too."""
    vm = helper.vm(networks=on_segment(helper)).cid
    helper.cloud.set_vm_metadata(vm, {"id": "x", "job": "db", "deployment": "one"})
    (port,) = nsx.ports()
    nsx.put(port["path"], tags=[*port["tags"], {"scope": "owner", "tag": "me"}])
    helper.cloud.set_vm_metadata(vm, {"id": "x", "job": "web"})
    (port,) = nsx.ports()
    tags = {tag["scope"]: tag["tag"] for tag in port["tags"]}
    assert tags == {"owner": "me", "bosh/id": _ID_TAG, "bosh/job": "web", "bosh/deployment": "one"}
    assert helper.vcenter.tags(vm)["job"] == "web"


def test_no_more_tags_than_nsx_takes(nsx: NsxLab, helper: Helper) -> None:
    """Thirty, BOSH's own among them; long ones are cut."""
    vm = helper.vm(networks=on_segment(helper)).cid
    helper.cloud.set_vm_metadata(vm, {**{f"tag-{number}": "v" * 300 for number in range(40)}, "id": "x"})
    (port,) = nsx.ports()
    assert len(port["tags"]) <= 30
    assert {"scope": "bosh/id", "tag": _ID_TAG} in port["tags"]


def test_metadata_of_a_vm_that_is_on_no_segment_ask_nsx_nothing(nsx: NsxLab, helper: Helper) -> None:
    """A plain port group has no segment port to wait for."""
    vm = helper.vm().cid
    nsx.proxy.forget_calls()
    helper.cloud.set_vm_metadata(vm, {"id": "x"})
    assert nsx.calls() == {}


def test_metadata_are_tags_of_the_vm_too_where_that_is_wished(
    nsx: NsxLab, helper: Helper, config: Callable[..., dict[str, Any]]
) -> None:
    """By the VM type, or for all VMs."""
    of_type = helper.vm(networks=on_segment(helper), nsxt={"tag_nsx_vm_objects": True}).cid
    with cpi.connect(config(tag_nsx_vm_objects=True)) as tagging:
        of_all = helper.vm(networks=on_segment(helper), cloud=tagging).cid
        not_this = helper.vm(networks=on_segment(helper), cloud=tagging, nsxt={"tag_nsx_vm_objects": False}).cid
        for vm in (of_type, of_all, not_this):
            tagging.set_vm_metadata(vm, {"job": "db"})
    assert [nsx.vm_tags(identity(helper, vm)) for vm in (of_type, of_all, not_this)] == [{"bosh/job": "db"}] * 2 + [{}]


@pytest.mark.parametrize(
    ("default", "own", "type_"),
    [("PARENT", {}, "PARENT"), (None, {"vif_type": "PARENT"}, "PARENT"), ("PARENT", {"vif_type": None}, None)],
)
def test_the_type_of_segment_ports(
    nsx: NsxLab,
    helper: Helper,
    config: Callable[..., dict[str, Any]],
    default: str | None,
    own: dict[str, Any],
    type_: str | None,
) -> None:
    """The VM type's goes before the configuration's, also where it is none."""
    with cpi.connect(config(default_vif_type=default)) as typed:
        vm = helper.vm(networks=on_segment(helper), cloud=typed, nsxt=own).cid
        typed.set_vm_metadata(vm, {"job": "db"})
    (port,) = nsx.ports()
    assert port["attachment"].get("type") == type_


def test_a_repeat_with_the_token_gives_segment_ports_their_type(nsx: NsxLab, helper: Helper) -> None:
    """The first call was killed when the VM ran already."""

    def create() -> str:
        return helper.vm(networks=on_segment(helper), nsxt={"vif_type": "PARENT"}, token="the token").cid  # noqa: S106 - not secret

    vm = create()
    (port,) = nsx.ports()
    nsx.put(port["path"], attachment={"id": port["attachment"]["id"]})
    assert create() == vm
    (port,) = nsx.ports()
    assert port["attachment"]["type"] == "PARENT"


def test_a_static_pool_needs_an_address(nsx: NsxLab, helper: Helper) -> None:
    """Nothing is made then."""
    before = helper.vcenter.census()
    dynamic = {"default": Network(type="dynamic", cloud_properties={"name": SEGMENT})}
    with pytest.raises(errors.CpiError, match="'static pool' is static"):
        helper.vm(networks=dynamic, nsxt=ALL)
    assert helper.vcenter.census() == before


def test_one_pool_with_two_ports(nsx: NsxLab, helper: Helper) -> None:
    """Two members, both gone afterwards."""
    vm = helper.vm(nsxt={"lb": {"server_pools": [{"name": "static", "port": 80}, {"name": "static", "port": 443}]}}).cid
    assert [port for _, _, port in nsx.pool_members()] == ["80", "443"]
    helper.cloud.delete_vm(vm)
    assert nsx.pool_members() == []


def test_what_is_not_there_is_told_before_anything_is_made(nsx: NsxLab, helper: Helper) -> None:
    """Every name of it, and those that mean several things."""
    nsx.put("/infra/domains/default/groups/dmz-2", display_name="twice")
    nsx.put("/infra/domains/default/groups/dmz-3", display_name="twice")
    before = helper.vcenter.census()
    with pytest.raises(errors.CloudError) as caught:
        helper.vm(nsxt={"ns_groups": ["nothing", "WEB SERVERS", "twice"]})
    for told in ("'nothing' is not there", "'WEB SERVERS' is not there", "groups/dmz-2", "name its id"):
        assert told in caught.value.message
    assert helper.vcenter.census() == before


def test_a_vm_that_another_cpi_has_made_leaves_what_nsx_knows_of(nsx: NsxLab, helper: Helper, vcenter: Lab) -> None:
    """It remembers nothing: NSX is asked which groups name it, and which pools have its name."""
    with cpi.connect(vcenter.config()) as other:
        vm = helper.vm(cloud=other).cid
    own = [{"resource_type": "ExternalIDExpression", "member_type": "VirtualMachine", "external_ids": [identity(helper, vm)]}]
    nsx.put("/infra/domains/default/groups/dmz", expression=own)
    members = [{"display_name": vm, "ip_address": "10.0.0.9"}, {"display_name": "other", "ip_address": "10.0.0.10"}]
    nsx.put("/infra/lb-pools/static", members=members)
    helper.cloud.delete_vm(vm)
    assert nsx.members("dmz") == []
    assert [name for name, _, _ in nsx.pool_members()] == ["other"]


def test_a_group_that_is_gone_keeps_no_vm_alive(nsx: NsxLab, helper: Helper) -> None:
    """There is nothing to leave."""
    vm = helper.vm(nsxt={"ns_groups": ["dmz"]}).cid
    nsx.proxy.inject(Rule("GET groups/{id}", effects.answer(404, b'{"error_code": 600}')))
    helper.cloud.delete_vm(vm)
    assert not helper.cloud.has_vm(vm)


def test_a_segment_with_a_port_group_on_each_switch_is_taken_where_the_cluster_reaches_it(
    nsx: NsxLab, helper: Helper, vcenter: Lab
) -> None:
    """NSX gives all of them the segment's name; here another one is on a switch that no host has."""
    folder = vcenter.all(vim.DistributedVirtualSwitch)[0].parent
    wanted = vim.DistributedVirtualSwitch.CreateSpec(configSpec=vim.DistributedVirtualSwitch.ConfigSpec(name="unreached"))
    switch = vcenter.end(folder.CreateDVS_Task(spec=wanted))
    zone = nsx.thing("/infra/segments/segment")["transport_zone_path"]
    nsx.put("/infra/segments/late", display_name="NSX-late", transport_zone_path=zone)
    (reached,) = [one for one in vcenter.all(vim.dvs.DistributedVirtualPortgroup) if one.name == "NSX-late"]
    segment = {"backingType": "nsx", "logicalSwitchUuid": reached.config.logicalSwitchUuid}
    spec = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(name="NSX-late", numPorts=1, type="ephemeral", **segment)
    vcenter.end(switch.AddDVPortgroup_Task(spec=[spec]))
    (unreached,) = switch.portgroup[-1:]
    try:
        vm = helper.vm(networks=on_segment(helper, "NSX-late")).cid
        cards = [one for one in helper.real(vm).config.hardware.device if isinstance(one, vim.vm.device.VirtualEthernetCard)]
        assert [card.backing.port.portgroupKey for card in cards] == [reached.key]
    finally:
        vcenter.end(unreached.Destroy_Task())
        vcenter.end(switch.Destroy_Task())


def test_without_an_nsxt_block_a_vm_type_that_names_groups_is_refused(helper: Helper, vcenter: Lab) -> None:
    """It would not be protected."""
    with cpi.connect(vcenter.config()) as plain, pytest.raises(errors.CpiError, match="no nsxt block"):
        helper.vm(cloud=plain, nsxt=ALL)


def test_a_segment_is_used_as_a_network_without_an_nsxt_block(helper: Helper, vcenter: Lab, nsx: NsxLab) -> None:
    """By the vCenter alone."""
    with cpi.connect(vcenter.config()) as plain:
        vm = helper.vm(cloud=plain, networks=on_segment(helper)).cid
        plain.set_vm_metadata(vm, {"job": "db"})
        plain.delete_vm(vm)
    assert nsx.calls() == {}


def test_who_the_cloud_is_without_and_with_nsx(cloud: Cloud, vcenter: Lab) -> None:
    """Networks can be made with it only."""
    with cpi.connect(vcenter.config()) as plain:
        assert cloud.capabilities - plain.capabilities == {next(one for one in cloud.capabilities if one.value == "networks")}
