"""The method table comes from Cloud's signatures, and nothing that does not fit them reaches a driver."""

from typing import Any

import pytest

from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.model import Network, VmResources
from cpi.rpc import binding
from cpi.rpc.messages import Request

KNOWN = (
    "current_vm_id create_stemcell delete_stemcell create_vm delete_vm has_vm reboot_vm set_vm_metadata set_disk_metadata "
    "create_disk has_disk delete_disk attach_disk detach_disk snapshot_disk delete_snapshot resize_disk update_disk get_disks "
    "create_network delete_network calculate_vm_cloud_properties ping info configure_networks"
)


def bound(method: str, *arguments: Any, version: int | None = 3, token: str | None = None) -> Any:
    """What the driver would be called with."""
    return binding.bind(Request(method, list(arguments), {}, version), token).arguments


def refused(method: str, *arguments: Any, version: int | None = 3) -> str:
    """The message of the CpiError."""
    with pytest.raises(errors.CpiError) as raised:
        bound(method, *arguments, version=version)
    assert type(raised.value) is errors.CpiError
    return raised.value.message


def test_every_method_of_the_protocol_is_there_and_no_other() -> None:
    """The names that the director and the official libraries know."""
    assert set(binding.methods()) == set(KNOWN.split())


@pytest.mark.parametrize("method", ["", "has_vm?", "connect", "close", "__init__", "name", "_note", "x" * 1000])
def test_an_unknown_method_is_not_implemented(method: str) -> None:
    """Which the director knows how to take; the methods that exist are told."""
    with pytest.raises(errors.NotImplemented, match=r"unknown method .*; known methods: attach_disk, ") as raised:
        bound(method)
    assert len(raised.value.message) < 1000


WRONG_COUNTS: list[tuple[str, tuple[Any, ...], str]] = [
    ("ping", (1,), "ping takes 0 arguments, got 1"),
    ("has_vm", (), "has_vm takes 1 argument (vm_cid), got 0"),
    ("create_disk", (1,), "create_disk takes 2 to 3 arguments (size, cloud_properties, [vm_cid]), got 1"),
    ("create_disk", (1, {}, "vm-1", "token"), "create_disk takes 2 to 3 arguments (size, cloud_properties, [vm_cid]), got 4"),
    (
        "create_vm",
        ("agent-1",),
        "create_vm takes 4 to 6 arguments (agent_id, stemcell_cid, cloud_properties, networks, [disk_cids], [env]), got 1",
    ),
]


@pytest.mark.parametrize(("method", "arguments", "message"), WRONG_COUNTS)
def test_a_wrong_count_of_arguments_names_those_wanted(method: str, arguments: tuple[Any, ...], message: str) -> None:
    """Optional ones in brackets."""
    assert refused(method, *arguments) == message


WRONG_ARGUMENTS: list[tuple[str, tuple[Any, ...], str]] = [
    ("has_vm", (None,), "vm_cid: expected a non-empty `str`, got `null`"),
    ("has_vm", ("",), "vm_cid: expected a non-empty `str`, got an empty one"),
    ("has_vm", ({},), "vm_cid: expected a non-empty `str`, got `object`"),
    ("create_disk", (True, {}), "size: expected `int`, got `bool`"),
    ("create_disk", ("1024", {}), "size: expected `int`, got `str`"),
    ("create_disk", (1.5, {}), "size: expected `int`, got `float`"),
    ("create_disk", (0, {}), "size: expected at least 1 MiB, got 0"),
    ("create_disk", (-5, {}), "size: expected at least 1 MiB, got -5"),
    ("create_disk", (1, []), "cloud_properties: expected `object`, got `array`"),
    ("create_disk", (1, {}, 7), "vm_cid: expected a non-empty `str`"),
    ("create_vm", ("a", "s", {}, []), "networks: expected `object`, got `array`"),
    ("create_vm", ("a", "s", {}, {"Web": 1}), "networks[...]: expected `object`, got `int`"),
    ("create_vm", ("a", "s", {}, {"Web": {"ip": 1}}), "networks.Web.ip: expected `str | null`, got `int`"),
    ("create_vm", ("a", "s", {}, {"Web": {"type": "x"}}), "networks.Web.type: invalid enum value 'x'"),
    ("create_vm", ("a", "s", {}, {}, ["d", ""]), "disk_cids[1]: expected a non-empty `str`"),
    ("create_vm", ("a", "s", {}, {}, [], "env"), "env: expected `object | null`, got `str`"),
    ("calculate_vm_cloud_properties", ({"cpu": 1},), "resources: object missing required field `ram`"),
    ("create_stemcell", ("image", {}, {"tags": []}), "create_stemcell: env.tags: expected an object"),
]


@pytest.mark.parametrize(("method", "arguments", "fault"), WRONG_ARGUMENTS)
def test_a_wrong_argument_is_named_with_what_was_expected(method: str, arguments: tuple[Any, ...], fault: str) -> None:
    """And what came, by its kind: its value may be a secret."""
    assert fault in refused(method, *arguments)


def test_all_faults_are_told_at_once() -> None:
    """One round is enough to mend them."""
    assert refused("create_disk", None, [], 3) == (
        "create_disk: invalid arguments:\n"
        "  size: expected `int`, got `null`\n"
        "  cloud_properties: expected `object`, got `array`\n"
        "  vm_cid: expected a non-empty `str`, got `int`"
    )


def test_optional_arguments_may_be_absent_or_null() -> None:
    """create_disk without a VM, create_vm with null for disks and env, as directors and older libraries send them."""
    assert bound("create_disk", 1, {}) == bound("create_disk", 1, {}, None) == {"size": 1, "cloud_properties": {}, "token": None}
    assert bound("create_vm", "a", "s", None, {}, None, None) == bound("create_vm", "a", "s", {}, {})


def test_arguments_get_the_types_of_the_contract() -> None:
    """A driver can rely on them."""
    arguments = bound("attach_disk", "vm-1", "disk-1")
    assert (type(arguments["vm_cid"]), type(arguments["disk_cid"])) == (VmCid, DiskCid)
    resources = bound("calculate_vm_cloud_properties", {"cpu": 1, "ram": 2, "ephemeral_disk_size": 3, "more": 4})
    assert resources == {"resources": VmResources(1, 2, 3)}  # type: ignore[arg-type]  # sizes in MiB


def test_networks_keep_keys_that_are_not_known_here() -> None:
    """They go to the agent as they came; null is as good as absent."""
    networks = bound("create_vm", "a", "s", {}, {"web": {"ip": "10.0.0.6", "gateway": None, "routes": [1]}})["networks"]
    assert networks == {"web": Network(ip="10.0.0.6", extra={"routes": [1]})}


def test_only_what_makes_something_takes_the_token() -> None:
    """create_vm and create_disk: a repeat after a kill must not make a second one."""
    assert {name for name, method in binding.methods().items() if method.takes_token} == {"create_vm", "create_disk"}
    token = "the same again"  # noqa: S105 - a word, no secret
    assert bound("create_disk", 1, {}, token=token)["token"] == token


def test_the_tags_of_a_stemcell_come_with_version_three() -> None:
    """Before, there were two arguments; the driver always gets tags."""
    assert bound("create_stemcell", "image", {}, {"tags": {"a": "b"}, "more": 1})["tags"] == {"a": "b"}
    assert [bound("create_stemcell", "image", {}, *env)["tags"] for env in ((), (None,), ({},), ({"tags": None},))] == [{}] * 4
    assert bound("create_stemcell", "image", {}, version=2)["tags"] == {}
    assert "takes 2 arguments (image_path, cloud_properties), got 3" in refused("create_stemcell", "i", {}, {}, version=2)


@pytest.mark.parametrize("version", [0, -1, 4, 10**30])
def test_a_version_not_spoken_is_refused_save_for_info(version: int) -> None:
    """info is how the version is found out."""
    assert f"unsupported api_version {version}: expected 1 to 3" in refused("has_vm", "vm-1", version=version)
    assert bound("info", version=version) == {}


def test_the_context_is_read_leniently_and_completely() -> None:
    """What is missing is nobody's harm; what is not the protocol's own is a property of a cpi-config."""
    empty = binding.read_context({})
    assert (empty.director_uuid, empty.request_id, empty.stemcell_api_version, empty.token) == ("", "", None, None)
    assert binding.read_context({"vm": None, "director_uuid": None, "vm2": 1}).properties == {"vm2": 1}
    full = binding.read_context(
        {"director_uuid": "d", "request_id": "r", "token": "t", "vm": {"stemcell": {"api_version": 3}}, "region": "eu"}
    )
    assert (full.director_uuid, full.request_id, full.token, full.stemcell_api_version) == ("d", "r", "t", 3)
    assert full.properties == {"region": "eu"}


@pytest.mark.parametrize(
    "vm", [1, "x", [1], {"stemcell": 1}, {"stemcell": {"api_version": "3"}}, {"stemcell": {"api_version": True}}]
)
def test_a_context_of_wrong_types_is_refused_with_every_fault(vm: Any) -> None:
    """Each key by its path."""
    with pytest.raises(errors.CpiError) as raised:
        binding.read_context({"director_uuid": 1, "request_id": [], "token": {}, "vm": vm})
    assert raised.value.message.splitlines()[1:] == [
        "  context.director_uuid: expected a string, got a number",
        "  context.request_id: expected a string, got an array",
        "  context.token: expected a string, got an object",
        "  context.vm: expected {stemcell: {api_version: a whole number}}",
    ]
