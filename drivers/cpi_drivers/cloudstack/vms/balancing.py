"""Load balancer rules that VMs join, and public addresses that lead to one VM (static NAT)."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from cpi.contract import errors
from cpi.kit.failures import AnswerLost
from cpi.kit.undo import Undo
from cpi.kit.waiting import late
from cpi_drivers.cloudstack import tags
from cpi_drivers.cloudstack.api.client import Client, Document
from cpi_drivers.cloudstack.api.errors import Missing, Refused
from cpi_drivers.cloudstack.api.inventory import Inventory
from cpi_drivers.cloudstack.properties import LoadBalancerRule

RULES: Final = "multicpi-lb-rules"
_OURS: Final = "multicpi"

_log = logging.getLogger(__name__)


class Balancing:
    """What leads from outside to a VM."""

    def __init__(self, client: Client, inventory: Inventory) -> None:
        self._client = client
        self._inventory = inventory

    # ------------------------------------------------------------------ load balancer rules

    def join(self, rules: Iterable[LoadBalancerRule], vm: Document, undo: Undo) -> dict[str, str]:
        """The VM is in each when this returns. Answers the tag by which it is taken out again; until it has that, by undo."""
        joined = [self._join(rule, vm, undo) for rule in rules]
        return {RULES: " ".join(joined)} if joined else {}

    def leave(self, vm: Document) -> None:
        """Take the VM out of the rules it joined, before it goes; a rule that was made for VMs goes with the last one."""
        faults = []
        for rule_id in tags.of(vm).get(RULES, "").split():
            try:
                self._leave(rule_id, vm)
            except Missing:
                continue
            except errors.CloudError as error:
                faults.append(error.message)
        if faults:
            raise errors.CloudError(f"the VM {vm['name']} is still in load balancer rules: " + "; ".join(faults))

    def _join(self, rule: LoadBalancerRule, vm: Document, undo: Undo) -> str:
        address = self._address(rule.public_ip)
        rule_id = str((self._rule(rule, address) or self._make(rule, address, vm))["id"])
        what = f"create_vm: load balancer rule {rule.name}"
        undo.push(f"VM {vm['name']} from the load balancer rule {rule.name}", lambda: self._leave(rule_id, vm))
        try:
            self._client.run("assignToLoadBalancerRule", what, "everything", id=rule_id, virtualmachineids=vm["id"])
        except Refused:
            if vm["id"] not in self._members(rule_id):
                raise
        except AnswerLost:
            if not late(lambda: vm["id"] in self._members(rule_id)):
                raise
        return rule_id

    def _leave(self, rule_id: str, vm: Document) -> None:
        what = f"delete_vm: load balancer rule {rule_id}"
        try:
            self._client.run(
                "removeFromLoadBalancerRule", what, "everything", idempotent=True, id=rule_id, virtualmachineids=vm["id"]
            )
        except Missing:
            raise
        except Refused:
            if vm["id"] in self._members(rule_id):
                raise
        found = next(
            iter(self._client.pages("listLoadBalancerRules", "loadbalancerrule", id=rule_id, **self._inventory.scope)), None
        )
        if found is not None and _OURS in tags.of(found):
            self._delete_empty(rule_id, what)

    def _delete_empty(self, rule_id: str, what: str) -> None:
        if not self._members(rule_id):
            self._client.run("deleteLoadBalancerRule", what, "everything", idempotent=True, id=rule_id)

    def _rule(self, rule: LoadBalancerRule, address: Document) -> Document | None:
        scope = self._inventory.scope
        found = self._client.pages("listLoadBalancerRules", "loadbalancerrule", publicipid=address["id"], name=rule.name, **scope)
        one = next((each for each in found if each["name"] == rule.name), None)
        if one is not None and (int(one["publicport"]), int(one["privateport"])) != (rule.public_port, rule.private_port):
            said = f"{one['publicport']} to {one['privateport']}"
            raise errors.CloudError(f"the load balancer rule {rule.name!r} at {rule.public_ip} leads from port {said}")
        return one

    def _make(self, rule: LoadBalancerRule, address: Document, vm: Document) -> Document:
        network = address.get("associatednetworkid") or vm["nic"][0]["networkid"]
        made = {
            "name": rule.name,
            "algorithm": rule.algorithm,
            "privateport": rule.private_port,
            "publicport": rule.public_port,
            "publicipid": address["id"],
            "networkid": network,
            "openfirewall": rule.open_firewall,
        }
        what = f"load balancer rule {rule.name}"
        try:
            self._client.run("createLoadBalancerRule", what, "everything", **made)
        except Refused:
            found = self._rule(rule, address)  # somebody was faster
            if found is None:
                raise
            return found
        except AnswerLost:
            if late(lambda: self._rule(rule, address)) is None:
                raise
        found = self._rule(rule, address)
        if found is None:
            raise errors.CloudError(f"the load balancer rule {rule.name} was made and is not there")
        rule_id = str(found["id"])
        with Undo() as undo:
            undo.push(what, lambda: self._delete_empty(rule_id, what))
            tags.add(self._client, "LoadBalancer", found, {_OURS: "1"})
        return found

    def _members(self, rule_id: str) -> set[str]:
        found = self._client.pages("listLoadBalancerRuleInstances", "loadbalancerruleinstance", id=rule_id)
        return {str(vm["id"]) for vm in found}

    # ------------------------------------------------------------------ static NAT

    def lead_here(self, ip: str, vm: Document) -> None:
        """The public address leads to the VM, wherever it led before."""
        address = self._address(ip)
        if address.get("virtualmachineid") == vm["id"]:
            return
        if address.get("isstaticnat"):
            self._release(str(address["id"]), ip)
        network = address.get("associatednetworkid") or vm["nic"][0]["networkid"]
        wanted = {"ipaddressid": address["id"], "virtualmachineid": vm["id"], "networkid": network}
        self._client.call("enableStaticNat", idempotent=True, **wanted)

    def lead_nowhere(self, vm: Document) -> None:
        """The address that leads to the VM is free; it stays the account's."""
        if vm.get("publicipid"):
            self._release(str(vm["publicipid"]), str(vm.get("publicip")))

    def _release(self, address_id: str, ip: str) -> None:
        self._client.run("disableStaticNat", f"static NAT of {ip}", "everything", idempotent=True, ipaddressid=address_id)

    def _address(self, ip: str) -> Mapping[str, Any]:
        found = self._client.pages("listPublicIpAddresses", "publicipaddress", ipaddress=ip, **self._inventory.scope)
        one = next((each for each in found if each["ipaddress"] == ip), None)
        if one is None:
            raise errors.CloudError(f"the public address {ip} is not one of this account or project: acquire it first")
        return one
