"""The names that users build on: a change here is a change for them."""

import ast
import subprocess
import sys
from importlib.metadata import version

import cpi
from cpi.contract.cloud import Cloud
from tests.house.source import sources

PUBLIC = [
    "AgentDefaults",
    "AgentId",
    "CallContext",
    "Capability",
    "Cloud",
    "CloudConfig",
    "CloudError",
    "CloudProperties",
    "CpiError",
    "CreatedNetwork",
    "DiskCid",
    "DiskHint",
    "DiskNotAttached",
    "DiskNotFound",
    "Env",
    "Error",
    "ExternalCloud",
    "Info",
    "Metadata",
    "MiB",
    "Network",
    "NetworkAddresses",
    "NetworkCid",
    "NetworkDefinition",
    "NetworkNotFound",
    "Networks",
    "NoDiskSpace",
    "NotImplemented",
    "NotSupported",
    "SnapshotCid",
    "StemcellCid",
    "VMCreationFailed",
    "VMNotFound",
    "Vm",
    "VmCid",
    "VmResources",
    "__version__",
    "connect",
    "drivers",
]

_PACKAGES = ["agent", "kit", "migration", "resurrection", "rpc", "testing"]

METHODS = [
    "attach_disk",
    "calculate_vm_cloud_properties",
    "close",
    "configure_networks",
    "connect",
    "create_disk",
    "create_network",
    "create_stemcell",
    "create_vm",
    "current_vm_id",
    "delete_disk",
    "delete_network",
    "delete_snapshot",
    "delete_stemcell",
    "delete_vm",
    "detach_disk",
    "for_request",
    "get_disks",
    "has_disk",
    "has_vm",
    "info",
    "ping",
    "reboot_vm",
    "resize_disk",
    "set_disk_metadata",
    "set_vm_metadata",
    "snapshot_disk",
    "update_disk",
]


def test_the_public_names_are_these() -> None:
    """Sorted, and none comes or goes unnoticed."""
    assert cpi.__all__ == PUBLIC == sorted(PUBLIC)


def test_every_public_name_is_there() -> None:
    """Each can be had, and dir() shows it."""
    assert [name for name in PUBLIC if getattr(cpi, name, None) is None] == []
    assert dir(cpi) == sorted([*PUBLIC, *_PACKAGES])


def test_the_type_checker_knows_the_same_names() -> None:
    """The lazily loaded names are declared for it, no more and no less."""
    (module,) = (source for source in sources("cpi") if source.path == "cpi/__init__.py")
    (guarded,) = (node for node in module.tree.body if isinstance(node, ast.If))
    declared = [alias.name for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted([*declared, "__version__"]) == PUBLIC


def test_the_public_packages_are_there_after_import_cpi() -> None:
    """In a fresh process: nothing else has imported them there."""
    program = "import cpi; print(cpi.__version__, *(getattr(cpi, name).__name__ for name in sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {program}", *_PACKAGES], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == [version("multicpi"), *(f"cpi.{name}" for name in _PACKAGES)]


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As of any other module."""
    assert not hasattr(cpi, "no_such_name")


def test_a_cloud_has_these_methods() -> None:
    """The CPI's methods, connect and close: nothing a driver could be asked for beside them."""
    assert sorted(name for name in vars(Cloud) if not name.startswith("_") and callable(getattr(Cloud, name))) == METHODS
