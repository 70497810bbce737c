"""deployVirtualMachine and what follows until the VM runs."""

from collections.abc import Mapping
from typing import Any

from cpi.contract import errors
from cpi.kit.failures import AnswerLost
from cpi.kit.waiting import late
from cpi_drivers.cloudstack.api.client import Client, Document
from cpi_drivers.cloudstack.api.inventory import Inventory


class Launching:
    """One VM, by a name that nothing else has."""

    def __init__(self, client: Client, inventory: Inventory) -> None:
        self._client = client
        self._inventory = inventory

    def launch(self, name: str, parameters: Mapping[str, Any]) -> Document:
        """The VM, running, or placed and stopped if it shall not start yet. Raises Refused, AnswerLost, Overdue."""
        try:
            what = f"create_vm: VM {name}"
            vm: Document = self._client.run("deployVirtualMachine", what, "create_vm", **parameters)["virtualmachine"]
        except AnswerLost:
            if late(lambda: self._inventory.vm(name)) is None:
                raise
            return self.running(name, stopped=parameters.get("startvm") is False)
        return vm

    def running(self, name: str, *, stopped: bool = False) -> Document:
        """The VM once it runs, or has NICs and is stopped. Raises CloudError as soon as it cannot become so."""

        def look() -> Document | None:
            vm = self._inventory.vm(name)
            if vm is None or vm["state"] == "Error":
                raise errors.CloudError(f"create_vm: the VM {name} {'is gone' if vm is None else 'is in state Error'}")
            # A VM that is being deployed is Stopped for a moment: with NICs only once it was placed.
            done = vm["state"] == "Running" or (stopped and vm["state"] == "Stopped" and bool(vm.get("nic")))
            return vm if done else None

        return self._client.until(f"create_vm: VM {name} does not run", "create_vm", look)
