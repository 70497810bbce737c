"""What DRS is told: rules and groups are joined, left, and shared by several processes at once."""

import functools
from typing import Any

import pytest
from pyVmomi import vim

import cpi
from cpi.contract import errors
from cpi.testing.maker import at_once
from cpi_drivers.vsphere.vms import drs
from fixtures.clouds.vcsim.lab import Lab
from fixtures.proxy import Rule, effects
from tests.drivers.vsphere.conftest import Helper

pytestmark = pytest.mark.slow

_CLUSTER = "DC0_C0"


def _az(**options: object) -> dict[str, Any]:
    return {"datacenters": [{"name": "DC0", "clusters": [{_CLUSTER: options}]}]}


def _cluster(vcenter: Lab) -> Any:
    return next(cluster for cluster in vcenter.all(vim.ClusterComputeResource) if cluster.name == _CLUSTER)


def _rules(vcenter: Lab) -> dict[str, Any]:
    return {rule.name: rule for rule in _cluster(vcenter).configurationEx.rule}


def _groups(vcenter: Lab) -> dict[str, Any]:
    return {group.name: group for group in _cluster(vcenter).configurationEx.group}


def test_vms_of_a_rule_are_kept_apart_until_the_last_one_goes(vcenter: Lab, helper: Helper) -> None:
    """The rule is made with the first VM, and goes with the last."""
    properties = _az(drs_rules=[{"name": "apart", "type": "separate_vms"}])
    vms = [helper.vm(**properties).cid for _ in range(2)]
    rule = _rules(vcenter)["apart"]
    assert isinstance(rule, vim.cluster.AntiAffinityRuleSpec)
    assert {vm.name for vm in rule.vm} == set(vms)
    helper.cloud.delete_vm(vms[0])
    assert [vm.name for vm in _rules(vcenter)["apart"].vm] == [vms[1]]
    helper.cloud.delete_vm(vms[1])
    assert _rules(vcenter) == {}


def test_several_processes_join_one_rule(vcenter: Lab, helper: Helper) -> None:
    """None takes another's VM out: a rule is written as a whole."""
    properties = _az(drs_rules=[{"name": "apart", "type": "separate_vms"}])
    clouds = [cpi.connect(vcenter.config()) for _ in range(4)]
    vms = at_once(*[functools.partial(helper.vm, cloud=cloud, **properties) for cloud in clouds])
    for cloud in clouds:
        cloud.close()
    assert {vm.name for vm in _rules(vcenter)["apart"].vm} == {vm.cid for vm in vms}
    assert not [field.name for field in vcenter.content.customFieldsManager.field if field.name.startswith("multicpi-lock")]
    for vm in vms:
        helper.cloud.delete_vm(vm.cid)
    assert _rules(vcenter) == {}


def test_the_vms_of_an_instance_group_are_kept_apart_if_wished(vcenter: Lab, helper: Helper) -> None:
    """By a rule of the group's name."""
    with cpi.connect(vcenter.config(enable_auto_anti_affinity_drs_rules=True)) as cloud:
        vm = helper.vm(cloud=cloud, env={"bosh": {"group": "director-cf-db"}}, **_az()).cid
        assert [one.name for one in _rules(vcenter)["director-cf-db"].vm] == [vm]
        cloud.delete_vm(vm)


def test_a_vm_joins_a_group_and_a_host_group(vcenter: Lab, helper: Helper) -> None:
    """The rule between them is made; the VM lies on a host of the group; all goes with the VM, but the host group."""
    cluster = _cluster(vcenter)
    hosts = vim.cluster.HostGroup(name="licensed", host=[cluster.host[0]])
    spec = vim.cluster.ConfigSpecEx(groupSpec=[vim.cluster.GroupSpec(operation="add", info=hosts)])
    vcenter.end(cluster.ReconfigureComputeResource_Task(spec=spec, modify=True))
    vm = helper.vm(vm_group="databases", **_az(host_group={"name": "licensed", "drs_rule": "MUST"})).cid
    assert [one.name for one in _groups(vcenter)["databases"].vm] == [vm]
    [rule] = [rule for rule in _rules(vcenter).values() if isinstance(rule, vim.cluster.VmHostRuleInfo)]
    assert (rule.mandatory, rule.affineHostGroupName) == (True, "licensed")
    assert [one.name for one in _groups(vcenter)[rule.vmGroupName].vm] == [vm]
    helper.cloud.delete_vm(vm)
    assert set(_groups(vcenter)) == {"licensed"}
    assert _rules(vcenter) == {}
    gone = vim.cluster.ConfigSpecEx(groupSpec=[vim.cluster.GroupSpec(operation="remove", removeKey="licensed", info=hosts)])
    vcenter.end(cluster.ReconfigureComputeResource_Task(spec=gone, modify=True))


def test_a_cluster_that_is_gone_keeps_no_vm(vcenter: Lab, helper: Helper) -> None:
    """The VM was moved to another one since: it is deleted all the same, and not only said to be."""
    vm = helper.vm(**_az(drs_rules=[{"name": "apart", "type": "separate_vms"}])).cid
    memory = vim.option.OptionValue(key=drs.OPTION, value='{"cluster": "domain-c999", "apart": ["apart"]}')
    vcenter.end(vcenter.vm(vm).ReconfigVM_Task(spec=vim.vm.ConfigSpec(extraConfig=[memory])))
    helper.cloud.delete_vm(vm)
    assert not helper.cloud.has_vm(vm)
    [rule] = [rule.key for rule in _rules(vcenter).values()]
    gone = vim.cluster.ConfigSpecEx(rulesSpec=[vim.cluster.RuleSpec(operation="remove", removeKey=rule)])
    vcenter.end(_cluster(vcenter).ReconfigureComputeResource_Task(spec=gone, modify=True))


def test_rules_are_not_written_long_after_they_were_read(vcenter: Lab, helper: Helper) -> None:
    """A throttled vCenter is not waited for: somebody else may have changed them meanwhile."""
    rule = Rule("ReconfigureComputeResource_Task", effects.answer(503, b""))
    vcenter.proxy.inject(rule)
    with pytest.raises(errors.VMCreationFailed, match="503") as caught:
        helper.vm(**_az(drs_rules=[{"name": "apart", "type": "separate_vms"}]))
    assert caught.value.ok_to_retry
    assert rule.met == 4


def test_drs_leaves_a_vm_alone_if_wished(vcenter: Lab, helper: Helper) -> None:
    """An override for this VM."""
    vm = helper.vm(disable_drs=True, **_az()).cid
    [override] = _cluster(vcenter).configurationEx.drsVmConfig
    assert (override.key.name, override.enabled) == (vm, False)
