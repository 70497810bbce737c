"""Optional powers under test: what is declared works, what is not is refused with the error the director can bear."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import pytest

from cpi.contract import errors
from cpi.contract.capability import Capability, refusal
from cpi.contract.cloud import Cloud
from cpi.contract.units import MiB
from cpi.testing.harness import Harness
from cpi.testing.ledger import Ledger

Test = TypeVar("Test", bound=Callable[..., None])
Probe = Callable[[Cloud, Harness], object]

PROBES: Final[Mapping[str, Probe]] = {
    "resize_disk": lambda cloud, harness: cloud.resize_disk(harness.absent.disk, MiB(64)),
    "update_disk": lambda cloud, harness: cloud.update_disk(harness.absent.disk, MiB(64), harness.disk_cloud_properties),
    "snapshot_disk": lambda cloud, harness: cloud.snapshot_disk(harness.absent.disk, {}),
    "delete_snapshot": lambda cloud, harness: cloud.delete_snapshot(harness.absent.snapshot),
    "set_disk_metadata": lambda cloud, harness: cloud.set_disk_metadata(harness.absent.disk, {"name": "value"}),
    "create_network": lambda cloud, harness: cloud.create_network(harness.network_definition),
    "delete_network": lambda cloud, harness: cloud.delete_network(harness.absent.network),
    "calculate_vm_cloud_properties": lambda cloud, harness: cloud.calculate_vm_cloud_properties(harness.vm_resources),
}
"""One harmless call of each optional method: only a cloud that lacks the power refuses it."""


def powered(power: Capability) -> Callable[[Test], Test]:
    """A test of a power: where the power is not declared, its methods are proven to be refused instead."""

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def run(self: object, **fixtures: Any) -> None:
            cloud: Ledger = fixtures["cloud"]
            if power in cloud.powers:
                test(self, **fixtures)

        run.power = power  # type: ignore[attr-defined]  # lacking_power reads it
        return run  # type: ignore[return-value]  # wraps keeps the signature

    return decorate


def lacking_power(test: object, powers: frozenset[Capability]) -> Capability | None:
    """The power that a test is of, if the cloud does not declare it."""
    power = getattr(test, "power", None)
    return power if isinstance(power, Capability) and power not in powers else None


def prove_refused(cloud: Cloud, harness: Harness, power: Capability, method: str) -> None:
    """That a method of a power which is not declared is refused with the right error, and no other."""
    expected = type(refusal(power, "a cloud"))
    with pytest.raises(errors.Error) as caught:
        PROBES[method](cloud, harness)
    assert caught.value.wire_name == expected.wire_name, f"{method} without {power.name}: {caught.value!r}"


def prove_offered(cloud: Ledger, harness: Harness, power: Capability, method: str) -> None:
    """That a method of a power which is declared is not refused, whatever else it says of a thing that does not exist."""
    lack = type(refusal(power, "a cloud"))
    try:
        PROBES[method](cloud, harness)
    except errors.Error as error:
        if error.wire_name == lack.wire_name:
            pytest.fail(f"{power.name} is declared, and {method} refused: {error!r}")


def prove_declared_or_refused(cloud: Ledger, harness: Harness, power: Capability, method: str) -> None:
    """That the cloud does as it declares."""
    prove = prove_offered if power in cloud.powers else prove_refused
    prove(cloud, harness, power, method)
