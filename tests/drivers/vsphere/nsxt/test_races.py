"""Several who change the same thing at once: each change is there afterwards."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cpi
from cpi.testing.maker import at_once
from cpi_drivers.vsphere.api.nsxt.errors import NsxConflict
from cpi_drivers.vsphere.api.nsxt.naming import POLICY
from cpi_drivers.vsphere.vms.nsxt import groups, pools
from cpi_drivers.vsphere.vms.nsxt.pools import Member
from fixtures.clouds.nsxt.lab import Lab as NsxLab
from fixtures.proxy import Request, Rule, effects
from tests.drivers.vsphere.conftest import Helper
from tests.drivers.vsphere.nsxt.conftest import ALL, client, identity

pytestmark = pytest.mark.slow

_GROUP = f"{POLICY}/infra/domains/default/groups/dmz"
_POOL = "/infra/lb-pools/static"


def test_somebody_who_was_faster_loses_nothing(nsx: NsxLab, tmp_path: Path) -> None:
    """Between our look and our change another VM joined: it is read anew."""

    def another(request: Request) -> None:
        nsx.put("/infra/domains/default/groups/dmz", description="changed by another")

    rule = Rule("PUT groups/{id}", effects.decided(another), times=2)
    nsx.proxy.inject(rule)
    manager = client(nsx, tmp_path)
    manager.changed(_GROUP, lambda group: groups.with_vm(group, "vm"))
    manager.close()
    assert nsx.members("dmz") == ["vm"]
    assert nsx.thing("/infra/domains/default/groups/dmz")["description"] == "changed by another"
    assert [call.status for call in nsx.proxy.calls if call.action == "PUT groups/{id}"] == [412, 412, 200]


def test_a_transaction_of_another_is_waited_for(nsx: NsxLab, tmp_path: Path) -> None:
    """409 says that nothing was done."""
    nsx.proxy.inject(Rule("PUT groups/{id}", effects.answer(409, b'{"error_message": "concurrent"}'), times=3))
    manager = client(nsx, tmp_path)
    manager.changed(_GROUP, lambda group: groups.with_vm(group, "vm"))
    manager.close()
    assert nsx.members("dmz") == ["vm"]


def test_a_thing_is_made_after_a_transaction_of_another(nsx: NsxLab, tmp_path: Path) -> None:
    """409 says that nothing was done; an id may have any character."""
    nsx.proxy.inject(Rule("PUT *", effects.answer(409, b""), times=2))
    manager = client(nsx, tmp_path)
    manager.make(f"{_GROUP} & 100% more?", {"expression": []})
    assert manager.get(f"{_GROUP} & 100% more?")["id"] == "dmz & 100% more?"
    manager.close()


def test_a_thing_of_an_id_that_somebody_else_has_is_not_taken_for_ours(nsx: NsxLab, tmp_path: Path) -> None:
    """No answer was lost, so it is not what we have made."""
    manager = client(nsx, tmp_path)
    with pytest.raises(NsxConflict):
        manager.make(_GROUP, {"expression": []})
    manager.close()


def test_twelve_clients_at_once(nsx: NsxLab, tmp_path: Path) -> None:
    """Each with a session of its own; into a group and a pool, and out again."""
    managers = [client(nsx, tmp_path / str(number)) for number in range(12)]

    def joins(number: int) -> None:
        managers[number].changed(_GROUP, lambda group: groups.with_vm(group, f"vm-{number}"))
        member = Member(_POOL, f"10.0.0.{number}", 80)
        managers[number].changed(POLICY + _POOL, lambda pool: pools.with_member(pool, f"vm-{number}", member))

    def leaves(number: int) -> None:
        managers[number].changed(_GROUP, lambda group: groups.without_vm(group, f"vm-{number}"))
        member = Member(_POOL, f"10.0.0.{number}", 80)
        managers[number].changed(POLICY + _POOL, lambda pool: pools.without_member(pool, f"vm-{number}", member))

    at_once(*[functools.partial(joins, number) for number in range(12)])
    assert sorted(nsx.members("dmz")) == sorted(f"vm-{number}" for number in range(12))
    assert len(nsx.pool_members()) == 12
    at_once(*[functools.partial(leaves, number) for number in range(12)])
    assert nsx.members("dmz") == []
    assert nsx.pool_members() == []
    for manager in managers:
        manager.close()


def test_two_processes_make_and_delete_vms_of_one_group(
    nsx: NsxLab, helper: Helper, config: Callable[..., dict[str, Any]]
) -> None:
    """Neither loses the other's."""
    with cpi.connect(config()) as first, cpi.connect(config()) as second:
        made = at_once(*[functools.partial(helper.vm, cloud=cloud, nsxt=ALL) for cloud in (first, second)])
        assert set(nsx.members("dmz")) == {identity(helper, vm.cid) for vm in made}
        at_once(*[functools.partial(cloud.delete_vm, vm.cid) for cloud, vm in zip((first, second), made, strict=True)])
    assert nsx.members("dmz") == []
    assert nsx.pool_members() == []
