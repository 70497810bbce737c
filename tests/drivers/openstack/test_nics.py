"""From networks to ports, and back."""

from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.model import Network
from cpi_drivers.openstack.networks.requested import Wiring, in_order, resolved_networks, wiring


def network(ip: str | None, *, net: str | None = "net", **more: Any) -> Network:
    """A network; without an address a dynamic one."""
    kind = "manual" if ip else "dynamic"
    return Network.from_document({"type": kind, "ip": ip, "cloud_properties": {"net_id": net} if net else {}, **more})


def wired(networks: dict[str, Network], *, use_dhcp: bool = False) -> Wiring:
    """Their wiring."""
    return wiring(networks, use_dhcp=use_dhcp, strict=False)


def port(net: str, *addresses: str, mac: str = "fa:16:3e:00:00:01") -> dict[str, Any]:
    """A port as Neutron shows it."""
    return {"id": mac, "network_id": net, "mac_address": mac, "fixed_ips": [{"ip_address": each} for each in addresses]}


def test_each_network_has_a_port_unless_they_share_a_nic_group() -> None:
    """An IPv4 and an IPv6 network of one group are two addresses of one port."""
    groups = wired(
        {"a": network("10.0.0.5", nic_group="1"), "b": network("fd00::5", nic_group="1"), "c": network("10.1.0.5", net="other")}
    )
    assert [(nic.names, nic.addresses) for nic in groups.nics] == [(("a", "b"), ("10.0.0.5", "fd00::5")), (("c",), ("10.1.0.5",))]


def test_a_vip_network_is_no_port_but_a_floating_address() -> None:
    """It goes to the first port."""
    found = wired({"a": network(None), "v": Network(type="vip", ip="203.0.113.5")})
    assert (len(found.nics), found.floating) == (1, "203.0.113.5")


@pytest.mark.parametrize(
    ("networks", "said"),
    [
        ({"v": Network(type="vip", ip="203.0.113.5")}, "needs a manual or a dynamic network"),
        ({"a": network(None), "v": Network(type="vip"), "w": Network(type="vip")}, "one vip network"),
        ({"a": network("10.0.0.5", net=None)}, "net_id is missing"),
        ({"a": network("10.0.0.5", nic_group="1"), "b": network("fd00::5", net="x", nic_group="1")}, "net_id differs"),
        ({"a": network("not an address")}, "needs an address"),
        ({"a": network("10.0.0.0", prefix="28")}, "delegates no prefixes"),
    ],
)
def test_what_no_vm_can_have_is_refused_by_name(networks: dict[str, Network], said: str) -> None:
    """Before any call."""
    with pytest.raises(errors.CpiError, match=said):
        wired(networks)


def test_several_manual_networks_need_addresses_that_dhcp_does_not_give() -> None:
    """DHCP would set the default route of each."""
    networks = {"a": network("10.0.0.5"), "b": network("10.1.0.5", net="other")}
    with pytest.raises(errors.CpiError, match="use_dhcp: false"):
        wired(networks, use_dhcp=True)
    assert len(wired(networks).nics) == 2


def test_networks_turn_out_with_their_macs_and_dynamic_addresses() -> None:
    """A manual address is what was wished."""
    networks = {"a": network("10.0.0.5"), "d": network(None, net="other")}
    result = resolved_networks(
        networks, wired(networks), [port("net", "10.0.0.5"), port("other", "10.9.9.9", mac="fa:16:3e:00:00:02")]
    )
    assert [(each.ip, each.mac) for each in result.values()] == [
        ("10.0.0.5", "fa:16:3e:00:00:01"),
        ("10.9.9.9", "fa:16:3e:00:00:02"),
    ]


def test_ports_are_found_again_by_network_and_address() -> None:
    """Neutron lists them in no order."""
    networks = {"a": network("10.0.0.5"), "b": network("10.0.0.6"), "d": network(None, net="other")}
    listed = [port("other", "10.9.9.9"), port("net", "10.0.0.6"), port("net", "10.0.0.5")]
    assert in_order(wired(networks), listed) == [listed[2], listed[1], listed[0]]
    with pytest.raises(errors.CloudError, match="no port for a"):
        in_order(wired(networks), listed[:2])
